#include "placement/estimates/overheads.h"

#include <algorithm>
#include <iterator>
#include <string_view>

namespace gantry::placement {
namespace {

constexpr uint64_t kMiB = 1ull << 20;

// Sources, by column. None was measured on hardware by this project but the CPU's.
// - context: NVIDIA: some 300 to 600 MiB a process for the CUDA context, kernels and cuBLAS' workspace; vLLM counts it as non-torch memory
//   (0.30 GiB with Qwen2.5-32B on an L40S, github.com/vllm-project/vllm/issues/15815). Ascend: what a card shows in use beyond vLLM's
//   share is 9 to 10 GB with graphs and HCCL, of which some 3 GB stand there without any process (github.com/vllm-project/vllm-ascend/issues/89).
// - communication: NCCL: with two ranks of Llama-3-8B 1.8 GiB more non-torch memory than with one (github.com/vllm-project/vllm/pull/10511).
//   HCCL: HCCL_BUFFSIZE, 200 MB by default, twice for each communication domain.
// - graphs: vLLM, 2.4 GiB a card for a 34B over four (github.com/vllm-project/vllm/issues/7553, V0); its log says 0.5 to 1 GiB for V1.
constexpr DeviceOverhead kOverheads[] = {
    {.vendor = "nvidia", .context_bytes = 512 * kMiB, .communication_bytes = 1843 * kMiB, .graph_bytes = 1024 * kMiB, .host_bytes = 1024 * kMiB},
    {.vendor = "amd", .context_bytes = 1024 * kMiB, .communication_bytes = 1843 * kMiB, .graph_bytes = 1024 * kMiB, .host_bytes = 1024 * kMiB},
    {.vendor = "apple", .context_bytes = 256 * kMiB, .communication_bytes = 0, .graph_bytes = 0, .host_bytes = 0},
    {.vendor = "ascend", .context_bytes = 1024 * kMiB, .communication_bytes = 1200 * kMiB, .graph_bytes = 1024 * kMiB, .host_bytes = 1024 * kMiB},
    // ggml-rpc-server with its CPU device: 5 MiB (VmHWM) before anybody asked anything of it, one run; the rest is room for its threads
    // and for what it takes off the network, and was not measured.
    {.vendor = "memory elsewhere", .context_bytes = 24 * kMiB, .communication_bytes = 0, .graph_bytes = 0, .host_bytes = 0},
    // Of these nobody publishes numbers: as AMD's, whose software theirs resembles.
    {.vendor = "other", .context_bytes = 1024 * kMiB, .communication_bytes = 1843 * kMiB, .graph_bytes = 1024 * kMiB, .host_bytes = 1024 * kMiB},
};

}  // namespace

const DeviceOverhead& device_overhead(const std::string& vendor) {
    const auto* found = std::find_if(std::begin(kOverheads), std::end(kOverheads), [&](const DeviceOverhead& o) { return vendor == o.vendor; });
    return found != std::end(kOverheads) ? *found : std::end(kOverheads)[-1];
}

}  // namespace gantry::placement
