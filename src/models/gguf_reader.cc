#include "models/gguf_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <optional>
#include <set>

#include "models/gguf_cursor.h"
#include "models/gguf_types.h"

namespace gantry::models {
namespace {

// What a file may declare. All are far over what any published model has, and each bounds memory or time: names are kept for
// the check for duplicates (16 Ki keys of 1 KiB, 64 Ki tensors of 64 bytes: at most 24 MiB), arrays are walked, never kept.
constexpr uint64_t kPairsMax = 16 * 1024;
constexpr uint64_t kTensorsMax = 64 * 1024;
constexpr uint64_t kKeyBytesMax = 1024;
constexpr uint64_t kTensorNameBytesMax = 63;      // ggml's own limit
constexpr uint64_t kStringsMax = 16ull << 20;     // in one array, the vocabulary
constexpr uint64_t kLayersMax = 4096;
constexpr uint64_t kHeadsMax = 64 * 1024;
constexpr uint64_t kWidthMax = 4ull << 20;        // embedding_length, key_length, value_length
constexpr uint64_t kContextMax = 1ull << 30;
constexpr uint64_t kAlignmentMax = 1ull << 20;
constexpr uint64_t kDefaultAlignment = 32;
constexpr uint64_t kPerLayerMax = kLayersMax;     // arrays with a number for each layer that are looked into

enum ValueType : uint32_t {
    kUint8, kInt8, kUint16, kInt16, kUint32, kInt32, kFloat32, kBool, kString, kArray, kUint64, kInt64, kFloat64,
};

// Bytes of one value of a type; 0: no fixed size, or no such type.
uint64_t width_of(uint32_t type) {
    switch (type) {
        case kUint8: case kInt8: case kBool: return 1;
        case kUint16: case kInt16: return 2;
        case kUint32: case kInt32: case kFloat32: return 4;
        case kUint64: case kInt64: case kFloat64: return 8;
        default: return 0;
    }
}

Error invalid(const std::string& what) {
    return invalid_argument("invalid model file: " + what, {}, "invalid_model_file");
}

// What is kept of a key-value pair.
struct Value {
    uint32_t type = 0;            // of an array: of its elements
    bool array = false;
    uint64_t count = 1;           // elements of an array
    bool integer = false;         // `number` is set; of a per-layer array it is the largest
    uint64_t number = 0;
    std::string text;
};
using Values = std::map<std::string, Value>;

// One number of an integer type, sign-extended and negative ones refused by `fits`.
bool read_integer(Cursor& cursor, uint32_t type, uint64_t& out, bool& is_integer) {
    int64_t wide = 0;
    is_integer = true;
    bool read = false;
    switch (type) {
        case kUint8: case kBool: { uint8_t v = 0; read = cursor.number(v); wide = v; break; }
        case kInt8: { int8_t v = 0; read = cursor.number(v); wide = v; break; }
        case kUint16: { uint16_t v = 0; read = cursor.number(v); wide = v; break; }
        case kInt16: { int16_t v = 0; read = cursor.number(v); wide = v; break; }
        case kUint32: { uint32_t v = 0; read = cursor.number(v); wide = v; break; }
        case kInt32: { int32_t v = 0; read = cursor.number(v); wide = v; break; }
        case kUint64: case kInt64: read = cursor.number(wide); break;
        default: is_integer = false; return cursor.skip(width_of(type));
    }
    out = static_cast<uint64_t>(wide);  // a negative number becomes a huge one, over every limit
    return read;
}

bool read_array(Cursor& cursor, const std::string& key, Value& value) {
    value.array = true;
    if (!cursor.number(value.type) || !cursor.number(value.count)) return false;
    if (value.type == kString) {
        if (value.count > kStringsMax || value.count > cursor.left() / sizeof(uint64_t)) {
            return cursor.fail(fmt::format("the array of key '{}' declares {} strings, more than there can be", shown(key),
                                           value.count));
        }
        for (uint64_t i = 0; i < value.count; ++i) {
            uint64_t length = 0;
            if (!cursor.number(length) || !cursor.skip(length)) return false;
        }
        return true;
    }
    const uint64_t width = width_of(value.type);
    if (width == 0) {
        return cursor.fail(fmt::format("the array of key '{}' has elements of the invalid type {}", shown(key), value.type));
    }
    if (value.count > cursor.left() / width) {
        return cursor.fail(fmt::format("the array of key '{}' declares {} elements, more than the file holds", shown(key),
                                       value.count));
    }
    if (value.count == 0 || value.count > kPerLayerMax) return cursor.skip(value.count * width);
    for (uint64_t i = 0; i < value.count; ++i) {
        uint64_t number = 0;
        if (!read_integer(cursor, value.type, number, value.integer)) return false;
        value.number = std::max(value.number, number);
    }
    return true;
}

bool read_pairs(Cursor& cursor, uint64_t count, Values& values) {
    for (uint64_t i = 0; i < count; ++i) {
        std::string key;
        if (!cursor.text(key, kKeyBytesMax, fmt::format("the name of key {}", i))) return false;
        if (key.empty()) return cursor.fail(fmt::format("key {} has no name", i));
        Value value;
        if (!cursor.number(value.type)) return false;
        bool read = false;
        if (value.type == kArray) {
            read = read_array(cursor, key, value);
        } else if (value.type == kString) {
            read = cursor.text_cut(value.text);
        } else if (width_of(value.type) > 0) {
            read = read_integer(cursor, value.type, value.number, value.integer);
        } else {
            return cursor.fail(fmt::format("key '{}' has the invalid type {}", shown(key), value.type));
        }
        if (!read) return false;
        if (!values.emplace(key, std::move(value)).second) {
            return cursor.fail(fmt::format("key '{}' appears twice", shown(key)));
        }
    }
    return true;
}

struct TensorTotals {
    uint64_t parameters = 0;
    uint64_t data_bytes = 0;                                       // from the first tensor to the end of the last
    std::array<uint64_t, kTensorTypeCount> elements_of_type{};
};

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

bool read_tensor(Cursor& cursor, uint64_t index, uint64_t alignment, std::set<std::string>& names, TensorTotals& totals) {
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
    if (!names.insert(name).second) return fail("appears twice");
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
    const uint64_t expected = (totals.data_bytes + alignment - 1) / alignment * alignment;
    if (offset != expected) return fail(fmt::format("starts at {} of the data, {} expected", offset, expected));
    if (bytes > (1ull << 62) - expected) return fail("lies beyond the end of the file");
    totals.data_bytes = expected + bytes;
    totals.parameters += elements;
    totals.elements_of_type[type_id] += elements;
    return true;
}

// Reads the tensors' descriptions and holds them against the file's size.
bool read_tensors(Cursor& cursor, uint64_t count, uint64_t alignment, uint64_t file_bytes, TensorTotals& totals) {
    std::set<std::string> names;
    for (uint64_t i = 0; i < count; ++i) {
        if (!read_tensor(cursor, i, alignment, names, totals)) return false;
        // Checked as we go, so that the totals stay far from overflowing.
        if (totals.data_bytes > file_bytes) return cursor.fail("its tensors need more bytes than the file has");
    }
    const uint64_t data_begin = (cursor.position() + alignment - 1) / alignment * alignment;
    if (data_begin > file_bytes || totals.data_bytes > file_bytes - data_begin) {
        return cursor.fail(fmt::format("its tensors end at byte {}, but the file has only {}: it is cut off",
                                       data_begin + totals.data_bytes, file_bytes));
    }
    return true;
}

bool read_counts(Cursor& cursor, uint64_t& tensors, uint64_t& pairs) {
    char magic[4] = {};
    uint32_t version = 0;
    if (!cursor.bytes(magic, sizeof magic)) return false;
    if (std::memcmp(magic, "GGUF", 4) != 0) return cursor.fail("it does not start with GGUF: another format, or damaged");
    if (!cursor.number(version)) return false;
    if ((version & 0xFFFF) == 0 && version != 0) return cursor.fail("it was made for big-endian machines");
    if (version != 2 && version != 3) {
        return cursor.fail(fmt::format("it has GGUF version {}; 2 and 3 are understood", version));
    }
    if (!cursor.number(tensors) || !cursor.number(pairs)) return false;
    // The least that each takes in the file: a length, one letter, a type and a byte; a length, two counts and an offset.
    if (pairs > kPairsMax || pairs > cursor.left() / 14) {
        return cursor.fail(fmt::format("it declares {} keys, more than there can be", pairs));
    }
    if (tensors > kTensorsMax || tensors > cursor.left() / 24) {
        return cursor.fail(fmt::format("it declares {} tensors, more than there can be", tensors));
    }
    if (tensors == 0) return cursor.fail("it holds no tensors");
    return true;
}

bool read_alignment(Cursor& cursor, const Values& values, uint64_t& alignment) {
    const auto found = values.find("general.alignment");
    if (found == values.end()) return true;
    const Value& value = found->second;
    if (value.array || value.type != kUint32) return cursor.fail("key 'general.alignment' is no 32-bit number");
    alignment = value.number;
    if (alignment == 0 || alignment > kAlignmentMax || (alignment & (alignment - 1)) != 0) {
        return cursor.fail(fmt::format("the alignment {} is no power of two up to {}", alignment, kAlignmentMax));
    }
    return true;
}

// The model's own numbers, under "<architecture>.".
class Hyperparameters {
public:
    Hyperparameters(const Values& values, std::string architecture, Cursor& cursor)
        : values_(values), prefix_(std::move(architecture) + "."), cursor_(cursor) {}

