#pragma once
// Data reachable only through its lock (after userver's concurrent::Variable).

#include <mutex>
#include <utility>

namespace gantry {

template <class T>
class Guarded {
public:
    Guarded() = default;
    explicit Guarded(T value) : value_(std::move(value)) {}

    // Runs `use` with the data, the lock held; returns what it returns. Don't call out of it into anything that locks.
    template <class Use>
    auto with(Use&& use) {
        std::lock_guard lock(mutex_);
        return std::forward<Use>(use)(value_);
    }
    template <class Use>
    auto with(Use&& use) const {
        std::lock_guard lock(mutex_);
        return std::forward<Use>(use)(value_);
    }

private:
    mutable std::mutex mutex_;
    T value_;
};

}  // namespace gantry
