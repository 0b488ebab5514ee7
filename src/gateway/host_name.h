#pragma once
// Whether a Host header names this server. Internal to the gateway.

#include <string>
#include <string_view>
#include <vector>

namespace gantry::gateway {

// `allowed`: lower-case names without port. IP literals and localhost always pass, with any port.
bool host_allowed(std::string_view host, const std::vector<std::string>& allowed);

}  // namespace gantry::gateway
