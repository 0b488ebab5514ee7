#include "models/config_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string_view>

#include "models/config_parts.h"
#include "models/limits.h"

namespace gantry::models {
namespace {

// Where models of several kinds of input keep the text model's shape.
const json::object* text_part(const json::object& config) {
    const Fields fields(config);
    for (const char* name : {"text_config", "llm_config", "language_config", "thinker_config", "decoder_config"}) {
        const json::object* const part = fields.object(name);
        if (part == nullptr) continue;
        const json::object* const inner = Fields(*part).object("text_config");
        return inner != nullptr ? inner : part;
    }
    return nullptr;
}

// What the transformers library takes where a configuration is silent: it leaves out what equals its own defaults, and nested
// configurations are mostly such.
struct Defaults {
    uint64_t hidden, forward, layers, heads, heads_kv, head_length, vocabulary, context;
};
const Defaults& defaults_of(const std::string& model_type) {
    static const Defaults kNone{};
    static const std::map<std::string_view, Defaults> kKnown = {
        {"llama", {4096, 11008, 32, 32, 0, 0, 32000, 2048}},
        {"mistral", {4096, 14336, 32, 32, 8, 0, 32000, 131072}},
        {"gemma3_text", {2304, 9216, 26, 8, 4, 256, 262208, 131072}},
    };
    const auto found = kKnown.find(model_type);
    return found != kKnown.end() ? found->second : kNone;
}

void read_sizes(Fields& fields, const std::string& model_type, ModelMeta& meta) {
    const Defaults& otherwise = defaults_of(model_type);
    const auto take = [&](Fields::Names names, uint64_t most, uint64_t absent, uint32_t& out) {
        out = static_cast<uint32_t>(fields.number(names, most, absent));
    };
    take({"decoder_layers", "num_hidden_layers", "n_layer", "num_layers", "n_layers"}, kLayersMax, otherwise.layers, meta.layers);
    take({"hidden_size", "n_embd", "d_model"}, kWidthMax, otherwise.hidden, meta.embedding_length);
    take({"intermediate_size", "ffn_hidden_size", "n_inner", "ffn_dim", "decoder_ffn_dim", "d_ff"}, kWidthMax, otherwise.forward,
         meta.feed_forward_length);
    take({"num_attention_heads", "n_head", "n_heads", "decoder_attention_heads", "num_heads"}, kHeadsMax, otherwise.heads,
         meta.heads);
    take({"num_key_value_heads", "multi_query_group_num", "num_kv_heads", "n_head_kv"}, kHeadsMax, otherwise.heads_kv,
         meta.heads_kv);
    take({"head_dim", "kv_channels", "attention_head_dim"}, kWidthMax, otherwise.head_length, meta.key_length);
    take({"vocab_size", "padded_vocab_size"}, kVocabularyMax, otherwise.vocabulary, meta.vocabulary);
    take({"max_position_embeddings", "n_positions", "seq_length", "max_sequence_length", "max_seq_len", "n_ctx",
          "max_target_positions"}, kContextMax, otherwise.context, meta.context_length);
    take({"num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts"}, kExpertsMax, 0, meta.experts);
    take({"num_experts_per_tok", "experts_per_token", "num_experts_per_token", "moe_topk"}, kExpertsMax, 0, meta.experts_used);
    if (meta.heads_kv == 0) meta.heads_kv = fields.flag("multi_query") ? std::min(meta.heads, 1u) : meta.heads;
    meta.value_length = meta.key_length;
    // RoBERTa counts positions from after its padding token.
    if (model_type == "xlm-roberta" || model_type == "roberta" || model_type == "camembert") {
        const uint64_t before = fields.number({"pad_token_id"}, kVocabularyMax, 1) + 1;
        meta.context_length -= static_cast<uint32_t>(std::min<uint64_t>(before, meta.context_length));
    }
    if (meta.experts == 0) meta.experts_used = 0;
    if (meta.heads_kv > meta.heads) {
        fields.fail(fmt::format("it has more key-value heads ({}) than heads ({})", meta.heads_kv, meta.heads));
    }
    if (meta.heads > 0 && meta.key_length == 0 && meta.embedding_length > 0 && meta.heads > meta.embedding_length) {
        fields.fail(fmt::format("{} heads do not fit into an embedding of {}", meta.heads, meta.embedding_length));
    }
}

bool ends_with_any(const std::string& text, std::initializer_list<std::string_view> endings) {
    return std::any_of(endings.begin(), endings.end(), [&](std::string_view ending) { return text.ends_with(ending); });
}

std::string modality_of(const Fields& top, const std::string& architecture, const std::string& model_type) {
    static const std::set<std::string_view> kTranscription = {"whisper", "speech_to_text", "wav2vec2", "moonshine", "qwen3_asr",
                                                              "sensevoice", "paraformer", "parakeet"};
    static const std::set<std::string_view> kSpeech = {"vits", "speecht5", "bark", "parler_tts", "csm", "dia", "qwen3_tts",
                                                       "kokoro", "cosyvoice", "cosyvoice2", "chatterbox", "xtts"};
    if (architecture.find("ForSequenceClassification") != std::string::npos) return "rerank";
    if (kTranscription.contains(model_type) || architecture.ends_with("ForCTC")) return "transcription";
    if (kSpeech.contains(model_type) || architecture.find("TTS") != std::string::npos ||
        architecture.find("TextToSpeech") != std::string::npos) {
        return "speech";
    }
    if (top.object("vision_config") != nullptr || top.object("visual") != nullptr || top.object("img_processor") != nullptr ||
        top.object("thinker_config") != nullptr) {
        return "vision";
    }
    // A model without a head has no use but its hidden states; the names of ChatGLM's and GPT-2's say otherwise than they are.
    const bool headless =
        architecture.ends_with("Model") && !ends_with_any(architecture, {"ChatGLMModel", "ChatModel", "LMHeadModel"});
    return is_encoder(model_type) || headless ? "embedding" : "text";
}

std::string dtype_of(const Fields& fields) {
    std::string type = fields.text("torch_dtype");
    if (type.empty()) type = fields.text("dtype");
    if (type.starts_with("torch.")) type.erase(0, 6);
    if (type == "bfloat16" || type == "float16" || type == "float32") return type;
    // Of a model whose weights are of 8 bits, what is not quantized is mostly of these.
    return type.starts_with("float8") ? "bfloat16" : "";
}

std::string architecture_of(const Fields& top) {
    std::string name;
    if (const json::array* const list = top.array("architectures"); list != nullptr && !list->empty() && (*list)[0].is_string()) {
        name = (*list)[0].get_string();
    }
    if (name.empty()) name = top.text("model_type");
    const auto good = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
    };
    return name.size() <= 128 && std::all_of(name.begin(), name.end(), good) ? name : std::string();
}

uint32_t vision_heads_of(const Fields& top) {
    const json::object* tower = top.object("vision_config");
    if (tower == nullptr) tower = top.object("visual");
    if (tower == nullptr) return 0;
    Fields fields(*tower);
    return static_cast<uint32_t>(fields.number({"num_attention_heads", "num_heads", "heads"}, kHeadsMax));
}

}  // namespace

