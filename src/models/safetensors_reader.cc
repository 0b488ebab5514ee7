#include "models/safetensors_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/json.h"

namespace gantry::models {
namespace {

constexpr size_t kDimensionsMax = 32;
constexpr uint64_t kMost = INT64_MAX;

// Bits of a value; 0: no such type.
uint64_t bits_of(std::string_view type) {
    if (type == "F64" || type == "I64" || type == "U64" || type == "C64") return 64;
    if (type == "F32" || type == "I32" || type == "U32") return 32;
    if (type == "F16" || type == "BF16" || type == "I16" || type == "U16") return 16;
    if (type == "I8" || type == "U8" || type == "BOOL") return 8;
    if (type == "F8_E4M3" || type == "F8_E5M2" || type == "F8_E8M0" || type == "F8_E4M3FNUZ" || type == "F8_E5M2FNUZ") return 8;
    if (type == "F6_E2M3" || type == "F6_E3M2") return 6;
    return type == "F4" ? 4 : 0;
}

std::optional<uint64_t> whole(const json::value& value) {
    if (value.is_uint64()) return value.get_uint64();
    if (value.is_int64() && value.get_int64() >= 0) return static_cast<uint64_t>(value.get_int64());
    return std::nullopt;
}

struct Tensor {
    std::string_view name;
    std::string_view type;
    uint64_t elements = 1;
    uint64_t begin = 0;
    uint64_t end = 0;
};

// One entry of the header. An empty string: it is whole.
std::string read_entry(const json::value& value, Tensor& tensor) {
    const json::object* const entry = value.if_object();
    const json::value* const type = entry != nullptr ? entry->if_contains("dtype") : nullptr;
    const json::value* const shape = entry != nullptr ? entry->if_contains("shape") : nullptr;
    const json::value* const offsets = entry != nullptr ? entry->if_contains("data_offsets") : nullptr;
    if (type == nullptr || !type->is_string() || shape == nullptr || !shape->is_array() || offsets == nullptr ||
        !offsets->is_array() || offsets->get_array().size() != 2) {
        return "has no type, shape or pair of offsets";
    }
    tensor.type = type->get_string();
    const uint64_t bits = bits_of(tensor.type);
    if (bits == 0) return fmt::format("has the unknown type '{}'", shown(tensor.type, 32));
    if (shape->get_array().size() > kDimensionsMax) return fmt::format("has over {} dimensions", kDimensionsMax);
    for (const json::value& size : shape->get_array()) {
        const auto n = whole(size);
        if (!n) return "has a size that is no whole number";
        if (*n > 0 && tensor.elements > kMost / *n) return "is larger than can be counted";
        tensor.elements *= *n;
    }
    const auto begin = whole(offsets->get_array()[0]);
    const auto end = whole(offsets->get_array()[1]);
    if (!begin || !end || *begin > *end) return "has offsets that are no range";
    if (tensor.elements > kMost / bits || tensor.elements * bits % 8 != 0 || *end - *begin != tensor.elements * bits / 8) {
        return fmt::format("takes {} bytes, not what its type and shape need", *end - *begin);
    }
    tensor.begin = *begin;
    tensor.end = *end;
    return {};
}

// How many of the model's own values a tensor stands for: more where they are packed, none where it scales others or, as numbers
// of 64 bits always do, counts something.
uint64_t parameters_of(const Tensor& tensor, const WeightRules& rules) {
    if (tensor.type == "I64" || tensor.type == "U64") return 0;
    if (rules.packed_bits == 0) return tensor.elements;
    constexpr std::array<std::string_view, 20> kScales = {
        ".scales", ".qzeros", ".g_idx", ".weight_scale", ".weight_scale_inv", ".weight_scale_2", ".weight_zero_point",
        ".weight_shape", ".weight_offset", ".weight_g_idx", ".input_scale", ".input_offset", ".deq_scale", ".quant_bias",
        ".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map", "_scales", ".SCB"};
    const auto ends = [&](std::string_view suffix) { return tensor.name.ends_with(suffix); };
    if (std::any_of(kScales.begin(), kScales.end(), ends) || tensor.name.find(".quant_state") != std::string_view::npos) return 0;
    const uint64_t bits = bits_of(tensor.type);
    const bool packed = (bits == 32 && tensor.type != "F32" && (ends(".qweight") || ends(".weight_packed"))) ||
                        (tensor.type == "U8" && (ends(".weight") || ends(".weight_packed") || ends("_blocks")));
    return packed ? tensor.elements * (bits / std::min<uint64_t>(rules.packed_bits, bits)) : tensor.elements;
}

// Every tensor begins where the one before it ends, and the last ends with the data: no overlap, no hole.
Status check_cover(std::vector<Tensor>& tensors, uint64_t data_bytes) {
    std::sort(tensors.begin(), tensors.end(), [](const Tensor& a, const Tensor& b) {
        return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
    });
    uint64_t at = 0;
    for (const Tensor& tensor : tensors) {
        if (tensor.begin != at) {
            return invalid_model(
                fmt::format("tensor '{}' begins at {} of the data, {} expected", shown(tensor.name), tensor.begin, at));
        }
        at = tensor.end;
    }
    if (at == data_bytes) return Ok{};
    if (at > data_bytes) {
        return invalid_model(fmt::format("its tensors take {} bytes, but it has only {}: it is cut off", at, data_bytes));
    }
    return invalid_model(fmt::format("its tensors take {} bytes, and it has {}", at, data_bytes));
}

Result<json::object> read_header(const ByteSource& source, uint64_t& data_bytes) {
    uint64_t length = 0;   // little-endian, as the machines are that this runs on
    if (source.size < sizeof length) return invalid_model("it is too short for a safetensors file");
    if (!source.read(0, reinterpret_cast<char*>(&length), sizeof length)) return invalid_model("it cannot be read");
    if (length > kSafetensorsHeaderMax) {
        return invalid_model(fmt::format("it declares a header of {} bytes, over the limit of {} MiB: another format, or damaged",
                                         length, kSafetensorsHeaderMax >> 20));
    }
    if (length > source.size - sizeof length) return invalid_model("it ends inside its header");
    std::string text(length, '\0');
    if (!source.read(sizeof length, text.data(), text.size())) return invalid_model("it cannot be read");
    if (!text.starts_with('{')) return invalid_model("its header is no JSON object: another format, or damaged");
    auto header = parse_json(text);
    if (!header) return invalid_model("its header: " + header.error().message);
    data_bytes = source.size - sizeof length - length;
    return std::move(header->get_object());
}

}  // namespace

TensorPlace place_of_weight(std::string_view name, const WeightRules& rules) {
    static const std::set<std::string_view> kApart = {
        "visual", "vision_tower", "vision_model", "vision_encoder", "vision_embed_tokens", "vision_embedder",
        "multi_modal_projector", "mm_projector", "mlp1", "image_newline", "img_processor", "audio_tower", "audio_model",
        "embed_audio", "embed_vision", "aligner", "connector", "projector"};
    static const std::set<std::string_view> kLayers = {"layers", "layer", "h", "block", "blocks"};
    static const std::set<std::string_view> kInput = {
        "embed_tokens", "wte", "wpe", "word_embeddings", "position_embeddings", "token_type_embeddings", "embeddings",
        "tok_embeddings", "embed_positions", "embed_in", "shared", "embed_tokens_per_layer"};
    static const std::set<std::string_view> kOutput = {"lm_head", "norm", "ln_f", "norm_f", "final_layernorm", "final_norm",
                                                       "layer_norm", "output", "output_layer", "embed_out", "classifier", "score",
                                                       "pooler", "proj_out"};
    std::vector<std::string_view> parts;
    for (size_t at = 0; at <= name.size();) {
        const size_t dot = std::min(name.find('.', at), name.size());
        parts.push_back(name.substr(at, dot - at));
        at = dot + 1;
    }
    const auto any = [&](const std::set<std::string_view>& names) {
        return std::any_of(parts.begin(), parts.end(), [&](std::string_view part) { return names.contains(part); });
    };
    if (any(kApart) || (rules.encoder_apart && std::find(parts.begin(), parts.end(), "encoder") != parts.end())) {
        return {Place::kOther};
    }
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
        uint32_t layer = 0;
        const std::string_view next = parts[i + 1];
        const char* const end = next.data() + next.size();
        const auto [after, problem] = std::from_chars(next.data(), end, layer);
        if (kLayers.contains(parts[i]) && problem == std::errc() && after == end) return {Place::kLayer, layer};
    }
    if (any(kInput)) return {Place::kEmbedding};
    return {any(kOutput) ? Place::kOutput : Place::kOther};
}

Status read_safetensors(const ByteSource& source, const WeightRules& rules, WeightTally& tally) {
    uint64_t data_bytes = 0;
    const auto header = read_header(source, data_bytes);
    if (!header) return header.error();
    std::vector<Tensor> tensors;
    for (const auto& [name, value] : *header) {
        if (name == "__metadata__") continue;
        Tensor tensor;
        tensor.name = name;
        const std::string problem = read_entry(value, tensor);
        if (!problem.empty()) return invalid_model(fmt::format("tensor '{}' {}", shown(name), problem));
        tensors.push_back(tensor);
    }
    if (tensors.empty()) return invalid_model("it holds no tensors");
    GANTRY_TRY(check_cover(tensors, data_bytes));
    for (const Tensor& tensor : tensors) {
        tally.add(place_of_weight(tensor.name, rules), std::string(tensor.type), parameters_of(tensor, rules),
                  tensor.end - tensor.begin);
    }
    return Ok{};
}

}  // namespace gantry::models
