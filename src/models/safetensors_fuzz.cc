// Feeds the safetensors reader with anything at all. What it takes must cover the file, no more.

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include "models/safetensors_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    gantry::models::ByteSource source;
    source.size = size;
    source.read = [data, size](uint64_t offset, char* out, size_t length) {
        if (offset > size || length > size - offset) std::abort();  // the reader asked beyond the end
        std::memcpy(out, data + offset, length);
        return true;
    };
    for (const uint32_t bits : {0u, 4u}) {
        gantry::models::WeightTally tally;
        const auto read = gantry::models::read_safetensors(source, {.packed_bits = bits, .encoder_apart = bits != 0}, tally);
        if (!read.ok()) {
            if (read.error().message.empty() || read.error().message.size() > 4096) std::abort();
            return 0;
        }
        const auto bytes = std::accumulate(tally.bytes_of_type().begin(), tally.bytes_of_type().end(), uint64_t{0},
                                           [](uint64_t sum, const auto& type) { return sum + type.second; });
        if (bytes > size || tally.by_place(2).total() != bytes || tally.layers_seen() > 4096) std::abort();
        if (tally.parameters() > size * 16) std::abort();
    }
    return 0;
}
