#include "engine/embedder.h"

#include <fmt/format.h>

#include <algorithm>
#include <list>
#include <thread>
#include <unordered_set>

#include "base/bounded_queue.h"
#include "base/clock.h"
#include "base/guarded.h"

namespace gantry::engine {
namespace {

constexpr size_t kJobsMax = 4096;   // in the inbox; its inputs are what is really limited
constexpr size_t kWakeUps = 64;
constexpr size_t kLookAhead = 4;    // times batch_inputs: how many waiting inputs are looked at to fill one forward

struct Arrival {
    EmbeddingJobId id = 0;          // 0: only a wake-up
    EmbeddingJob job;
};

struct OpenJob {
    EmbeddingJobId id = 0;
    EmbeddingJob job;
    std::vector<size_t> waiting;    // inputs not computed yet, in order
    Vectors vectors;
};

// An input of the next forward.
struct Pick {
    OpenJob* job = nullptr;
    size_t input = 0;
};

class EmbedderLoop final : public Embedder {
public:
    EmbedderLoop(std::unique_ptr<EmbeddingRunner> runner, const EmbedderConfig& config)
        : runner_(std::move(runner)),
          config_(config),
          capacity_(runner_->capacity()),
          inbox_(kJobsMax + kWakeUps),
          progress_(system_clock().steady()),
          thread_([this] { run(); }) {}

    ~EmbedderLoop() override {
        stopping_ = true;
        inbox_.close();
        runner_->abort_flag() = true;
        thread_.join();
    }

    Result<EmbeddingJobId> submit(EmbeddingJob job) override {
        GANTRY_TRY(validate(job));
        const auto count = static_cast<uint32_t>(job.inputs.size());
        const Error full{ErrorCode::kRateLimited, "the engine's queue is full: send fewer inputs at once, or later", {}, {}};
        if (stopping_) {
            return stopped();
        }
        const uint32_t before = waiting_.fetch_add(count);
        if ((before > 0 && before + count > config_.queue_limit) || inbox_.size() >= kJobsMax) {
            waiting_.fetch_sub(count);
            return full;
        }
        // Ids are the order of arrival, so taking one and queueing is one act.
        return submitting_.with([&](EmbeddingJobId& last) -> Result<EmbeddingJobId> {
            if (!inbox_.try_push(Arrival{last + 1, std::move(job)})) {
                waiting_.fetch_sub(count);
                return stopping_ ? stopped() : full;
            }
            return ++last;
        });
    }

    void cancel(EmbeddingJobId id) override {
        running_.with([&](Running& running) {
            running.cancelled.insert(id);
            const bool in_vain = !running.jobs.empty() && std::all_of(running.jobs.begin(), running.jobs.end(), [&](EmbeddingJobId job) {
                return running.cancelled.contains(job);
            });
            if (in_vain) {
                runner_->abort_flag() = true;
            }
        });
        if (inbox_.size() == 0) {
            inbox_.try_push(Arrival{});   // when it is not empty the loop is awake anyway
        }
    }

    EmbedderStats stats() const override {
        EmbedderStats stats = stats_.with([](const EmbedderStats& latest) { return latest; });
        stats.waiting = waiting_;
        return stats;
    }

    double seconds_since_progress() const override {
        return idle_ ? 0 : std::chrono::duration<double>(system_clock().steady() - progress_.load()).count();
    }

private:
    // What cancel() and the loop share: the jobs of the forward that runs, and what was cancelled since the loop last looked.
    struct Running {
        std::vector<EmbeddingJobId> jobs;
        std::unordered_set<EmbeddingJobId> cancelled;
    };

    static Error stopped() { return unavailable("the engine is stopping: send the request again", "engine_stopping"); }

