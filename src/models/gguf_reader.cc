#include "models/gguf_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <set>
#include <string_view>

#include "models/gguf_cursor.h"
#include "models/gguf_shape.h"
#include "models/gguf_tensors.h"
#include "models/gguf_types.h"
#include "models/gguf_values.h"
#include "models/limits.h"

namespace gantry::models {
namespace {

// Names are kept for the check for duplicates: 16 Ki keys of 1 KiB. Arrays are walked; of a few, their numbers are kept.
constexpr uint64_t kPairsMax = 16 * 1024;
constexpr uint64_t kAlignmentMax = 1ull << 20;
constexpr uint64_t kDefaultAlignment = 32;

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

std::optional<uint64_t> number_of(const Values& values, const std::string& key) {
    const auto found = values.find(key);
    return found != values.end() && found->second.integer && !found->second.array ? std::optional(found->second.number)
                                                                                   : std::nullopt;
}

// What llama.cpp's models of that kind are for; an encoder that names no pooling is used by the mean of its tokens.
std::string pooling_of(const Values& values, const std::string& architecture) {
    constexpr std::array<const char*, 5> kNames = {"", "mean", "cls", "last", "rank"};
    const uint64_t type = number_of(values, architecture + ".pooling_type").value_or(0);
    if (type > 0 && type < kNames.size()) return kNames[type];
    return number_of(values, architecture + ".attention.causal").value_or(1) == 0 ? "mean" : "";
}

std::string modality_of(const Values& values, const ModelMeta& meta) {
    // Of stable-diffusion.cpp and of llama.cpp's voices.
    static const std::set<std::string_view> kImage = {"flux", "sd1", "sdxl", "sd3", "aura", "hidream", "cosmos", "lumina2",
                                                      "qwen_image", "wan", "hyvid", "ltxv"};
    static const std::set<std::string_view> kSpeech = {"wavtokenizer-dec", "qwen3tts"};
    std::string type;
    if (meta.architecture == "clip" || (text_of(values, "general.type", type) && type == "mmproj")) return "vision";
    if (kImage.contains(meta.architecture)) return "image";
    if (kSpeech.contains(meta.architecture)) return "speech";
    return meta.pooling.empty() ? "text" : meta.pooling == "rank" ? "rerank" : "embedding";
}

bool valid_architecture(const std::string& text) {
    return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
    });
}

bool read_meta(Cursor& cursor, const Values& values, ModelMeta& meta) {
    if (!text_of(values, "general.architecture", meta.architecture)) {
        return cursor.fail("key 'general.architecture' is missing");
    }
    if (!valid_architecture(meta.architecture)) return cursor.fail("key 'general.architecture' is no name");
    std::string name;
    if (text_of(values, "general.name", name)) meta.name = shown(name);
    Hyperparameters numbers(values, meta.architecture, cursor);
    if (!read_shape(numbers, values, meta) || !read_layer_memory(numbers, meta) || !read_tower(numbers, values, meta)) return false;
    std::string chat_template;
    meta.has_chat_template = text_of(values, "tokenizer.chat_template", chat_template) && !chat_template.empty();
    meta.pooling = pooling_of(values, meta.architecture);
    meta.modality = modality_of(values, meta);
    return true;
}

// One file: the keys into `values`, the tensors onto `tensors`. A part of a split model may have none.
bool read_part(Cursor& cursor, uint64_t file_bytes, Values& values, GgufTensors& tensors) {
    uint64_t count = 0;
    uint64_t pairs = 0;
    uint64_t alignment = kDefaultAlignment;
    if (!read_counts(cursor, count, pairs) || !read_pairs(cursor, pairs, values) || !read_alignment(cursor, values, alignment) ||
        !read_tensors(cursor, count, alignment, file_bytes, tensors)) {
        return false;
    }
    return count > 0 || number_of(values, "split.count").value_or(1) > 1 || cursor.fail("it holds no tensors");
}

