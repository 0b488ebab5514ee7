#include "models/gguf_tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string_view>

#include "models/gguf_types.h"

namespace gantry::models {
namespace {

constexpr uint64_t kTensorNameBytesMax = 63;      // ggml's own limit

// Elements of a tensor of this shape, and its bytes; false when they cannot be counted.
bool measure(const std::array<uint64_t, 4>& shape, const TensorType& type, uint64_t& elements, uint64_t& bytes) {
    constexpr uint64_t kMost = INT64_MAX;
    uint64_t product = 1;  // of the other dimensions where one is 0: strides are computed from them
    bool empty = false;
    for (const uint64_t n : shape) {
        if (n > kMost || (n > 1 && product > kMost / n)) return false;
        product *= std::max<uint64_t>(n, 1);
        empty = empty || n == 0;
    }
    const uint64_t blocks = product / type.block_elements;
    if (blocks > kMost / type.block_bytes) return false;
    elements = empty ? 0 : product;
    bytes = empty ? 0 : blocks * type.block_bytes;
    return true;
}

// By llama.cpp's names (src/llama-arch.cpp). What stands before the first layer is the embedding's, what stands after the last
// the output's; it decides there too what stays in memory and what goes with the last device.
TensorPlace place_of(std::string_view name) {
    constexpr std::string_view kBlock = "blk.";
    constexpr std::array<std::string_view, 4> kInput = {"token_embd", "per_layer_token_embd", "position_embd", "token_types"};
    constexpr std::array<std::string_view, 4> kOutput = {"output.", "output_norm.", "cls.", "cls_norm."};
    const auto begins = [&](std::string_view prefix) { return name.starts_with(prefix); };
    if (begins(kBlock)) {
        uint32_t layer = 0;
        const char* const end = name.data() + name.size();
        const auto [after, problem] = std::from_chars(name.data() + kBlock.size(), end, layer);
        if (problem == std::errc() && after != end && *after == '.') return {Place::kLayer, layer};
    }
    if (std::any_of(kInput.begin(), kInput.end(), begins)) return {Place::kEmbedding};
    if (std::any_of(kOutput.begin(), kOutput.end(), begins)) return {Place::kOutput};
    return {Place::kOther};
}

// `data_bytes`: from the first tensor to the end of the last.
bool read_tensor(Cursor& cursor, uint64_t index, uint64_t alignment, uint64_t& data_bytes, GgufTensors& tensors) {
    std::string name;
    if (!cursor.text(name, kTensorNameBytesMax, fmt::format("the name of tensor {}", index))) return false;
    const auto fail = [&](const std::string& what) {
        return cursor.fail(fmt::format("tensor '{}' {}", shown(name), what));
    };
    uint32_t dimensions = 0;
    if (!cursor.number(dimensions)) return false;
    if (dimensions > 4) return fail(fmt::format("has {} dimensions, over the limit of 4", dimensions));
    std::array<uint64_t, 4> shape{1, 1, 1, 1};
    for (uint32_t d = 0; d < dimensions; ++d) {
        if (!cursor.number(shape[d])) return false;
    }
    uint32_t type_id = 0;
    uint64_t offset = 0;
    if (!cursor.number(type_id) || !cursor.number(offset)) return false;
    if (!tensors.names.insert(name).second) return fail("appears twice");
    const TensorType& type = tensor_type(type_id);
    if (type.name == nullptr) return fail(fmt::format("has the unknown type {}", type_id));
    if (shape[0] % type.block_elements != 0) {
        return fail(fmt::format("has rows of {} elements, no multiple of the {} of a block of {}", shape[0],
                                type.block_elements, type.name));
    }
    uint64_t elements = 0;
    uint64_t bytes = 0;
    if (!measure(shape, type, elements, bytes)) return fail("is larger than can be counted");
    // Tensors follow each other without gaps, each padded to the alignment: anything else overlaps or lies outside.
    const uint64_t expected = (data_bytes + alignment - 1) / alignment * alignment;
    if (offset != expected) return fail(fmt::format("starts at {} of the data, {} expected", offset, expected));
    if (bytes > (1ull << 62) - expected) return fail("lies beyond the end of the file");
    data_bytes = expected + bytes;
    tensors.tally.add(place_of(name), type.name, elements, bytes);
    return true;
}

}  // namespace

bool read_tensors(Cursor& cursor, uint64_t count, uint64_t alignment, uint64_t file_bytes, GgufTensors& tensors) {
    if (tensors.names.size() + count > kTensorsMax) return cursor.fail(fmt::format("it has more than {} tensors", kTensorsMax));
    uint64_t data_bytes = 0;
    for (uint64_t i = 0; i < count; ++i) {
        if (!read_tensor(cursor, i, alignment, data_bytes, tensors)) return false;
        // Checked as we go, so that the totals stay far from overflowing.
        if (data_bytes > file_bytes) return cursor.fail("its tensors need more bytes than the file has");
    }
    const uint64_t data_begin = (cursor.position() + alignment - 1) / alignment * alignment;
    if (count > 0 && (data_begin > file_bytes || data_bytes > file_bytes - data_begin)) {
        return cursor.fail(fmt::format("its tensors end at byte {}, but the file has only {}: it is cut off",
                                       data_begin + data_bytes, file_bytes));
    }
    return true;
}

}  // namespace gantry::models
