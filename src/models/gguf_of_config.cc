#include "models/gguf_of_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>

#include "models/config_fields.h"
#include "models/config_parts.h"
#include "models/config_reader.h"
#include "models/limits.h"
#include "models/model_file.h"
#include "models/weight_tally.h"

namespace gantry::models {
namespace {

struct Type {
    const char* name;
    uint64_t block, bytes;   // values of a block, and what they take
};
constexpr Type kF32{"F32", 1, 4}, kF16{"F16", 1, 2}, kBf16{"BF16", 1, 2}, kQ4_0{"Q4_0", 32, 18}, kQ5_0{"Q5_0", 32, 22},
    kQ5_1{"Q5_1", 32, 24}, kQ8_0{"Q8_0", 32, 34}, kQ4K{"Q4_K", 256, 144}, kQ5K{"Q5_K", 256, 176}, kQ6K{"Q6_K", 256, 210};

// How a file of that name is made: of most matrices, and whether some get more bits.
struct Mix {
    Type usual;
    bool more = false;   // "M": values and the way out of the forward part get Q6_K in some layers
};
std::optional<Mix> mix_of(const std::string& name) {
    static const std::map<std::string_view, Mix> kMixes = {{"Q4_0", {kQ4_0}}, {"Q4_K_M", {kQ4K, true}}, {"Q5_K_M", {kQ5K, true}},
                                                           {"Q6_K", {kQ6K}},  {"Q8_0", {kQ8_0}},        {"F16", {kF16}},
                                                           {"BF16", {kBf16}}};
    const auto found = kMixes.find(name);
    return found == kMixes.end() ? std::nullopt : std::optional(found->second);
}

// The name that llama.cpp has for a family.
const char* gguf_name(const std::string& family) {
    static const std::map<std::string_view, const char*> kNames = {
        {"llama", "llama"}, {"mistral", "llama"}, {"qwen2", "qwen2"}, {"qwen3", "qwen3"},       {"qwen3_moe", "qwen3moe"},
        {"gemma3", "gemma3"}, {"glm4", "glm4"},   {"bert", "bert"},   {"xlm-roberta", "bert"}};
    const auto found = kNames.find(family);
    return found == kNames.end() ? nullptr : found->second;
}

class Tensors {
public:
    Tensors(const ModelMeta& meta, Fields& fields, const std::string& family, Mix mix)
        : meta_(meta), family_(family), mix_(mix), width_(meta.embedding_length),
          forward_(fields.number({"moe_intermediate_size"}, kWidthMax, meta.feed_forward_length)),
          positions_(fields.number({"max_position_embeddings"}, kContextMax) + fields.number({"type_vocab_size"}, kHeadsMax, 2)),
          head_(meta.key_length > 0 ? meta.key_length : width_ / std::max(meta.heads, 1u)) {}

    WeightTally all() {
        const bool bert = encoder(), tied = meta_.weights.output <= meta_.weights.embedding / 2;
        matrix({Place::kEmbedding}, tied && !bert ? output_type() : mix_.usual, width_, meta_.vocabulary);
        if (bert) plain({Place::kEmbedding}, (positions_ + 2) * width_);
        plain({Place::kOutput}, width_);
        if (!tied) matrix({Place::kOutput}, output_type(), width_, meta_.vocabulary);
        if (meta_.modality == "rerank") matrix({Place::kOutput}, mix_.usual, width_, width_ + 1);
        for (uint32_t number = 0; number < meta_.layers; ++number) layer(number);
        return std::move(tally_);
    }

private:
    bool encoder() const { return family_ == "bert" || family_ == "xlm-roberta"; }
    bool quantized() const { return mix_.usual.block > 1; }
    Type output_type() const {
        if (!quantized()) return mix_.usual;
        return width_ % mix_.usual.block != 0 || mix_.usual.name == std::string_view("Q8_0") ? kQ8_0 : kQ6K;
    }
    // use_more_bits
    bool gets_more(uint32_t number) const {
        const uint32_t n = meta_.layers;
        return mix_.more && (number < n / 8 || number >= 7 * n / 8 || (number - n / 8) % 3 == 2);
    }
    Type values_type(uint32_t number) const {
        if (gets_more(number)) return kQ6K;
        const bool large = meta_.layers == 80 && (family_ == "llama" || family_ == "qwen2");   // LLM_TYPE_70B
        return large && mix_.usual.name == std::string_view("Q4_K") ? kQ5K : mix_.usual;
    }

