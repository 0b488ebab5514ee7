#include "control/benchmarks/benchmarks.h"

#include <algorithm>
#include <exception>

#include "base/log.h"
#include "control/benchmarks/benchmark_work.h"

namespace gantry::control {
namespace {

constexpr std::chrono::seconds kCancelWithin{5};

std::shared_ptr<const WatchedObject> watched(const json::object& object, const Benchmark& benchmark) {
    const std::string text = json::serialize(object);
    return std::make_shared<const WatchedObject>(WatchedObject{text, text, benchmark.user_id.text});
}

uint32_t count_before(const std::vector<Benchmark>& open, const BenchmarkId& id) {
    const auto found = std::find_if(open.begin(), open.end(), [&](const Benchmark& b) { return b.id == id; });
    return static_cast<uint32_t>(found - open.begin());
}

}  // namespace

Status Benchmarks::recover() {
    auto open = store_.open_benchmarks();
    if (!open) return open.error();
    for (Benchmark& b : *open) {
        if (b.state != BenchmarkState::kRunning) continue;
        auto whole = store_.benchmark(b.id);   // with its result, which stays
        if (!whole) return whole.error();
        whole->state = BenchmarkState::kFailed;
        whole->reason = "the server was stopped or killed while it ran; results so far are kept";
        close_benchmark(*whole, clock_.wall());
        GANTRY_TRY(store_.update_benchmark(*whole));
        log::warn("benchmark {}: {}", b.id.text, whole->reason);
    }
    return changed();
}

void Benchmarks::start() {
    measuring_ = std::jthread([this](const std::stop_token& stopping) { loop(stopping); });
    telling_ = std::jthread([this](const std::stop_token& stopping) { tell_loop(stopping); });
}

void Benchmarks::stop() {
    end(Ending::kServerStops);
    for (std::jthread* thread : {&measuring_, &telling_}) {
        thread->request_stop();
    }
    for (std::jthread* thread : {&measuring_, &telling_}) {
        if (thread->joinable()) thread->join();
    }
}

Status Benchmarks::changed() {
    std::lock_guard in_turn(publishing_);
    std::map<std::string, std::shared_ptr<const WatchedObject>> objects;
    const auto open = store_.open_benchmarks();
    if (!open) return open.error();
    store::PageRequest page;
    page.limit = 500;
    do {
        auto rows = store_.benchmarks(page);
        if (!rows) return rows.error();
        for (Benchmark& b : rows->items) objects[b.id.text] = watched(shown(b, *open, false), b);
        page.cursor = rows->next_cursor;
    } while (!page.cursor.empty());
    publisher_.publish_benchmarks(std::move(objects));
    {
        std::lock_guard lock(mutex_);
        wanted_ = true;
    }
    woken_.notify_all();
    return Ok{};
}

void Benchmarks::end(Ending ending) {
    std::lock_guard lock(mutex_);
    end_locked(ending);
}

void Benchmarks::end_locked(Ending ending, const std::string& why) {
    if (!running_ || running_->ending != Ending::kNone) return;
    running_->ending = ending;
    running_->why = why;
    running_->stop.request_stop();
}

bool Benchmarks::cancel_running(const BenchmarkId& id, const std::string& why) {
    std::unique_lock lock(mutex_);
    if (!running_ || running_->benchmark.id != id) return false;
    end_locked(Ending::kCancelled, why);
    woken_.wait_for(lock, kCancelWithin, [&] { return !running_ || running_->benchmark.id != id; });
    return true;
}

json::object Benchmarks::shown(Benchmark benchmark, const std::vector<Benchmark>& open, bool with_result) const {
    {
        std::lock_guard lock(mutex_);
        if (running_ && running_->benchmark.id == benchmark.id && benchmark.state == BenchmarkState::kRunning) {
            benchmark.progress = running_->benchmark.progress;
            benchmark.targets = running_->benchmark.targets;
            benchmark.reason = running_->benchmark.reason;
        }
    }
    return protocol::management::to_json(benchmark, count_before(open, benchmark.id), with_result);
}

void Benchmarks::tell_loop(const std::stop_token& stopping) {
    while (!stopping.stop_requested()) {
        {
            std::unique_lock lock(mutex_);
            woken_.wait_for(lock, stopping, kBenchmarkTellEvery, [] { return false; });
        }
        std::lock_guard in_turn(publishing_);
        std::optional<Benchmark> now;
        {
            std::lock_guard lock(mutex_);
            if (std::exchange(untold_, false) && running_) now = running_->benchmark;
        }
        if (now) publisher_.publish_benchmark(now->id.text, watched(protocol::management::to_json(*now, 0, false), *now));
    }
}

void Benchmarks::loop(const std::stop_token& stopping) {
    while (!stopping.stop_requested()) {
        {
            std::unique_lock lock(mutex_);
            woken_.wait(lock, stopping, [this] { return wanted_; });
            wanted_ = false;
        }
        while (!stopping.stop_requested()) {
            std::optional<Benchmark> benchmark = next(stopping);
            if (!benchmark) break;
            const std::string id = benchmark->id.text;
            try {
                run(*std::move(benchmark), stopping);
            } catch (const std::exception& problem) {
                // Only what a library throws where it should not can arrive here; the row says "running" until the next start.
                log::error("benchmark {}: {}", id, problem.what());
                std::lock_guard lock(mutex_);
                running_.reset();
                break;
            }
        }
    }
}

// The oldest that waits, marked as running. A database that refuses is asked again in a while.
std::optional<Benchmark> Benchmarks::next(const std::stop_token& stopping) {
    auto open = store_.open_benchmarks();
    if (open) {
        const auto waits = std::find_if(open->begin(), open->end(), [](const Benchmark& b) { return b.state == BenchmarkState::kQueued; });
        if (waits == open->end()) return std::nullopt;
        waits->state = BenchmarkState::kRunning;
        waits->started_at = clock_.wall();
        waits->reason.clear();
        waits->progress = {.requests_total = requests_of_all(waits->settings, waits->targets.size())};
        const Status taken = store_.update_benchmark(*waits);
        if (taken) return std::move(*waits);
        if (taken.error().code == ErrorCode::kConflict || taken.error().code == ErrorCode::kNotFound) return next(stopping);   // cancelled just now
        open = taken.error();
    }
    log::error("benchmarks: the next one can't begin: {}; it is tried again in {} s", open.error().message, kBenchmarkTryAgain.count());
    std::unique_lock lock(mutex_);
    woken_.wait_for(lock, stopping, kBenchmarkTryAgain, [] { return false; });
    wanted_ = true;
    return std::nullopt;
}

void Benchmarks::run(Benchmark benchmark, const std::stop_token& stopping) {
    Work work{.benchmark = std::move(benchmark), .steps = {}};
    work.steps = steps_of(work.benchmark.settings, work.benchmark.targets.size());
    work.until = clock_.steady() + std::chrono::seconds(kBenchmarkAllSecondsMax);
    {
        std::lock_guard lock(mutex_);
        running_.emplace(Running{work.benchmark, std::stop_source(), Ending::kNone, {}});
        work.stop = running_->stop.get_token();
        if (stopping.stop_requested()) end_locked(Ending::kServerStops);   // stop() came between
    }
    (void)changed();
    log::info("benchmark {} of {} begins: {}", work.benchmark.id.text, work.benchmark.user_name, command_line_of(work.benchmark));
    measure(work);
    finish(work, stopping);
    {
        std::lock_guard lock(mutex_);
        running_.reset();
    }
    woken_.notify_all();
    if (Status told = changed(); !told) log::error("benchmarks: {}", told.error().message);
}

}  // namespace gantry::control
