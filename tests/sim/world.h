#pragma once
// Time, chance and order of a simulation: one clock that moves from event to event, one seeded generator that everything is drawn
// from, one queue of events in the order of their times. The first violation of an invariant ends it.
// Threads: one.

#include <fmt/format.h>

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"

namespace gantry::sim {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

struct Violation {
    std::string invariant;   // the name of the function that found it
    std::string what;
};

class World {
public:
    explicit World(uint64_t seed);

    const FakeClock& clock() const { return clock_; }
    SteadyTime steady() const { return clock_.steady(); }
    milliseconds now() const { return std::chrono::duration_cast<milliseconds>(clock_.steady() - began_); }   // since the beginning

    uint64_t below(uint64_t bound) { return bound == 0 ? 0 : random_() % bound; }
    bool chance(double probability) { return static_cast<double>(random_() >> 11) * 0x1.0p-53 < probability; }
    milliseconds between(milliseconds least, milliseconds most) {
        return least + milliseconds(static_cast<int64_t>(below(static_cast<uint64_t>((most - least).count()) + 1)));
    }
    template <class T>
    T& pick(std::vector<T>& of) { return of[below(of.size())]; }
    RandomSource& ids() { return *ids_; }        // of everything in the world, for ids and jitter
    uint64_t number() { return random_(); }

    void after(milliseconds delay, std::function<void()> act) { at(clock_.steady() + delay, std::move(act)); }
    void at(SteadyTime time, std::function<void()> act);
    // Until `time` since the beginning, or the first violation.
    void run_until(milliseconds time);

    void violated(const char* invariant, std::string what);
    const std::optional<Violation>& violation() const { return violation_; }

    // What happened, for who reads a violation; the last ones are kept.
    template <class... Args>
    void note(fmt::format_string<Args...> format, Args&&... args) { keep(fmt::format(format, std::forward<Args>(args)...)); }
    std::string story() const;
    uint64_t events() const { return done_; }
    uint64_t fingerprint() const { return fingerprint_; }   // of all that was noted: the same for the same seed

private:
    static constexpr size_t kNotesKept = 400;
    struct Event {
        SteadyTime time;
        uint64_t number;     // of two at the same time the one that was asked for first comes first
        std::shared_ptr<std::function<void()>> act;   // shared: a priority queue gives its top only to read
        bool operator<(const Event& other) const { return std::tie(time, number) > std::tie(other.time, other.number); }
    };
    void keep(std::string note);

    FakeClock clock_;
    const SteadyTime began_ = clock_.steady();
    std::mt19937_64 random_;
    std::unique_ptr<RandomSource> ids_;
    std::priority_queue<Event> events_;
    uint64_t asked_ = 0, done_ = 0, fingerprint_ = 0;
    std::optional<Violation> violation_;
    std::deque<std::string> notes_;
};

}  // namespace gantry::sim