std::string pooling_of_module(const json::object& pooling) {
    constexpr std::array<std::array<const char*, 2>, 3> kModes = {{
        {"pooling_mode_mean_tokens", "mean"}, {"pooling_mode_cls_token", "cls"}, {"pooling_mode_lasttoken", "last"}}};
    const Fields fields(pooling);
    for (const auto& [field, name] : kModes) {
        if (fields.flag(field)) return name;
    }
    return {};
}

Result<Config> read_config(const json::object& config) {
    Config out;
    ModelMeta& meta = out.meta;
    const json::object* const part = text_part(config);
    const Fields top(config);
    Fields fields(part != nullptr ? *part : config, part != nullptr ? &config : nullptr);
    const std::string model_type = fields.text("model_type");
    meta.format = "safetensors";
    meta.architecture = architecture_of(top);
    meta.brings_code = top.object("auto_map") != nullptr;
    meta.dtype = dtype_of(fields);
    meta.modality = modality_of(top, meta.architecture, top.text("model_type"));
    // What engines take where no module says: encoders are used by the mean, others by the last token.
    meta.pooling = meta.modality == "rerank"      ? "rank"
                   : meta.modality != "embedding" ? ""
                   : is_encoder(model_type)       ? "mean"
                                                  : "last";
    meta.vision_heads = vision_heads_of(top);
    read_sizes(fields, model_type, meta);
    const Quantization quantization = quantization_of(fields);
    meta.quantization = quantization.method;
    if (!fields.problem().empty()) return invalid_model("config.json: " + fields.problem());
    read_config_layers(fields, model_type, meta);
    const bool towers = meta.modality != "text" && meta.modality != "embedding" && meta.modality != "rerank";
    if (!towers) compute_parameters(fields, family_of(model_type), quantization, meta);
    if (!fields.problem().empty()) return invalid_model("config.json: " + fields.problem());
    out.rules.packed_bits = quantization.method.empty() ? 0 : quantization.bits > 0 ? quantization.bits : 4;
    out.rules.encoder_apart = meta.modality == "transcription";
    return out;
}

}  // namespace gantry::models
