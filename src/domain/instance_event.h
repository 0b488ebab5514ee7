#pragma once
// What an instance went through, as it is kept. A plain value.

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "domain/instance.h"

namespace gantry {

// A state that it came to, or a restart.
struct InstanceEvent {
    WallTime at{};
    InstanceState state = InstanceState::kPending;
    std::string reason{};          // the last one of this state
    uint32_t restarts = 0;         // so many until then
};

}  // namespace gantry
