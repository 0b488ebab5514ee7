#include "engine/untouched_pages.h"

#include <ggml-backend.h>

#include <atomic>

#include "base/platform/memory.h"

namespace gantry::engine {
namespace {

std::atomic<uint64_t> untouched{0};
constexpr size_t kWorthIt = 1u << 20;

bool clear_without_writing(ggml_backend_buffer_t buffer) {
    const size_t size = ggml_backend_buffer_get_size(buffer);
    // Only the CPU's own buffers are known to be malloc's memory.
    if (size < kWorthIt || ggml_backend_buffer_get_type(buffer) != ggml_backend_cpu_buffer_type()) {
        return false;
    }
    size_t bytes = 0;
    const bool done = platform::zero_without_writing(ggml_backend_buffer_get_base(buffer), size, &bytes);
    untouched += bytes;
    return done;
}

}  // namespace

uint64_t untouched_bytes() { return untouched; }

}  // namespace gantry::engine

// The linker's names for the function itself and for what is called in its place.
extern "C" void __real_ggml_backend_buffer_clear(ggml_backend_buffer_t buffer, uint8_t value);
extern "C" void __wrap_ggml_backend_buffer_clear(ggml_backend_buffer_t buffer, uint8_t value) {
    if (value != 0 || !gantry::engine::clear_without_writing(buffer)) {
        __real_ggml_backend_buffer_clear(buffer, value);
    }
}
