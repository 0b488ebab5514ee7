#pragma once
// llama.cpp clears the whole KV cache and its output rows when it makes a context: hundreds of MiB are written, and resident, before
// the first request, and a start waits for it. Memory that is fresh from the kernel is zero already. So the linker sends the calls
// of ggml_backend_buffer_clear here (CMakeLists.txt: --wrap), and what is zeroed in the machine's own memory is given back to the
// kernel instead, which hands out zeros when a page is used. llama.cpp itself stays as it is. Threads: any.

#include <cstdint>

namespace gantry::engine {

// Bytes that were not written that way, in this process so far; 0 where this system has no such thing.
uint64_t untouched_bytes();

}  // namespace gantry::engine
