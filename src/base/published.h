#pragma once
// A value that is replaced whole while others read it: they keep what they got. Not std::atomic<std::shared_ptr>, whose load()
// in libstdc++ 12 lets go of its lock without release (GCC bug 101761): a race on machines with a weaker memory order than x86's.
// Threads: any.

#include <memory>
#include <mutex>
#include <utility>

namespace gantry {

template <class T>
class Published {
public:
    Published() = default;   // holds none
    explicit Published(T first) : value_(std::make_shared<const T>(std::move(first))) {}

    std::shared_ptr<const T> load() const {
        std::lock_guard lock(mutex_);
        return value_;
    }
    void store(std::shared_ptr<const T> next) {
        std::lock_guard lock(mutex_);
        value_.swap(next);   // the old one ends with the argument, when the lock is gone
    }

private:
    mutable std::mutex mutex_;
    std::shared_ptr<const T> value_;
};

}  // namespace gantry
