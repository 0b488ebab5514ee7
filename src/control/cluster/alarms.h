#pragma once
// What a worker, or who says to be one, tried and was refused: a line in the log and one in the audit log, of each kind once a
// minute a worker. Threads: any that may block on the disk.

#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/ids.h"
#include "store/store.h"

namespace gantry::control {

class Alarms {
public:
    static constexpr std::chrono::seconds kQuietFor{60};
    static constexpr size_t kKindsMax = 10'000;   // remembered; strangers have no name of their own, so that they can't fill it

    Alarms(store::Store& store, const Clock& clock, RandomSource& random) : store_(store), clock_(clock), random_(random) {}

    struct Alarm {
        std::string action;         // "refuse_clone", "refuse_report", "refuse_version", "refuse_join", "move"
        WorkerId worker{};          // empty: nobody known
        std::string name{};         // of the worker, or that it gave
        std::string peer{};
        std::string why{};          // for a person
        int status = 0;             // of the answer; 0: it was let pass
    };
    void raise(const Alarm& alarm);

private:
    store::Store& store_;
    const Clock& clock_;
    RandomSource& random_;
    std::mutex mutex_;              // protects what follows
    std::map<std::pair<std::string, WorkerId>, SteadyTime> raised_;
};

}  // namespace gantry::control
