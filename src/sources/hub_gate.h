#pragma once
// Keeps a hub that hangs from holding everybody who asks: few questions wait for it at once, who comes beyond waits briefly and is told so;
// after one that waited long in vain nobody asks for a while. Downloads have threads of their own, and don't come here. Threads: any.

#include <array>
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "base/clock.h"
#include "base/result.h"
#include "domain/source.h"

namespace gantry::sources {

class HubGate {
public:
    struct Limits {
        unsigned at_once = 2;                      // of all hubs together: whoever asks holds a thread
        std::chrono::milliseconds turn{2'000};     // to wait for one's turn
        std::chrono::milliseconds slow{5'000};     // a question that has no answer after so long was in vain,
        std::chrono::milliseconds pause{30'000};   // and for so long none is asked
    };
    explicit HubGate(const Clock& clock) : HubGate(clock, Limits{}) {}
    HubGate(const Clock& clock, Limits limits) : clock_(clock), limits_(limits) {}

    // What `ask` gives, a Result; or kUnavailable at once, or after `turn`.
    template <class Ask>
    auto ask(SourceKind hub, const Ask& ask) -> decltype(ask()) {
        if (Status may = enter(hub); !may) return std::move(may).error();
        const SteadyTime began = clock_.steady();
        auto answer = ask();
        const bool silent = !answer && answer.error().code == ErrorCode::kUnavailable && clock_.steady() - began >= limits_.slow;
        leave(hub, silent);
        return answer;
    }

private:
    Status enter(SourceKind hub);
    void leave(SourceKind hub, bool silent);

    const Clock& clock_;
    const Limits limits_;
    std::mutex mutex_;
    std::condition_variable left_;
    unsigned asking_ = 0;                          // guarded by mutex_
    std::array<SteadyTime, 3> silent_until_{};     // by SourceKind; the same
};

}  // namespace gantry::sources
