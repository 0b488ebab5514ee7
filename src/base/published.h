#pragma once
// A value that is replaced whole while others read it: they keep what they got. Not std::atomic<std::shared_ptr>, whose load()
// in libstdc++ 12 lets go of its lock without release (GCC bug 101761): a race on machines with a weaker memory order than x86's.
// Threads: any.

#include <memory>
#include <utility>

#include "base/guarded.h"

namespace gantry {

template <class T>
class Published {
public:
    Published() = default;   // holds none
    explicit Published(T first) : value_(std::make_shared<const T>(std::move(first))) {}

    std::shared_ptr<const T> load() const {
        return value_.with([](const auto& value) { return value; });
    }
    void store(std::shared_ptr<const T> next) {
        value_.with([&next](auto& value) { value.swap(next); });   // the old one ends with the argument, when the lock is gone
    }

private:
    Guarded<std::shared_ptr<const T>> value_;
};

}  // namespace gantry
