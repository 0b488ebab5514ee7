#pragma once
// Three of ggml's functions that the linker replaces by ours wherever llama.cpp calls them (CMakeLists.txt: --wrap). llama.cpp itself
// stays as it is, and what they leave in memory is the same. Threads: any. A start waits for the first two:
//
// ggml_backend_buffer_clear: llama.cpp clears the whole KV cache and its output rows when it makes a context, so that hundreds of
// MiB are written, and resident, before the first request. Memory that the kernel takes back reads as zeros and is none until it is
// used.
// ggml_backend_tensor_set: weights of some types are packed anew for the kernels while they are loaded, on one thread. Each run of
// rows is packed for itself, so here each core takes some of them.
// ggml_aligned_malloc: results and the KV cache are walked through in strides of a row, each in a page of its own; in huge pages that
// costs a quarter less time in a prompt's products.

#include <cstdint>

namespace gantry::engine {

// What was done that way, in this process so far; 0 where this system has no such thing. Bytes.
struct OverrideCounts {
    uint64_t zeroed_untouched = 0;
    uint64_t packed_by_many = 0;
};
OverrideCounts override_counts();

}  // namespace gantry::engine
