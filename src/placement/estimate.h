#pragma once
// How much memory an instance takes, term by term. Pure. A term is a sum that a person can check: its formula stands beside it.
// What can't be known is named in `unknown` and never counted as 0; who decides treats such an estimate as one that fits nowhere
// by itself, and says what is missing.
//
// What to claim: total(), the most that is resident. On a CPU that counts what stays mapped of the file, which the kernel can drop: the
// machine then misses only the rest, Instance::memory_private_bytes. But dropped pages that are needed after all are read from the disk
// at each token, so a claim does not count on it.
// On devices: rank_bytes, each on its own card, and memory_bytes of each worker's machine.
//
// Sources: each backend's file in estimates/ names them (llama.cpp's allocation in the pinned tree, vLLM's profiling run, ...).

#include <cstdint>
#include <string>
#include <vector>

#include "domain/deployment.h"
#include "domain/evaluation.h"
#include "domain/model.h"

namespace gantry::placement {

// What is asked of the model: all chosen, nothing left to a default.
struct Shape {
    BackendKind backend = BackendKind::kEngine;
    BackendOptions options;            // for its kv_type and what extra_args say about memory
    std::string vendor = "cpu";        // of the devices it computes on
    uint32_t ranks = 1;                // devices that compute together
    uint32_t stages = 1;               // of a pipeline, into which these are divided evenly; vLLM's on several workers
    uint32_t layers_on_devices = 0;    // with accelerators: of meta.layers, the rest in memory; llama.cpp's backends only
    bool pipelined = false;            // its one rank is one of several that have all layers together; llama.cpp's backends only
    uint32_t context_tokens = 0;
    uint32_t sequences = 1;            // at once
};

Estimate estimate(const ModelMeta& meta, const Shape& shape);

// Bytes of keys and values (and states) of `sequences` sequences of `tokens` each, by each layer's kind; `type` as in
// BackendOptions::kv_type, empty: f16. Layers with a window keep it and `batch` tokens more. 0 with nothing known is impossible: `known`
// says so.
struct KvBytes {
    bool known = true;
    uint64_t total = 0;
    std::string formula;
};
KvBytes kv_bytes(const ModelMeta& meta, uint64_t tokens, uint64_t sequences, const std::string& type, uint64_t batch = 0);

// What vLLM gets as --gpu-memory-utilization (SGLang as --mem-fraction-static, MindIE as NPU_MEMORY_FRACTION) on a device of
// `device_total` bytes: `rank_bytes` and 2 % of room for another run's profile, rounded up to a hundredth; 1 at most, 0 where the total is unknown.
double vllm_memory_fraction(uint64_t rank_bytes, uint64_t device_total);

}  // namespace gantry::placement
