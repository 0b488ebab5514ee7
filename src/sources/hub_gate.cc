#include "sources/hub_gate.h"

#include <fmt/format.h>

namespace gantry::sources {

Status HubGate::enter(SourceKind hub) {
    const char* const name = Source{.kind = hub}.hub();
    std::unique_lock lock(mutex_);
    const SteadyTime& silent_until = silent_until_[static_cast<size_t>(hub)];
    const auto turn = [&] { return asking_ < limits_.at_once || clock_.steady() < silent_until; };
    if (!left_.wait_for(lock, limits_.turn, turn)) {   // people wait in real time, whatever the clock
        return unavailable(fmt::format("{} is not asked now: {} questions to hubs have no answer yet; try again in a while", name, asking_));
    }
    if (clock_.steady() < silent_until) {
        return unavailable(fmt::format("{} did not answer within {} s just now, so it is not asked again for {} s: check the network, a proxy or "
                                       "the mirror", name, limits_.slow.count() / 1000, limits_.pause.count() / 1000));
    }
    ++asking_;
    return Ok{};
}

void HubGate::leave(SourceKind hub, bool silent) {
    {
        const std::lock_guard lock(mutex_);
        --asking_;
        if (silent) silent_until_[static_cast<size_t>(hub)] = clock_.steady() + limits_.pause;
    }
    left_.notify_all();
}

}  // namespace gantry::sources
