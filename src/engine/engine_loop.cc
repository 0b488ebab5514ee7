// The engine's thread. Everything that crosses threads is in this file: requests come in through one bounded queue, cancels as a
// set of ids, numbers go out through one lock.
#include <algorithm>
#include <atomic>
#include <thread>
#include <unordered_set>

#include "base/bounded_queue.h"
#include "base/guarded.h"
#include "engine/engine_core.h"
#include "engine/prompt_lookup.h"

namespace gantry::engine {
namespace {

constexpr double kAbortWorthMs = 50;   // a forward that ends sooner is not cut: all its rows would be computed again

struct Arrival {
    SequenceId id = 0;                 // 0: only a wake-up
    SequenceRequest request;
    SteadyTime at{};
};

// The forward that runs right now, if any.
struct RunningForward {
    std::vector<SequenceId> ids;
    SteadyTime expected_end{};
    bool may_abort = false;            // not twice in a row: a stream of cancels must not keep everybody from advancing
};

class EngineLoop final : public Engine, private ForwardWatch {
public:
    EngineLoop(std::unique_ptr<ModelRunner> runner, const EngineConfig& config, std::unique_ptr<Drafter> drafter)
        : runner_(std::move(runner)),
          drafter_(std::move(drafter)),
          config_(config),
          capacity_(runner_->capacity()),
          inbox_(size_t{config.queue_limit} + kWakeUps),
          core_(EngineCoreParts{*runner_, system_clock(), planner_, this, drafter_.get()}, config),
          calibrations_(config.calibrate ? CostModel::calibration_rows(std::min(kCalibrationRowsMax, capacity_.batch_rows))
                                         : std::vector<uint32_t>{}),
          progress_(system_clock().steady()),
          thread_([this] { run(); }) {}

    ~EngineLoop() override {
        stopping_ = true;
        inbox_.close();
        runner_->abort_flag() = true;
        thread_.join();
    }

    Result<SequenceId> submit(SequenceRequest request) override {
        GANTRY_TRY(validate(request, capacity_));
        if (stopping_) {
            return unavailable("the engine is stopping: send the request again in a moment");
        }
        if (waiting_.fetch_add(1) >= config_.queue_limit) {
            waiting_.fetch_sub(1);
            return Error{ErrorCode::kRateLimited, "the engine's queue is full: send fewer requests at once, or later", {}, {}};
        }
        // Ids are the order of arrival, so taking one and queueing is one act.
        const SteadyTime now = system_clock().steady();
        return submitting_.with([&](SequenceId& last) -> Result<SequenceId> {
            if (!inbox_.try_push(Arrival{last + 1, std::move(request), now})) {
                waiting_.fetch_sub(1);
                return unavailable("the engine is stopping: send the request again in a moment");
            }
            if (calibrating_) {
                runner_->abort_flag() = true;
            }
            return ++last;
        });
    }

    void cancel(SequenceId id) override {
        cancelled_.with([&](auto& ids) { ids.insert(id); });
        const bool abort = forward_.with([&](const RunningForward& running) {
            return running.may_abort && std::find(running.ids.begin(), running.ids.end(), id) != running.ids.end() &&
                   running.expected_end - system_clock().steady() > std::chrono::duration<double, std::milli>(kAbortWorthMs);
        });
        if (abort) {
            runner_->abort_flag() = true;
        }
        if (inbox_.size() == 0) {
            inbox_.try_push(Arrival{});   // when it is not empty the loop is awake anyway
        }
    }

    EngineStats stats() const override {
        EngineStats stats = stats_.with([](const EngineStats& latest) { return latest; });
        stats.waiting += static_cast<uint32_t>(inbox_.size());
        return stats;
    }

    double seconds_since_progress() const override {
        if (idle_) {
            return 0;
        }
        return std::chrono::duration<double>(system_clock().steady() - progress_.load()).count();
    }

private:
    static constexpr size_t kWakeUps = 64;
    static constexpr uint32_t kCalibrationRowsMax = 64;   // more take too long to be in the way of the first request
    static constexpr std::chrono::seconds kCalibrationTime{2};

