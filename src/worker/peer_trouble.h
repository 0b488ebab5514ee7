#pragma once
// What the log of an engine says of its parts on other workers, where it ended because of them.

#include <string>
#include <string_view>

namespace gantry::worker {

// For a person: what happened and what to do; empty: nothing that is known. Pure.
std::string peer_trouble(std::string_view log);

}  // namespace gantry::worker
