// Parameters of a transformers model from its shape, for the families whose layers are known, after their modelling code
// (github.com/huggingface/transformers, src/transformers/models/*/modeling_*.py). config_reader_test.cc holds them against the
// counts that were published: they are exact.

#include <algorithm>
#include <map>
#include <string_view>
#include <vector>

#include "models/config_parts.h"
#include "models/limits.h"

namespace gantry::models {
namespace {

// Of a whole model, a thousand times the largest: the sizes allow more in one layer, though less than 64 bits count.
constexpr uint64_t kParametersMax = 1ull << 50;

// How a family's layers differ from Llama's.
struct Family {
    uint32_t norms = 2;           // of the layer, each as wide as the embedding
    bool head_norms = false;      // of queries and keys, each as wide as a head
    bool qkv_bias = false;
    bool tied = false;            // where the configuration does not say
    bool bert = false;
    bool latent = false;
};

const Family* find_family(std::string_view name) {
    static const std::map<std::string_view, Family> kFamilies = {
        {"llama", {}}, {"mistral", {}}, {"mixtral", {}}, {"phi3", {}}, {"internlm2", {}}, {"gpt_oss", {}},
        {"qwen2", {.qkv_bias = true}}, {"qwen2_moe", {.qkv_bias = true}},
        {"qwen3", {.head_norms = true}}, {"qwen3_moe", {.head_norms = true}},
        {"gemma", {.tied = true}}, {"gemma2", {.norms = 4, .tied = true}},
        {"gemma3", {.norms = 4, .head_norms = true, .tied = true}},
        {"glm4", {.norms = 4}}, {"chatglm", {.qkv_bias = true}},
        {"deepseek_v2", {.latent = true}}, {"deepseek_v3", {.latent = true}},
        {"bert", {.bert = true}}, {"xlm-roberta", {.bert = true}}, {"roberta", {.bert = true}},
    };
    const auto found = kFamilies.find(name);
    return found != kFamilies.end() ? &found->second : nullptr;
}

// Of one layer: the matrices of attention, of the dense network and of the experts, and what is never quantized.
struct LayerParameters {
    uint64_t attention = 0;
    uint64_t forward = 0;
    uint64_t experts = 0;
    uint64_t plain = 0;   // norms, biases, the router
};

class Counter {
public:
    Counter(Fields& fields, std::string_view name, const Family& family, const ModelMeta& meta)
        : fields_(fields), name_(name), family_(family), meta_(meta), width_(meta.embedding_length) {
        head_ = meta.key_length > 0 ? meta.key_length : meta.heads > 0 ? width_ / meta.heads : 0;
        bias_ = family.qkv_bias || fields.flag("attention_bias") || fields.flag("add_qkv_bias");
    }

    LayerParameters layer(uint32_t number) {
        LayerParameters out;
        if (family_.bert) {
            const uint64_t forward = meta_.feed_forward_length;
            out.attention = 4 * width_ * width_;
            out.forward = 2 * width_ * forward;
            out.plain = 4 * width_ + forward + width_ + 4 * width_;   // biases, and two norms with one each
            return out;
        }
        if (family_.latent) {
            latent_attention(out);
        } else {
            attention(out);
        }
        out.plain += family_.norms * width_;
        if (has_experts(number)) {
            experts(out);
        } else {
            out.forward = 3 * width_ * meta_.feed_forward_length;
        }
        if (fields_.flag("mlp_bias")) out.plain += 2 * meta_.feed_forward_length + width_;
        return out;
    }
    uint64_t embedding() {
        const uint64_t words = uint64_t{meta_.vocabulary} * width_;
        if (!family_.bert) return words;
        const uint64_t others =
            fields_.number({"max_position_embeddings"}, kContextMax) + fields_.number({"type_vocab_size"}, kHeadsMax, 2);
        return words + others * width_ + 2 * width_;
    }
    uint64_t output(bool headless) {
        if (family_.bert) {   // a pooler, or a classifier's two steps
            return width_ * width_ + width_ + (meta_.modality == "rerank" ? width_ + 1 : 0);
        }
        const bool tied = headless || fields_.flag("tie_word_embeddings", family_.tied);
        return width_ + (tied ? 0 : uint64_t{meta_.vocabulary} * width_);
    }

private:
    void attention(LayerParameters& out) {
        const uint64_t queries = meta_.heads * head_;
        const uint64_t keys = meta_.heads_kv * head_;
        out.attention = width_ * (2 * queries + 2 * keys);
        if (bias_) out.plain += queries + 2 * keys;
        // Llama's switch and gpt-oss's biases hold for the way out as well; the latter has a sink of each head.
        if (bias_ && (name_ == "llama" || name_ == "gpt_oss")) out.plain += width_;
        if (name_ == "gpt_oss") out.plain += meta_.heads;
        if (family_.head_norms) out.plain += 2 * head_;
    }
    void latent_attention(LayerParameters& out) {
        const uint64_t rank = meta_.kv_lora_rank;
        const uint64_t queries = uint64_t{meta_.heads} * meta_.key_length;
        const uint64_t query_rank = fields_.number({"q_lora_rank"}, kWidthMax);
        out.attention = query_rank > 0 ? width_ * query_rank + query_rank * queries : width_ * queries;
        out.attention += width_ * (rank + meta_.rope_head_length);
        out.attention += rank * meta_.heads * (meta_.key_length - meta_.rope_head_length + meta_.value_length);
        out.attention += uint64_t{meta_.heads} * meta_.value_length * width_;
        out.plain += query_rank + rank;   // norms
    }
    bool has_experts(uint32_t number) {
        if (meta_.experts == 0) return false;
        if (number < fields_.number({"first_k_dense_replace"}, kLayersMax)) return false;
        const uint64_t step = fields_.number({"decoder_sparse_step", "moe_layer_freq"}, kLayersMax, 1);
        if (family_.latent ? step > 0 && number % step != 0 : step > 0 && (number + 1) % step != 0) return false;
        const json::array* const dense = fields_.array("mlp_only_layers");
        return dense == nullptr || std::none_of(dense->begin(), dense->end(), [&](const json::value& value) {
                   return value.is_int64() && value.get_int64() == number;
               });
    }
    void experts(LayerParameters& out) {
        const uint64_t one = 3 * width_ * fields_.number({"moe_intermediate_size"}, kWidthMax, meta_.feed_forward_length);
        out.experts = meta_.experts * one;
        out.plain += meta_.experts * width_;   // the router
        if (name_ == "gpt_oss") {
            out.plain += meta_.experts + meta_.experts * (2ull * meta_.feed_forward_length + width_);
        }
        if (fields_.text("topk_method") == "noaux_tc") out.plain += meta_.experts;
        out.forward += fields_.number({"n_shared_experts"}, kKernelMax) * one;
        if (const uint64_t shared = fields_.number({"shared_expert_intermediate_size"}, kWidthMax); shared > 0) {
            out.forward += 3 * width_ * shared;
            out.plain += width_;   // its gate
        }
    }

