#include "sim/world.h"

#include <cstdlib>

namespace gantry::sim {

World::World(uint64_t seed) : random_(seed), ids_(seeded_random(seed ^ 0x9e3779b97f4a7c15u)) {}

void World::at(SteadyTime time, std::function<void()> act) {
    if (time == SteadyTime::max()) return;   // never
    // Whole milliseconds, so that the clock can stand at each.
    const auto whole = std::chrono::ceil<milliseconds>(std::max(time, clock_.steady()).time_since_epoch());
    events_.push({SteadyTime(whole), ++asked_, std::make_shared<std::function<void()>>(std::move(act))});
}

void World::run_until(milliseconds time) {
    const SteadyTime end = began_ + time;
    while (!violation_ && !events_.empty() && events_.top().time <= end) {
        const Event event = events_.top();
        events_.pop();
        clock_.advance(std::chrono::duration_cast<milliseconds>(event.time - clock_.steady()));
        ++done_;
        (*event.act)();
    }
    if (!violation_ && clock_.steady() < end) clock_.advance(std::chrono::duration_cast<milliseconds>(end - clock_.steady()));
}

void World::violated(const char* invariant, std::string what) {
    if (violation_) return;
    note("VIOLATED {}: {}", invariant, what);
    violation_ = Violation{invariant, std::move(what)};
}

void World::keep(std::string note) {
    static const bool aloud = std::getenv("GANTRY_SIM_VERBOSE") != nullptr;
    std::string line = fmt::format("{:>9.3f} s  {}", static_cast<double>(now().count()) / 1000, note);
    fingerprint_ = fingerprint_ * 1099511628211u ^ std::hash<std::string>{}(line);
    if (aloud) fmt::print(stderr, "{}\n", line);
    notes_.push_back(std::move(line));
    if (notes_.size() > kNotesKept) notes_.pop_front();
}

std::string World::story() const {
    std::string text;
    for (const std::string& note : notes_) text += note + "\n";
    return text;
}

}  // namespace gantry::sim