    Status validate(const EmbeddingJob& job) const {
        if (job.inputs.empty()) {
            return invalid_argument("there is nothing to compute", "input");
        }
        for (const std::vector<TokenId>& input : job.inputs) {
            if (input.empty()) {
                return invalid_argument("an input has no tokens", "input");
            }
            if (input.size() > capacity_.input_tokens) {
                return input_too_long(input.size(), capacity_.input_tokens, "input");
            }
            for (const TokenId token : input) {
                if (token < 0 || static_cast<uint32_t>(token) >= capacity_.vocabulary) {
                    return invalid_argument(fmt::format("there is no token {}: this model's are 0 to {}", token, capacity_.vocabulary - 1),
                                            "input");
                }
            }
        }
        return Ok{};
    }

    void run() {
        while (!stopping_) {
            if (jobs_.empty()) {
                idle_ = true;
                std::optional<Arrival> arrival = inbox_.pop();
                progress_ = system_clock().steady();
                idle_ = false;
                if (!arrival) {
                    break;
                }
                accept(std::move(*arrival));
            }
            // Cancels are taken before arrivals: then each cancel finds its job, which was queued before it.
            const auto cancelled = running_.with([](Running& running) { return std::exchange(running.cancelled, {}); });
            for (Arrival& arrival : inbox_.drain()) {
                accept(std::move(arrival));
            }
            drop(cancelled);
            if (!jobs_.empty() && !stopping_) {
                step();
            }
            progress_ = system_clock().steady();
        }
        inbox_.close();
        for (Arrival& arrival : inbox_.drain()) {
            accept(std::move(arrival));
        }
        while (!jobs_.empty()) {
            finish(jobs_.begin(), stopped());
        }
    }

    void accept(Arrival arrival) {
        if (arrival.id == 0) {
            return;
        }
        OpenJob& open = jobs_.emplace_back();
        open.id = arrival.id;
        open.job = std::move(arrival.job);
        open.vectors.resize(open.job.inputs.size());
        open.waiting.resize(open.job.inputs.size());
        for (size_t i = 0; i < open.waiting.size(); ++i) {
            open.waiting[i] = i;
        }
    }

    void drop(const std::unordered_set<EmbeddingJobId>& cancelled) {
        for (auto job = jobs_.begin(); job != jobs_.end() && !cancelled.empty();) {
            const auto next = std::next(job);
            if (cancelled.contains(job->id)) {
                finish(job, Error{ErrorCode::kCancelled, "the request was cancelled", {}, {}});
            }
            job = next;
        }
    }

    void finish(std::list<OpenJob>::iterator job, Result<Vectors> outcome) {
        waiting_.fetch_sub(static_cast<uint32_t>(job->waiting.size()));
        const std::function<void(Result<Vectors>)> on_done = std::move(job->job.on_done);
        jobs_.erase(job);
        on_done(std::move(outcome));
    }

    // The first that waits goes in any case; of those behind it whatever still fits.
    std::vector<Pick> plan() {
        std::vector<Pick> picks;
        size_t rows = 0;
        size_t looked_at = 0;
        for (OpenJob& job : jobs_) {
            for (const size_t input : job.waiting) {
                const size_t length = job.job.inputs[input].size();
                if (rows + length <= capacity_.batch_rows) {
                    picks.push_back({&job, input});
                    rows += length;
                }
                const bool enough = ++looked_at >= kLookAhead * capacity_.batch_inputs;
                if (picks.size() >= capacity_.batch_inputs || rows >= capacity_.batch_rows || enough) {
                    return picks;
                }
            }
        }
        return picks;
    }

    void step() {
        const std::vector<Pick> picks = plan();
        GANTRY_ASSERT(!picks.empty(), "an open job waits for something that fits");
        std::vector<EmbeddingInput> inputs;
        size_t tokens = 0;
        running_.with([&](Running& running) {
            running.jobs.clear();
            for (const Pick& pick : picks) {
                inputs.emplace_back(pick.job->job.inputs[pick.input]);
                tokens += inputs.back().size();
                if (running.jobs.empty() || running.jobs.back() != pick.job->id) {
                    running.jobs.push_back(pick.job->id);
                }
            }
        });
        const SteadyTime begun = system_clock().steady();
        const Result<ForwardOutcome> outcome = runner_->forward(inputs);
        const double took_ms = std::chrono::duration<double, std::milli>(system_clock().steady() - begun).count();
        running_.with([](Running& running) { running.jobs.clear(); });
        if (outcome && *outcome == ForwardOutcome::kAborted) {
            return;   // for jobs that are cancelled: the next round drops them
        }
        stats_.with([&](EmbedderStats& stats) {
            stats.forwards_total += 1;
            stats.last_forward_ms = took_ms;
            stats.inputs_total += outcome ? picks.size() : 0;
            stats.tokens_total += outcome ? tokens : 0;
        });
        outcome ? keep(picks) : fail(picks, outcome.error());
    }