    Fields& fields_;
    const std::string_view name_;
    const Family& family_;
    const ModelMeta& meta_;
    const uint64_t width_;
    uint64_t head_ = 0;
    bool bias_ = false;
};

const char* type_of(const std::string& dtype) {
    return dtype == "float32" ? "F32" : dtype == "float16" ? "F16" : dtype == "bfloat16" ? "BF16" : nullptr;
}

}  // namespace

std::string family_of(const std::string& model_type) {
    static const std::map<std::string_view, std::string_view> kOthers = {
        {"qwen2_vl", "qwen2"}, {"qwen2_5_vl", "qwen2"}, {"qwen3_vl", "qwen3"}, {"qwen3_vl_moe", "qwen3_moe"},
        {"ministral", "mistral"}, {"ministral3", "mistral"}, {"kimi_k2", "deepseek_v3"}};
    const std::string_view name = std::string_view(model_type).substr(0, model_type.ends_with("_text") ? model_type.size() - 5
                                                                                                       : model_type.size());
    const auto found = kOthers.find(name);
    return std::string(found != kOthers.end() ? found->second : name);
}

void compute_parameters(Fields& fields, const std::string& name, const Quantization& quantization, ModelMeta& meta) {
    const Family* const family = find_family(name);
    const bool enough = meta.layers > 0 && meta.embedding_length > 0 && meta.feed_forward_length > 0 && meta.heads > 0 &&
                        meta.vocabulary > 0 && (family == nullptr || family->latent == (meta.kv_lora_rank > 0));
    if (family == nullptr || !enough) return;
    Counter counter(fields, name, *family, meta);
    const bool headless = meta.modality == "embedding" && meta.architecture.ends_with("Model");
    const uint64_t embedding = counter.embedding();
    const uint64_t output = counter.output(headless);
    const char* const type = type_of(meta.dtype);
    const uint64_t width = meta.dtype == "float32" ? 4 : 2;
    WeightBytes weights{.embedding = embedding * width, .output = output * width};
    uint64_t parameters = embedding + output;
    uint64_t plain = embedding + output;
    uint64_t quantized_bytes = 0;
    for (uint32_t number = 0; number < meta.layers; ++number) {
        const LayerParameters layer = counter.layer(number);
        const uint64_t all = layer.attention + layer.forward + layer.experts + layer.plain;
        parameters = std::min(parameters, kParametersMax) + all;
        if (parameters > kParametersMax) return fields.fail("its sizes make more parameters than there can be");
        const uint64_t small = quantization.method.empty()   ? 0
                               : quantization.experts_only   ? layer.experts
                                                             : layer.attention + layer.forward + layer.experts;
        const uint64_t bits = quantization.thousandth_bits;
        const uint64_t small_bytes = small / 8000 * bits + small % 8000 * bits / 8000;
        weights.layers.push_back((all - small) * width + small_bytes);
        plain += all - small;
        quantized_bytes += small_bytes;
    }
    meta.parameter_count = parameters;
    if (type == nullptr || (!quantization.method.empty() && quantization.thousandth_bits == 0)) return;   // bytes stay unknown
    meta.bytes_of_type[type] = plain * width;
    if (quantized_bytes > 0) meta.bytes_of_type[quantization.method] = quantized_bytes;
    meta.weights = std::move(weights);
    meta.file_bytes = meta.weights.total();
}

}  // namespace gantry::models
