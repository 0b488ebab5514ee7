#pragma once
// ggml's threads for one context: as many as the next forward shall use, and what the kernel says about them. Threads: the
// engine's only, which is one of them.

#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "base/platform/cpu_pressure.h"
#include "engine/llama_model_file.h"
#include "engine/model_runner.h"

namespace gantry::engine {

class ComputeThreads {
public:
    explicit ComputeThreads(uint32_t count);   // that many at most, and at first; the calling thread counts as one

    uint32_t max() const { return max_; }
    // To call after a context was made: its forwards use these threads. REQUIRES: this outlives it.
    void attach(llama_context* context);
    void forget_context() { context_ = nullptr; }   // before the context is freed
    void set(uint32_t count);
    // Around each forward.
    void forward_starts();
    void forward_ended();
    ThreadEvidence evidence() const { return evidence_; }   // of the last forward

private:
    void start_pool();
    double waited_ms();

    const uint32_t max_;
    uint32_t count_;
    llama_context* context_ = nullptr;
    LlamaThreadsPtr pool_;         // the others; null: one thread does it all
    LlamaThreadsPtr old_pool_;     // the context's back end may still know it until the next forward
    std::vector<int64_t> pool_ids_;
    platform::ThreadWaits waits_;
    int64_t watched_caller_ = 0;   // thread that waits_ counts beside the pool's
    double waited_before_ms_ = -1;
    platform::IdleCores idle_cores_;
    SteadyTime looked_at_{};
    ThreadEvidence evidence_;
};

}  // namespace gantry::engine
