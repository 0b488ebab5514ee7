// One benchmark: its targets are found, waited for and warmed up, its steps taken in turn, what came of each is kept.
#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "base/version.h"
#include "bench/workload.h"
#include "control/benchmarks/benchmark_targets.h"
#include "control/benchmarks/benchmark_work.h"

namespace gantry::control {
namespace {

constexpr std::chrono::milliseconds kLookEvery{100};       // of tokens
constexpr std::chrono::milliseconds kLookAgain{200};       // whether a deployment is ready
constexpr std::chrono::minutes kReadyWithin{15};
constexpr uint32_t kWarmUpTokens = 4;
constexpr uint32_t kWarmUpTries = 30;
constexpr std::chrono::milliseconds kTryWarmUpEvery{500};
// Of all runs together, so that a result takes about a megabyte at most (some 300 bytes a sample, 9 a token).
constexpr size_t kSamplesKept = 2'000;
constexpr size_t kTokenTimesKept = 40'000;

// The figures of the runs, without samples.
std::string runs_text(const std::vector<bench::TargetRuns>& targets) {
    json::array runs;
    for (const bench::TargetRuns& entry : targets) {
        for (const bench::Run& run : entry.runs) {
            json::object figures = bench::to_json(run);
            figures.erase("samples");
            figures.erase("samples_left_out");
            figures["target"] = entry.target.name;
            runs.emplace_back(std::move(figures));
        }
    }
    return json::serialize(runs);
}

// Of a run in which requests failed: how many, and the first one's error.
std::string failures_of(const bench::Run& run) {
    for (const bench::RequestSample& sample : run.samples) {
        if (sample.ok) continue;
        return fmt::format("{} of {} requests failed at {} at once: {}", run.requests_failed, run.samples.size(), run.concurrency, sample.error);
    }
    return {};
}

}  // namespace

void Benchmarks::measure(Work& work) {
    find_targets(work);
    for (size_t i = 0; i < work.targets.size() && !work.stopped(); ++i) {
        for (uint32_t tries = 1; wait_until_ready(work, i) && !warm_up(work, i, tries >= kWarmUpTries); ++tries) {
            std::unique_lock lock(mutex_);
            woken_.wait_for(lock, work.stop, kTryWarmUpEvery, [] { return false; });
        }
    }
    for (size_t i = 0; i < work.steps.size() && !work.stopped(); ++i) {
        if (!work.lost[work.steps[i].target]) take_step(work, i);
        if (clock_.steady() > work.until) end(Ending::kTooLong);
    }
}

void Benchmarks::find_targets(Work& work) {
    Benchmark& b = work.benchmark;
    work.lost.assign(b.targets.size(), false);
    for (size_t i = 0; i < b.targets.size(); ++i) {
        BenchmarkTarget& target = b.targets[i];
        Result<std::string> key = std::string();
        if (!target.sealed_key.empty()) key = secrets_.open(target.sealed_key, b.id.text);
        Result<bench::Target> reached = key ? reach(b, target, own_endpoint_, *key) : key.error();
        work.targets.emplace_back();
        work.targets[i].target.name = target.name;
        if (!reached) {
            target.error = work.targets[i].error = reached.error().message;
            work.lost[i] = true;
            continue;
        }
        work.targets[i].target = *std::move(reached);
    }
}

// False: it will not be, or the benchmark ends.
bool Benchmarks::wait_until_ready(Work& work, size_t index) {
    BenchmarkTarget& target = work.benchmark.targets[index];
    if (work.lost[index]) return false;
    bench::Target& reached = work.targets[index].target;
    if (target.deployment.empty()) {
        target.backend = reached.backend = "openai";
        target.version = reached.version = shown_error(bench::version_of(reached), reached.api_key);
        return true;
    }
    const SteadyTime until = clock_.steady() + kReadyWithin;
    Readiness ready = readiness_of(*publisher_.view(), target.deployment);
    while (ready.state == Readiness::State::kComing && clock_.steady() < until && !work.stopped()) {
        note([&](Benchmark& b) { b.reason = "waits: " + ready.why; });
        std::unique_lock lock(mutex_);
        woken_.wait_for(lock, work.stop, kLookAgain, [] { return false; });
        lock.unlock();
        ready = readiness_of(*publisher_.view(), target.deployment);
    }
    note([&](Benchmark& b) { b.reason.clear(); });
    if (work.stopped()) return false;
    if (ready.state != Readiness::State::kReady) {
        target.error = work.targets[index].error = ready.why;
        work.lost[index] = true;
        return false;
    }
    return true;
}

// A short request that is not measured: the first one after a start pays for what later ones find done. And what it wakes is then there to
// be described. False: nobody is there, though the tables say so, as right after a start of the server: they will know better soon.
bool Benchmarks::warm_up(Work& work, size_t index, bool last_try) {
    BenchmarkTarget& target = work.benchmark.targets[index];
    bench::TargetRuns& entry = work.targets[index];
    bench::Workload workload;
    workload.prompts = {bench::lead_sentence(work.benchmark.settings.seed ^ 0x7761726d, static_cast<uint32_t>(index))};
    workload.max_tokens = kWarmUpTokens;
    note([&](Benchmark& b) { b.progress.target = target.name; });
    bench::Hooks hooks;
    hooks.stop = work.stop;
    const Result<bench::Run> run = bench::run(entry.target, workload, hooks);
    if (work.stopped()) return true;
    if (!run || run->requests_ok == 0) {
        const std::string& error = run ? run->samples.at(0).error : run.error().message;
        const bool away = error.starts_with("status 502") || error.starts_with("status 503");
        if (away && !target.deployment.empty() && !last_try) return false;
        target.error = entry.error = "it does not answer: " + shown_error(error, entry.target.api_key);
        work.lost[index] = true;
    } else if (!target.deployment.empty()) {
        bool admin = false;
        if (const auto user = store_.user(work.benchmark.user_id)) admin = user->role == Role::kAdmin;
        describe_deployment(*publisher_.view(), admin, target);
        take_description(target, entry.target);
    }
    note([&](Benchmark& b) { b.targets = work.benchmark.targets; });
    return true;
}

void Benchmarks::take_step(Work& work, size_t index) {
    const BenchmarkStep& step = work.steps[index];
    const BenchmarkSettings& settings = work.benchmark.settings;
    BenchmarkTarget& target = work.benchmark.targets[step.target];
    bench::TargetRuns& entry = work.targets[step.target];
    const Result<bench::Workload> workload = workload_of(settings, step);
    if (!workload) {
        target.error = entry.error = workload.error().message;
        work.lost[step.target] = true;
        return;
    }
    const SteadyTime began = clock_.steady();
    uint32_t done = 0;
    uint32_t failed = 0;
    uint64_t tokens = 0;
    const auto look = [&] {
        const double by_time = std::chrono::duration<double>(clock_.steady() - began).count() / std::max(settings.duration_seconds, 1u);
        const double part = settings.duration_seconds > 0 ? std::min(by_time, 1.0) : static_cast<double>(done) / workload->requests;
        note([&](Benchmark& b) {
            b.progress.fraction = (static_cast<double>(index) + part) / static_cast<double>(work.steps.size());
            b.progress.requests_done = work.requests_done + done;
            b.progress.requests_failed = work.requests_failed + failed;
            b.progress.output_tokens = work.output_tokens + tokens;
            b.progress.target = target.name;
            b.progress.concurrency = workload->concurrency;
        });
        if (clock_.steady() > work.until) end(Ending::kTooLong);
    };
    look();
    bench::Hooks hooks;
    hooks.stop = work.stop;
    SteadyTime looked = began;
    hooks.on_token = [&](uint32_t, const std::string&) {
        ++tokens;
        if (clock_.steady() - looked < kLookEvery) return;
        looked = clock_.steady();
        look();
    };
    hooks.on_request = [&](const bench::RequestSample& sample) {
        ++done;
        failed += sample.ok ? 0 : 1;
        look();
    };
    Result<bench::Run> run = bench::run(entry.target, *workload, hooks);
    if (work.stopped()) return;   // half a run is no result
    if (!run) {
        target.error = entry.error = shown_error(run.error().message, entry.target.api_key);
        work.lost[step.target] = true;
        return;
    }
    for (bench::RequestSample& sample : run->samples) {
        sample.text = {};
        if (!sample.ok) sample.error = shown_error(sample.error, entry.target.api_key);
    }
    work.requests_done += run->requests_ok + run->requests_failed;
    work.requests_failed += run->requests_failed;
    work.output_tokens += run->output_tokens;
    if (run->requests_failed > 0) target.error = entry.error = failures_of(*run);
    if (run->requests_ok == 0) work.lost[step.target] = true;
    const bool further = step.round > 0 && !entry.runs.empty() && entry.runs.back().concurrency == run->concurrency;
    if (further) bench::append_round(entry.runs.back(), *std::move(run));
    else entry.runs.push_back(*std::move(run));
    const bool last_round = settings.kind == BenchmarkKind::kLoad || step.round + 1 == settings.rounds;
    if (last_round || work.lost[step.target]) {
        const size_t runs = settings.concurrencies.size() * work.targets.size();
        bench::cap_samples(entry.runs.back(), std::max<size_t>(kSamplesKept / runs, 1), kTokenTimesKept / runs);
    }
    note([&](Benchmark& b) { b.targets = work.benchmark.targets; });
    (void)keep(work);   // the next one brings all of it
}

void Benchmarks::finish(Work& work, const std::stop_token& stopping) {
    Benchmark& b = work.benchmark;
    Ending ending = Ending::kNone;
    std::string why;
    {
        std::lock_guard lock(mutex_);
        ending = running_->ending;
        why = running_->why;
        b.progress = running_->benchmark.progress;
    }
    b.state = BenchmarkState::kFailed;
    if (ending == Ending::kCancelled) {
        b.state = BenchmarkState::kCancelled;
        b.reason = why;
    } else if (ending == Ending::kServerStops) {
        b.reason = "the server was stopped while it ran; results so far are kept";
    } else if (ending == Ending::kTooLong) {
        b.reason = fmt::format("it took longer than {} hours; results so far are kept", kBenchmarkAllSecondsMax / 3600);
    } else {
        for (size_t i = 0; i < b.targets.size(); ++i) {
            if (work.lost[i]) b.reason += fmt::format("{}{}: {}", b.reason.empty() ? "" : "; ", b.targets[i].name, b.targets[i].error);
        }
        if (b.reason.empty()) {
            b.state = BenchmarkState::kDone;
            b.progress.fraction = 1;
        }
    }
    b.progress.requests_done = work.requests_done;
    b.progress.requests_failed = work.requests_failed;
    b.progress.output_tokens = work.output_tokens;
    close_benchmark(b, clock_.wall());
    // A disk that is full takes nothing else either, so that nobody waits for this but those who wait for it.
    while (!keep(work) && !stopping.stop_requested()) {
        std::unique_lock lock(mutex_);
        woken_.wait_for(lock, stopping, kBenchmarkTryAgain, [] { return false; });
    }
    log::info("benchmark {} of {} is {}{}{}", b.id.text, b.user_name, to_string(b.state), b.reason.empty() ? "" : ": ", b.reason);
}

bool Benchmarks::keep(Work& work) {
    Benchmark& b = work.benchmark;
    b.runs = runs_text(work.targets);
    const bool any = std::any_of(work.targets.begin(), work.targets.end(), [](const auto& entry) { return !entry.runs.empty(); });
    if (any || is_over(b.state)) b.result = json::serialize(bench::report(work.targets, commit(), command_line_of(b)));
    {
        std::lock_guard lock(mutex_);
        running_->benchmark.runs = b.runs;
        untold_ = true;
    }
    if (work.taken_away) return true;
    const Status kept = store_.update_benchmark(b);
    if (kept) return true;
    // Somebody cancelled or deleted it while it was about to begin: its row is another's now.
    work.taken_away = kept.error().code == ErrorCode::kConflict || kept.error().code == ErrorCode::kNotFound;
    if (!work.taken_away) log::error("benchmark {}: its results can't be kept: {}; it is tried again", b.id.text, kept.error().message);
    return work.taken_away;
}

}  // namespace gantry::control
