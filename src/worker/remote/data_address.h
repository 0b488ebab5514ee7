#pragma once
// The address at which engines on other workers reach those of this machine, where nobody gave one (--data-address).

#include <string>

namespace gantry::worker {

struct DataAddress {
    std::string address{};   // IPv4; empty: none is offered
    std::string why{};       // then: for a person, with what to do
};

// The one by which this machine speaks to the server. One of loopback, where the server is beside it or a tunnel leads to it, is nobody
// else's: the way outside then, which the server takes if its machine is the same (control/cluster/sessions.cc).
DataAddress data_address_towards(const std::string& server_host);

}  // namespace gantry::worker
