#include "worker/out_of_memory.h"

#include <algorithm>
#include <iterator>

namespace gantry::worker {
namespace {
// A process of many gigabytes takes seconds from the kernel's decision to its end.
constexpr std::chrono::seconds kWindow{10};

constexpr std::string_view kWords[] = {
    "CUDA out of memory",                       // PyTorch
    "HIP out of memory",
    "NPU out of memory",
    "MUSA out of memory",
    "torch.OutOfMemoryError",
    "torch.cuda.OutOfMemoryError",
    "CUDA error: out of memory",                // ggml
    "cudaMalloc failed: out of memory",
    "hipMalloc failed: out of memory",
    "unable to allocate CUDA",                  // llama.cpp: "unable to allocate CUDA0 buffer"
    "failed to allocate buffer for kv cache",
    "failed to allocate compute buffers",
    "failed to allocate compute pp buffers",
    "kIOGPUCommandBufferCallbackErrorOutOfMemory",
    "No available memory for the cache blocks", // vLLM
    "Not enough memory. Please try to increase --mem-fraction-static",   // SGLang
    "std::bad_alloc",
};
}  // namespace

bool says_out_of_memory(std::string_view log) {
    return std::any_of(std::begin(kWords), std::end(kWords), [log](std::string_view words) { return log.find(words) != log.npos; });
}

void OutOfMemoryWatch::sample(SteadyTime now, uint64_t count) {
    samples_.push_back({now, count});
    // The newest sample from before the window stays: it is what the window began with.
    while (samples_.size() > 1 && now - samples_[1].at >= kWindow) {
        samples_.pop_front();
    }
}

bool OutOfMemoryWatch::rose(SteadyTime now, uint64_t count) const {
    for (auto sample = samples_.rbegin(); sample != samples_.rend(); ++sample) {
        if (now - sample->at >= kWindow) {
            return count > sample->count;
        }
    }
    return !samples_.empty() && count > samples_.front().count;
}

}  // namespace gantry::worker