    // Absent: `out` stays 0. Present: 1 to `most`, or also 0 where `zero` says that it may be.
    bool take(const char* name, uint64_t most, bool zero, uint32_t& out) {
        const auto found = values_.find(prefix_ + name);
        if (found == values_.end()) return true;
        const Value& value = found->second;
        if (!value.integer) return cursor_.fail(fmt::format("key '{}{}' is no number", prefix_, name));
        if (value.number > most || (value.number == 0 && !zero)) {
            return cursor_.fail(fmt::format("key '{}{}' is {}; {} to {} is possible", prefix_, name, value.number,
                                            zero ? 0 : 1, most));
        }
        out = static_cast<uint32_t>(value.number);
        return true;
    }
    bool has_prefix(const char* name) const {
        const std::string key = prefix_ + name;
        const auto found = values_.lower_bound(key);
        return found != values_.end() && found->first.starts_with(key);
    }

private:
    const Values& values_;
    const std::string prefix_;
    Cursor& cursor_;
};

bool read_shape(Cursor& cursor, const Values& values, ModelMeta& meta) {
    Hyperparameters numbers(values, meta.architecture, cursor);
    // State-space models have no attention heads, or none in some layers, and their files say 0.
    const bool no_heads = numbers.has_prefix("ssm.") || numbers.has_prefix("wkv.");
    const bool taken = numbers.take("block_count", kLayersMax, false, meta.layers) &&
                       numbers.take("context_length", kContextMax, false, meta.context_length) &&
                       numbers.take("embedding_length", kWidthMax, false, meta.embedding_length) &&
                       numbers.take("attention.head_count", kHeadsMax, no_heads, meta.heads) &&
                       numbers.take("attention.head_count_kv", kHeadsMax, no_heads, meta.heads_kv) &&
                       numbers.take("attention.key_length", kWidthMax, no_heads, meta.key_length) &&
                       numbers.take("attention.value_length", kWidthMax, no_heads, meta.value_length) &&
                       numbers.take("vocab_size", kStringsMax, true, meta.vocabulary);
    if (!taken) return false;
    if (meta.heads_kv == 0 && !no_heads) meta.heads_kv = meta.heads;  // the format's default
    if (meta.heads_kv > meta.heads) {
        return cursor.fail(fmt::format("it has more key-value heads ({}) than heads ({})", meta.heads_kv, meta.heads));
    }
    if (meta.heads > 0 && meta.key_length == 0 && meta.embedding_length > 0 && meta.heads > meta.embedding_length) {
        return cursor.fail(fmt::format("{} heads do not fit into an embedding of {}", meta.heads, meta.embedding_length));
    }
    return true;
}

bool text_of(const Values& values, const char* key, std::string& out) {
    const auto found = values.find(key);
    if (found == values.end() || found->second.array || found->second.type != kString) return false;
    out = found->second.text;
    return true;
}

// What llama.cpp's models of that kind are for; an encoder that names no pooling is used by the mean of its tokens.
std::string pooling_of(const Values& values, const std::string& architecture) {
    constexpr std::array<const char*, 5> kNames = {"", "mean", "cls", "last", "rank"};
    const auto number_of = [&](const char* key) -> std::optional<uint64_t> {
        const auto found = values.find(architecture + key);
        return found != values.end() && found->second.integer && !found->second.array ? std::optional(found->second.number)
                                                                                       : std::nullopt;
    };
    const uint64_t type = number_of(".pooling_type").value_or(0);
    if (type > 0 && type < kNames.size()) return kNames[type];
    return number_of(".attention.causal").value_or(1) == 0 ? "mean" : "";
}

bool valid_architecture(const std::string& text) {
    return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
    });
}