    void run() {
        while (!stopping_) {
            if (!core_.has_work()) {
                idle_ = true;
                rest();
                std::optional<Arrival> arrival = inbox_.pop();
                progress_ = system_clock().steady();
                idle_ = false;
                if (!arrival) {
                    break;
                }
                accept(std::move(*arrival));
            }
            // Cancels are taken before arrivals: then each cancel finds its request, which was queued before it.
            const std::unordered_set<SequenceId> cancelled = cancelled_.with([](auto& ids) { return std::exchange(ids, {}); });
            for (Arrival& arrival : inbox_.drain()) {
                accept(std::move(arrival));
            }
            for (SequenceId id : cancelled) {
                core_.cancel(id);
            }
            if (core_.has_work() && !stopping_ && wake()) {
                core_.step();
            }
            report();
        }
        inbox_.close();
        for (Arrival& arrival : inbox_.drain()) {
            accept(std::move(arrival));
        }
        core_.end_all(FinishReason::kCancelled, "the engine is stopping");
        report();
    }

    // With nothing else to do: learn what steps cost, then, after a while, give the memory back.
    void rest() {
        const SteadyTime started = system_clock().steady();
        while (!asleep_ && !calibrations_.empty() && !stopping_ && inbox_.size() == 0 && system_clock().steady() - started < kCalibrationTime) {
            calibrating_ = true;
            core_.calibrate(calibrations_.front());
            calibrating_ = false;
            calibrations_.erase(calibrations_.begin());
        }
        if (config_.sleep_after_s > 0 && !asleep_ && !stopping_ && !inbox_.wait_for(std::chrono::duration<double>(config_.sleep_after_s))) {
            asleep_ = !stopping_ && core_.set_asleep(true);
        }
    }

    // False: the memory cannot be had, and those who wait were told.
    bool wake() {
        asleep_ = asleep_ && !core_.set_asleep(false);
        if (asleep_) {
            core_.end_all(FinishReason::kError, "not enough memory to wake the model: stop another one, or try again later");
        }
        return !asleep_;
    }

    void accept(Arrival arrival) {
        if (arrival.id != 0) {
            core_.submit(arrival.id, std::move(arrival.request), arrival.at);
            ++accepted_;
        }
    }

    void report() {
        progress_ = system_clock().steady();
        // submit() counts up what it queues; what was admitted or has ended since counts down.
        const uint32_t left = accepted_ - core_.never_admitted();
        accepted_ -= left;
        waiting_.fetch_sub(left);
        stats_.with([&](EngineStats& latest) { latest = core_.stats(); });
    }

    void forward_starts(const std::vector<SequenceId>& ids, double expected_ms) override {
        const auto expected = std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>(
            expected_ms > 0 ? expected_ms : config_.step_ms_max));   // unknown: may well be long
        forward_.with([&](RunningForward& running) {
            running.ids = ids;
            running.expected_end = system_clock().steady() + expected;
            running.may_abort = !aborted_;
        });
    }

    void forward_ended(ForwardOutcome outcome) override {
        aborted_ = outcome == ForwardOutcome::kAborted;
        forward_.with([](RunningForward& running) { running = RunningForward{}; });
    }

    const std::unique_ptr<ModelRunner> runner_;
    const std::unique_ptr<Drafter> drafter_;
    const EngineConfig config_;
    const RunnerCapacity capacity_;
    const BatchPlanner planner_;

    // Any thread.
    BoundedQueue<Arrival> inbox_;
    Guarded<SequenceId> submitting_;                            // the last id given
    Guarded<std::unordered_set<SequenceId>> cancelled_;         // since the last step
    Guarded<RunningForward> forward_;
    Guarded<EngineStats> stats_;
    std::atomic<uint32_t> waiting_{0};                          // queued or never admitted yet
    std::atomic<bool> stopping_{false};
    std::atomic<bool> idle_{true};
    std::atomic<bool> calibrating_{false};

    // The loop's thread.
    EngineCore core_;
    uint32_t accepted_ = 0;                                     // counted in waiting_ and taken from the queue
    bool aborted_ = false;
    bool asleep_ = false;
    std::vector<uint32_t> calibrations_;                        // rows still to be timed

    std::atomic<SteadyTime> progress_;
    std::thread thread_;                                        // last: it uses all of the above
};

}  // namespace

std::unique_ptr<Engine> Engine::start(std::unique_ptr<ModelRunner> runner, EngineConfig config, std::unique_ptr<Drafter> drafter) {
    if (!drafter && config.speculate) {
        drafter = std::make_unique<PromptLookup>();
    }
    return std::make_unique<EngineLoop>(std::move(runner), config, std::move(drafter));
}

}  // namespace gantry::engine
