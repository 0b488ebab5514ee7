#include "engine/llama_overrides.h"

#include <ggml-backend.h>
#include <ggml.h>

#include <algorithm>
#include <atomic>
#include <string_view>
#include <thread>
#include <vector>

#include "base/platform/memory.h"

// The linker's names for the functions themselves.
extern "C" void __real_ggml_backend_buffer_clear(ggml_backend_buffer_t buffer, uint8_t value);
extern "C" void* __real_ggml_aligned_malloc(size_t size);
extern "C" void __real_ggml_backend_tensor_set(ggml_tensor* tensor, const void* data, size_t offset, size_t size);

namespace gantry::engine {
namespace {

std::atomic<uint64_t> zeroed_untouched{0};
std::atomic<uint64_t> packed_by_many{0};
constexpr size_t kWorthIt = 1u << 20;   // bytes
constexpr size_t kWorthHugePages = 8u << 20;
constexpr int64_t kRowsTogether = 64;   // a multiple of the rows that any of ggml's packed layouts interleaves
constexpr int64_t kPackersMax = 16;

bool clear_without_writing(ggml_backend_buffer_t buffer) {
    const size_t size = ggml_backend_buffer_get_size(buffer);
    // Only the CPU's own buffers are known to be malloc's memory.
    if (size < kWorthIt || ggml_backend_buffer_get_type(buffer) != ggml_backend_cpu_buffer_type()) {
        return false;
    }
    size_t bytes = 0;
    const bool done = platform::zero_without_writing(ggml_backend_buffer_get_base(buffer), size, &bytes);
    zeroed_untouched += bytes;
    return done;
}

// Rows of a matrix in their own tensor, for which the packing is the same as within the whole.
ggml_tensor rows_of(const ggml_tensor& whole, int64_t first, int64_t count) {
    ggml_tensor part = whole;
    part.data = static_cast<char*>(whole.data) + static_cast<size_t>(first) * whole.nb[1];
    part.ne[1] = count;
    part.nb[2] = part.nb[3] = part.nb[1] * static_cast<size_t>(count);
    return part;
}

bool pack_by_many(const ggml_tensor& tensor, const char* data, size_t size) {
    const bool packs = tensor.buffer && std::string_view(ggml_backend_buffer_name(tensor.buffer)) == "CPU_REPACK";
    const auto cores = std::min<int64_t>(platform::usable_cores(), kPackersMax);
    const int64_t rows = tensor.ne[1];
    const int64_t each = (rows / cores + kRowsTogether - 1) / kRowsTogether * kRowsTogether;
    if (!packs || cores < 2 || size < kWorthIt || ggml_n_dims(&tensor) != 2 || size != ggml_nbytes(&tensor) || each >= rows) {
        return false;
    }
    const auto pack = [&](int64_t first) {
        ggml_tensor part = rows_of(tensor, first, std::min(each, rows - first));
        __real_ggml_backend_tensor_set(&part, data + static_cast<size_t>(first) * tensor.nb[1], 0, ggml_nbytes(&part));
    };
    {
        std::vector<std::jthread> others;
        for (int64_t first = each; first < rows; first += each) {
            others.emplace_back(pack, first);
        }
        pack(0);
    }
    packed_by_many += size;
    return true;
}

}  // namespace

OverrideCounts override_counts() { return {.zeroed_untouched = zeroed_untouched, .packed_by_many = packed_by_many}; }

}  // namespace gantry::engine

extern "C" void* __wrap_ggml_aligned_malloc(size_t size) {
    void* memory = __real_ggml_aligned_malloc(size);
    if (memory != nullptr && size >= gantry::engine::kWorthHugePages) {
        gantry::platform::wish_huge_pages(memory, size);
    }
    return memory;
}

extern "C" void __wrap_ggml_backend_buffer_clear(ggml_backend_buffer_t buffer, uint8_t value) {
    if (value != 0 || !gantry::engine::clear_without_writing(buffer)) {
        __real_ggml_backend_buffer_clear(buffer, value);
    }
}

extern "C" void __wrap_ggml_backend_tensor_set(ggml_tensor* tensor, const void* data, size_t offset, size_t size) {
    if (offset != 0 || !gantry::engine::pack_by_many(*tensor, static_cast<const char*>(data), size)) {
        __real_ggml_backend_tensor_set(tensor, data, offset, size);
    }
}