// The parts after the first.
Status read_other_parts(uint32_t count, const OpenPart& open_part, GgufTensors& tensors, ModelMeta& meta) {
    for (uint32_t number = 2; number <= count; ++number) {
        const auto source = open_part(number, count);
        if (!source) return source.error();
        Cursor cursor(*source);
        Values values;
        const auto fail = [&](const std::string& why) {
            return invalid_model(fmt::format("part {} of {}: {}", number, count, why));
        };
        if (!read_part(cursor, source->size, values, tensors)) return fail(cursor.problem());
        if (number_of(values, "split.no") != number - 1 || number_of(values, "split.count") != count) {
            return fail("it belongs to another model, or to another place in it");
        }
        if (source->size > kModelBytesMax - std::min(meta.file_bytes, kModelBytesMax)) return fail("together they are larger than a pebibyte");
        meta.file_bytes += source->size;
    }
    return Ok{};
}

void sum_up(const Values& values, const WeightTally& tally, ModelMeta& meta) {
    meta.parameter_count = tally.parameters();
    meta.weights = tally.by_place(meta.layers);
    meta.bytes_of_type = tally.bytes_of_type();
    meta.dtype = tally.most_floats();
    const std::string type = tally.most_parameters();
    if (!type.empty()) {
        meta.quantization = quantization_name(type, number_of(values, "general.file_type").value_or(UINT64_MAX));
    }
}

}  // namespace

Result<ModelMeta> read_gguf(const ByteSource& source, const OpenPart& open_part) {
    ModelMeta meta;
    meta.format = "gguf";
    meta.file_bytes = source.size;
    Cursor cursor(source);
    Values values;
    GgufTensors tensors;
    if (!read_part(cursor, source.size, values, tensors)) return invalid_model(cursor.problem());
    const uint64_t parts = number_of(values, "split.count").value_or(1);
    const uint64_t place = number_of(values, "split.no").value_or(0);
    if (parts > 1 && place != 0) {
        return invalid_model(fmt::format("it is part {} of {} of a split model; give the path of the first", place + 1, parts));
    }
    if (parts > 1 && (!open_part || parts > kPartsMax)) {
        return invalid_model(
            fmt::format("it is one part of {} of a split model; join them with llama-gguf-split --merge", parts));
    }
    if (!read_meta(cursor, values, meta)) return invalid_model(cursor.problem());
    if (parts > 1) {
        GANTRY_TRY(read_other_parts(static_cast<uint32_t>(parts), open_part, tensors, meta));
        const auto expected = number_of(values, "split.tensors.count");
        if (expected && *expected != tensors.names.size()) {
            return invalid_model(fmt::format("its {} parts hold {} tensors, and {} belong to the model", parts,
                                             tensors.names.size(), *expected));
        }
    }
    sum_up(values, tensors.tally, meta);
    meta.tower.gated = tensors.names.contains("v.blk.0.ffn_gate.weight");
    return meta;
}

Result<ModelMeta> read_gguf_file(const std::string& path) {
    Reading reading({});
    Result<ModelMeta> meta = read_gguf_file(reading, path);
    GANTRY_TRY(reading.within());
    return meta;
}

Result<ModelMeta> read_gguf_file(Reading& reading, const std::string& path) {
    const auto source = reading.open(path);
    if (!source) return source.error();
    const OpenPart open_part = [&reading, &path](uint32_t number, uint32_t count) -> Result<ByteSource> {
        const std::string ending = fmt::format("-{:05}-of-{:05}.gguf", 1, count);
        if (!path.ends_with(ending)) {
            return invalid_model(fmt::format("it is the first of {} parts of a split model, and its name must end in {}", count,
                                             ending));
        }
        const std::string stem = path.substr(0, path.size() - ending.size());
        const std::string other = fmt::format("{}-{:05}-of-{:05}.gguf", stem, number, count);
        auto opened = reading.open(other);
        if (opened) return opened;
        const std::string name = shown(other.substr(other.rfind('/') + 1));
        if (opened.error().code == ErrorCode::kNotFound) {
            return invalid_model(fmt::format("part {} of {} is missing: {} is not beside the first", number, count, name));
        }
        return in_file(name, opened.error());
    };
    return read_gguf(*source, open_part);
}

}  // namespace gantry::models