    void keep(const std::vector<Pick>& picks) {
        for (size_t i = 0; i < picks.size(); ++i) {
            const std::span<const float> vector = runner_->vector(i);
            picks[i].job->vectors[picks[i].input].assign(vector.begin(), vector.end());
        }
        take_off(picks);
        for (auto job = jobs_.begin(); job != jobs_.end();) {
            const auto next = std::next(job);
            if (job->waiting.empty()) {
                finish(job, std::move(job->vectors));
            }
            job = next;
        }
    }

    void fail(const std::vector<Pick>& picks, const Error& error) {
        std::unordered_set<const OpenJob*> failed;
        for (const Pick& pick : picks) {
            failed.insert(pick.job);
        }
        for (auto job = jobs_.begin(); job != jobs_.end();) {
            const auto next = std::next(job);
            if (failed.contains(&*job)) {
                finish(job, error);
            }
            job = next;
        }
    }

    // The picks of a job come one after the other and in order, as they wait.
    void take_off(const std::vector<Pick>& picks) {
        for (size_t first = 0; first < picks.size();) {
            size_t end = first;
            std::vector<size_t>& waiting = picks[first].job->waiting;
            std::vector<size_t> left;
            for (const size_t input : waiting) {
                if (end < picks.size() && picks[end].job == picks[first].job && picks[end].input == input) {
                    ++end;
                } else {
                    left.push_back(input);
                }
            }
            waiting.swap(left);
            waiting_.fetch_sub(static_cast<uint32_t>(end - first));
            first = end;
        }
    }

    const std::unique_ptr<EmbeddingRunner> runner_;
    const EmbedderConfig config_;
    const EmbeddingCapacity capacity_;

    // Any thread.
    BoundedQueue<Arrival> inbox_;
    Guarded<EmbeddingJobId> submitting_;          // the last id given
    Guarded<Running> running_;
    Guarded<EmbedderStats> stats_;
    std::atomic<uint32_t> waiting_{0};            // inputs
    std::atomic<bool> stopping_{false};
    std::atomic<bool> idle_{true};

    // The loop's thread.
    std::list<OpenJob> jobs_;                     // by arrival

    std::atomic<SteadyTime> progress_;
    std::thread thread_;                          // last: it uses all of the above
};

}  // namespace

const char* to_string(Pooling pooling) {
    switch (pooling) {
        case Pooling::kMean: return "mean";
        case Pooling::kCls: return "cls";
        case Pooling::kLast: return "last";
        case Pooling::kRank: return "rank";
    }
    return "";
}

std::optional<Pooling> pooling_named(const std::string& name) {
    for (const Pooling pooling : {Pooling::kMean, Pooling::kCls, Pooling::kLast, Pooling::kRank}) {
        if (name == to_string(pooling)) {
            return pooling;
        }
    }
    return std::nullopt;
}

Error input_too_long(uint64_t tokens, uint32_t input_tokens, const std::string& param) {
    return invalid_argument(fmt::format("this model takes {} tokens an input, and '{}' has {}: shorten or split it", input_tokens, param,
                                        tokens),
                            param, "context_length_exceeded");
}

std::unique_ptr<Embedder> Embedder::start(std::unique_ptr<EmbeddingRunner> runner, EmbedderConfig config) {
    return std::make_unique<EmbedderLoop>(std::move(runner), config);
}

}  // namespace gantry::engine
