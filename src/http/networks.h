#pragma once
// A list of networks, as "10.0.0.0/8", "2001:db8::/32" or single addresses.

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gantry::http {

class Networks {
public:
    static Result<Networks> parse(const std::vector<std::string>& texts);
    // False for what is no IP address. An IPv4 address and its IPv6 form (::ffff:1.2.3.4) are the same.
    bool contains(std::string_view address) const;
    bool empty() const { return networks_.empty(); }

private:
    using Bytes = std::array<unsigned char, 16>;   // IPv4 as its IPv6 form
    struct Network {
        Bytes start{};
        unsigned bits = 0;
    };
    std::vector<Network> networks_;
};

}  // namespace gantry::http