    void layer(uint32_t number) {
        const TensorPlace here{Place::kLayer, number};
        const uint64_t queries = meta_.heads * head_, keys = meta_.heads_kv * head_;
        matrix(here, mix_.usual, width_, queries);
        matrix(here, mix_.usual, width_, keys);
        matrix(here, values_type(number), width_, keys);
        matrix(here, mix_.usual, queries, width_);
        const Type down = gets_more(number) ? kQ6K : mix_.usual;
        const uint64_t experts = std::max(meta_.experts, 1u);
        matrix(here, mix_.usual, width_, forward_ * experts * (encoder() ? 1 : 2));
        matrix(here, down, forward_, width_ * experts);
        if (meta_.experts > 0) plain(here, width_ * experts);   // the router
        const bool four = family_ == "gemma3" || family_ == "glm4", head_norms = family_.starts_with("qwen3") || family_ == "gemma3";
        plain(here, (four || encoder() ? 4 : 2) * width_ + (head_norms ? 2 * head_ : 0));
        if (family_ == "qwen2" || encoder()) plain(here, queries + 2 * keys);
        if (encoder()) plain(here, width_ + forward_ + width_);
    }

    // `rows` rows of `columns` values each; a row that is no whole number of blocks gets a type of shorter ones.
    void matrix(TensorPlace place, Type type, uint64_t columns, uint64_t rows) {
        if (columns % type.block != 0) {
            const std::string_view name = type.name;
            type = name == "Q4_K" ? kQ5_0 : name == "Q5_K" ? kQ5_1 : name == "Q6_K" ? kQ8_0 : kF16;
            if (columns % type.block != 0) type = kF16;
        }
        tally_.add(place, type.name, columns * rows, columns * rows / type.block * type.bytes);
    }
    void plain(TensorPlace place, uint64_t values) { tally_.add(place, kF32.name, values, values * kF32.bytes); }

    const ModelMeta& meta_;
    const std::string& family_;
    const Mix mix_;
    const uint64_t width_, forward_, positions_, head_;
    WeightTally tally_;
};

}  // namespace

Result<ModelMeta> gguf_of_config(const json::object& config, const std::string& quantization) {
    Result<Config> read = read_config(config);
    if (!read) return read.error();
    ModelMeta meta = std::move(read->meta);
    Fields fields(config);
    const std::string family = family_of(fields.text("model_type"));
    const char* const name = gguf_name(family);
    const std::optional<Mix> mix = mix_of(quantization);
    if (name == nullptr || !mix || meta.parameter_count == 0 || !meta.quantization.empty() || fields.object("text_config") != nullptr) {
        return invalid_argument(fmt::format("what a GGUF file of \"{}\", {} takes is not known", shown(family), shown(quantization)));
    }
    const WeightTally tally = Tensors(meta, fields, family, *mix).all();
    if (!fields.problem().empty()) return invalid_model("config.json: " + fields.problem());
    meta.format = "gguf";
    meta.architecture = name;
    meta.quantization = quantization;
    meta.dtype.clear();
    meta.parameter_count = tally.parameters();
    meta.weights = tally.by_place(meta.layers);
    meta.bytes_of_type = tally.bytes_of_type();
    meta.file_bytes = meta.weights.total();
    return meta;
}

}  // namespace gantry::models
