// Feeds the GGUF reader with anything at all. What it takes must be within the limits that later code relies on.

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include "models/gguf_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    gantry::models::ByteSource source;
    source.size = size;
    source.read = [data, size](uint64_t offset, char* out, size_t length) {
        if (offset > size || length > size - offset) std::abort();  // the reader asked beyond the end
        std::memcpy(out, data + offset, length);
        return true;
    };
    uint32_t parts = 1;
    // Every other part of a split model is this file again.
    const auto meta = gantry::models::read_gguf(source, [&](uint32_t, uint32_t) -> gantry::Result<gantry::models::ByteSource> {
        if (++parts > 1024) std::abort();
        return source;
    });
    if (!meta.ok()) {
        if (meta.error().message.empty() || meta.error().message.size() > 4096) std::abort();
        return 0;
    }
    // No tensor holds more than 8 values a byte, whatever its type.
    if (meta->parameter_count > parts * size * 8 || meta->architecture.empty() || meta->heads_kv > meta->heads) std::abort();
    if (meta->layers > 4096 || meta->name.size() > 256 || meta->modality.empty()) std::abort();
    const auto of_types = std::accumulate(meta->bytes_of_type.begin(), meta->bytes_of_type.end(), uint64_t{0},
                                          [](uint64_t sum, const auto& type) { return sum + type.second; });
    if (meta->weights.layers.size() != meta->layers || meta->weights.total() != of_types || of_types > parts * size) std::abort();
    if (!meta->layer_memory.empty() && meta->layer_memory.size() != meta->layers) std::abort();
    if (meta->layer_memory.find_first_not_of("fwlsb-") != std::string::npos) std::abort();
    if (!meta->layer_heads_kv.empty() && meta->layer_heads_kv.size() != meta->layers) std::abort();
    for (const uint32_t heads : meta->layer_heads_kv) {
        if (heads > meta->heads_kv) std::abort();
    }
    if (meta->state_bytes > (1ull << 63)) std::abort();
    return 0;
}
