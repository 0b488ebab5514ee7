#pragma once
// Time is a parameter. What is stored or shown is wall time; what is waited for, leased or backed off is steady time, so that
// a clock set back an hour changes no behaviour. Threads: SystemClock and FakeClock may be used from any.

#include <atomic>
#include <chrono>
#include <string>

namespace gantry {

using WallTime = std::chrono::sys_time<std::chrono::milliseconds>;
using SteadyTime = std::chrono::steady_clock::time_point;
using Duration = std::chrono::nanoseconds;

class Clock {
public:
    virtual ~Clock() = default;
    virtual WallTime wall() const = 0;
    virtual SteadyTime steady() const = 0;
};

class SystemClock final : public Clock {
public:
    WallTime wall() const override {
        return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
    }
    SteadyTime steady() const override { return std::chrono::steady_clock::now(); }
};
const Clock& system_clock();

// A clock that moves only when told to.
class FakeClock final : public Clock {
public:
    WallTime wall() const override { return WallTime(std::chrono::milliseconds(wall_ms_.load())); }
    SteadyTime steady() const override { return SteadyTime(std::chrono::milliseconds(steady_ms_.load())); }
    void advance(std::chrono::milliseconds by) { steady_ms_ += by.count(); wall_ms_ += by.count(); }
    void set_wall(WallTime to) { wall_ms_ = to.time_since_epoch().count(); }  // the steady clock does not follow

private:
    std::atomic<int64_t> wall_ms_{1'700'000'000'000};
    std::atomic<int64_t> steady_ms_{1'000'000};
};

// "2026-11-23T21:22:23.456Z" and back; an unreadable text gives the epoch.
std::string to_rfc3339(WallTime time);
WallTime from_rfc3339(const std::string& text);

inline int64_t to_unix_ms(WallTime time) { return time.time_since_epoch().count(); }
inline WallTime from_unix_ms(int64_t ms) { return WallTime(std::chrono::milliseconds(ms)); }

// A point by which something must be done. It travels with the request; "no deadline" is the far future.
class Deadline {
public:
    Deadline() = default;  // never
    static Deadline at(SteadyTime time) { Deadline d; d.time_ = time; return d; }
    static Deadline after(Duration duration) {
        return at(std::chrono::steady_clock::now() + std::chrono::duration_cast<SteadyTime::duration>(duration));
    }
    SteadyTime time() const { return time_; }
    bool never() const { return time_ == SteadyTime::max(); }
    bool passed(SteadyTime now) const { return now >= time_; }

private:
    SteadyTime time_ = SteadyTime::max();
};

}  // namespace gantry
