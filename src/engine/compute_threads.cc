#include "engine/compute_threads.h"

#include <ggml-cpu.h>
#include <llama.h>

#include <algorithm>

#include "base/assert.h"

namespace gantry::engine {
namespace {

constexpr const char* kThreadName = "gantry-compute";
// How long a thread spins for the next graph before it sleeps, in units of 131,072 pauses: some milliseconds, more than passes
// between two steps. ggml's own 50 keeps a core busy for a tenth of a second after each step.
constexpr uint32_t kPoll = 1;
constexpr std::chrono::milliseconds kBetweenLooks{250};   // at the idle cores: the kernel counts them in hundredths of a second

}  // namespace

ComputeThreads::ComputeThreads(uint32_t count) : max_(std::max(count, 1u)), count_(max_) { start_pool(); }

// A pool of exactly so many threads: those of a larger one would spin beside the ones that compute.
void ComputeThreads::start_pool() {
    watched_caller_ = 0;
    pool_ids_.clear();
    if (count_ == 1) {
        pool_.reset();
        return;
    }
    ggml_threadpool_params params = ggml_threadpool_params_default(static_cast<int>(count_));
    params.poll = kPoll;
    const std::string own_name = platform::thread_name();
    const std::vector<int64_t> others = platform::threads_named(kThreadName);
    platform::set_thread_name(kThreadName);   // ggml's threads have no name of their own, and inherit this one
    pool_.reset(ggml_threadpool_new(&params));
    platform::set_thread_name(own_name);
    pool_ids_ = platform::threads_named(kThreadName);
    std::erase_if(pool_ids_, [&](int64_t id) { return std::find(others.begin(), others.end(), id) != others.end(); });
}

void ComputeThreads::attach(llama_context* context) {
    context_ = context;
    llama_set_n_threads(context_, static_cast<int32_t>(count_), static_cast<int32_t>(count_));
    if (pool_) {
        llama_attach_threadpool(context_, pool_.get(), pool_.get());
    } else {
        llama_detach_threadpool(context_);
    }
}

void ComputeThreads::set(uint32_t count) {
    GANTRY_ASSERT(count >= 1 && count <= max_, "1 to threads_max() threads");
    if (count == count_) {
        return;
    }
    count_ = count;
    if (!old_pool_) {
        old_pool_ = std::move(pool_);
    }
    start_pool();
    if (context_) {
        attach(context_);
    }
    idle_cores_.forget();
}

double ComputeThreads::waited_ms() {
    const int64_t caller = platform::thread_id();
    if (watched_caller_ != caller) {
        std::vector<int64_t> ids = pool_ids_;
        ids.push_back(caller);
        waits_ = platform::ThreadWaits(ids);
        watched_caller_ = caller;
    }
    return waits_.total_ms().value_or(-1);
}

void ComputeThreads::forward_starts() { waited_before_ms_ = waited_ms(); }

void ComputeThreads::forward_ended() {
    old_pool_.reset();
    const double waited = waited_ms();
    evidence_.waited_ms = waited_before_ms_ < 0 || waited < 0 ? -1 : std::max(0.0, waited - waited_before_ms_);
    if (count_ == max_) {
        evidence_.idle_cores = -1;
        return;
    }
    const SteadyTime now = std::chrono::steady_clock::now();
    if (now - looked_at_ >= kBetweenLooks) {
        looked_at_ = now;
        evidence_.idle_cores = idle_cores_.since_last_look(now).value_or(-1);
    }
}

}  // namespace gantry::engine