bool read_meta(Cursor& cursor, const Values& values, const TensorTotals& totals, ModelMeta& meta) {
    if (!text_of(values, "general.architecture", meta.architecture)) {
        return cursor.fail("key 'general.architecture' is missing");
    }
    if (!valid_architecture(meta.architecture)) return cursor.fail("key 'general.architecture' is no name");
    const auto parts = values.find("split.count");
    if (parts != values.end() && parts->second.number > 1) {
        return cursor.fail(fmt::format("it is one part of {} of a split model; join them with llama-gguf-split --merge",
                                       parts->second.number));
    }
    std::string name;
    if (text_of(values, "general.name", name)) meta.name = shown(name);
    if (!read_shape(cursor, values, meta)) return false;
    const auto tokens = values.find("tokenizer.ggml.tokens");
    if (tokens != values.end() && tokens->second.array) meta.vocabulary = static_cast<uint32_t>(
        std::min(tokens->second.count, kStringsMax));
    std::string chat_template;
    meta.has_chat_template = text_of(values, "tokenizer.chat_template", chat_template) && !chat_template.empty();
    meta.pooling = pooling_of(values, meta.architecture);

    meta.parameter_count = totals.parameters;
    const auto most = std::max_element(totals.elements_of_type.begin(), totals.elements_of_type.end());
    if (*most > 0) {
        const auto type = static_cast<uint32_t>(most - totals.elements_of_type.begin());
        const auto file_type = values.find("general.file_type");
        const bool says = file_type != values.end() && file_type->second.integer;
        meta.quantization = quantization_name(tensor_type(type).name, says ? file_type->second.number : UINT64_MAX);
    }
    return true;
}

bool read_all(Cursor& cursor, uint64_t file_bytes, ModelMeta& meta) {
    uint64_t tensors = 0;
    uint64_t pairs = 0;
    uint64_t alignment = kDefaultAlignment;
    Values values;
    TensorTotals totals;
    return read_counts(cursor, tensors, pairs) && read_pairs(cursor, pairs, values) &&
           read_alignment(cursor, values, alignment) && read_tensors(cursor, tensors, alignment, file_bytes, totals) &&
           read_meta(cursor, values, totals, meta);
}

}  // namespace

Result<ModelMeta> read_gguf(const ByteSource& source) {
    ModelMeta meta;
    meta.format = "gguf";
    meta.file_bytes = source.size;
    Cursor cursor(source);
    if (!read_all(cursor, source.size, meta)) return invalid(cursor.problem());
    return meta;
}

}  // namespace gantry::models
