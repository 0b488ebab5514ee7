#include "worker/remote/data_address.h"

#include <fmt/format.h>

#include "base/platform/process.h"

namespace gantry::worker {

DataAddress data_address_towards(const std::string& server_host) {
    const std::string near = platform::outward_address(server_host);
    const std::string address = platform::is_loopback(near) ? platform::outward_address() : near;
    if (!address.empty() && !platform::is_loopback(address)) {
        return {.address = address, .why = {}};
    }
    const std::string why = near.empty() ? fmt::format("this machine has no IPv4 address by which it speaks to {}", server_host)
                                         : fmt::format("it speaks to its server by {}, where no other machine comes, and has no way outside", near);
    return {.address = {}, .why = why + "; it takes part in no instance of several workers unless it is started with --data-address"};
}

}  // namespace gantry::worker
