// Feeds the GGUF reader with anything at all. What it takes must be within the limits that later code relies on.

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "models/gguf_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    gantry::models::ByteSource source;
    source.size = size;
    source.read = [data, size](uint64_t offset, char* out, size_t length) {
        if (offset > size || length > size - offset) std::abort();  // the reader asked beyond the end
        std::memcpy(out, data + offset, length);
        return true;
    };
    const auto meta = gantry::models::read_gguf(source);
    if (!meta.ok()) {
        if (meta.error().message.empty() || meta.error().message.size() > 4096) std::abort();
        return 0;
    }
    // No tensor holds more than 8 values a byte, whatever its type.
    if (meta->parameter_count > size * 8 || meta->architecture.empty() || meta->heads_kv > meta->heads) std::abort();
    if (meta->layers > 4096 || meta->name.size() > 256) std::abort();
    return 0;
}
