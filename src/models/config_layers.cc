// How each layer of a transformers model remembers, after the library's own configuration classes
// (github.com/huggingface/transformers, src/transformers/models/*/configuration_*.py).

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

#include "models/config_parts.h"
#include "models/limits.h"

namespace gantry::models {
namespace {

char of(LayerMemory memory) { return static_cast<char>(memory); }

// What `layer_types` calls them.
char memory_of(std::string_view type) {
    if (type == "sliding_attention" || type == "chunked_attention") return of(LayerMemory::kWindow);
    if (type == "linear_attention" || type == "mamba" || type == "mamba2" || type == "conv" || type == "recurrent") {
        return of(LayerMemory::kState);
    }
    if (type == "hybrid") return of(LayerMemory::kFullAndState);
    return type == "mlp" || type == "moe" ? of(LayerMemory::kNone) : of(LayerMemory::kFull);
}

// Of which layers, where there is no list of them.
char window_rule(Fields& fields, const std::string& type, uint32_t layer) {
    static const std::set<std::string_view> kEvery = {"mistral", "mixtral", "ministral", "phi3",
                                                      "phi3_v",  "phimoe",  "starcoder2"};
    static const std::map<std::string_view, uint64_t> kGroups = {   // all but the last of each group
        {"gemma2", 2}, {"gemma3", 6}, {"gemma3_text", 6}, {"gemma3n_text", 5}, {"cohere2", 4}, {"gpt_oss", 2},
        {"exaone4", 4}, {"olmo3", 4},  {"llama4_text", 4}, {"llama4", 4}};
    if (type.starts_with("qwen")) {
        const bool uses = fields.flag("use_sliding_window") && layer >= fields.number({"max_window_layers"}, kLayersMax);
        return of(uses ? LayerMemory::kWindow : LayerMemory::kFull);
    }
    if (kEvery.contains(type)) return of(LayerMemory::kWindow);
    const auto group = kGroups.find(type);
    if (group == kGroups.end()) return of(LayerMemory::kFull);
    const uint64_t pattern = fields.number({"sliding_window_pattern", "_sliding_window_pattern"}, kLayersMax, group->second);
    return of(pattern > 0 && (layer + 1) % pattern != 0 ? LayerMemory::kWindow : LayerMemory::kFull);
}

// A state of every layer, or of those that a hybrid's rule names; 0: no such model.
char state_rule(Fields& fields, const std::string& type, uint32_t layer) {
    if (type == "mamba" || type == "mamba2" || type == "falcon_mamba") return of(LayerMemory::kState);
    if (type == "falcon_h1") return of(LayerMemory::kFullAndState);
    if (type.starts_with("qwen3_next") || type.starts_with("qwen3_5")) {
        const uint64_t interval = fields.number({"full_attention_interval"}, kLayersMax, 4);
        return of(interval > 0 && (layer + 1) % interval == 0 ? LayerMemory::kFull : LayerMemory::kState);
    }
    if (type == "jamba") {
        const uint64_t period = fields.number({"attn_layer_period"}, kLayersMax, 8);
        const uint64_t offset = fields.number({"attn_layer_offset"}, kLayersMax, 4);
        return of(period > 0 && layer % period == offset ? LayerMemory::kFull : LayerMemory::kState);
    }
    if (type == "nemotron_h") {
        const std::string pattern = fields.text("hybrid_override_pattern");
        const char kind = layer < pattern.size() ? pattern[layer] : '-';
        return of(kind == 'M' ? LayerMemory::kState : kind == '*' ? LayerMemory::kFull : LayerMemory::kNone);
    }
    return 0;
}

// Bytes of one layer's state of a sequence in 32-bit values: of the convolution all steps but the newest, and the state itself.
uint64_t state_bytes(Fields& fields, const std::string& type, const ModelMeta& meta) {
    const uint64_t width = meta.embedding_length;
    uint64_t channels = 0;   // of the convolution
    uint64_t state = 0;
    uint64_t kernel = 0;
    if (type.starts_with("qwen3_next") || type.starts_with("qwen3_5")) {
        const uint64_t key = fields.number({"linear_key_head_dim"}, kWidthMax);
        const uint64_t keys = fields.number({"linear_num_key_heads"}, kHeadsMax) * key;
        const uint64_t values =
            fields.number({"linear_num_value_heads"}, kHeadsMax) * fields.number({"linear_value_head_dim"}, kWidthMax);
        kernel = fields.number({"linear_conv_kernel_dim"}, kKernelMax);
        channels = 2 * keys + values;
        state = values * key;
    } else if (type == "lfm2" || type == "lfm2_moe") {
        kernel = fields.number({"conv_L_cache"}, kKernelMax);
        channels = width;
    } else {
        const uint64_t heads = fields.number({"mamba_n_heads", "mamba_num_heads", "num_heads"}, kHeadsMax);
        const uint64_t head = fields.number({"mamba_d_head", "mamba_head_dim", "head_dim"}, kWidthMax);
        const uint64_t expand = fields.number({"mamba_expand", "expand"}, kKernelMax, 2);
        // Mamba 2 has heads and groups that share; the first version neither.
        const bool first = type == "mamba" || type == "falcon_mamba" || type == "jamba";
        const uint64_t inner = first || heads * head == 0 ? expand * width : heads * head;
        const uint64_t size = fields.number({"mamba_d_state", "ssm_state_size", "state_size"}, kWidthMax);
        const uint64_t groups = first ? 0 : fields.number({"mamba_n_groups", "n_groups"}, kHeadsMax, 1);
        kernel = fields.number({"mamba_d_conv", "conv_kernel"}, kKernelMax, 4);
        channels = inner + 2 * groups * size;
        state = inner * size;
    }
    return (kernel > 0 ? (kernel - 1) * channels + state : 0) * 4;
}

void take_latent(Fields& fields, const std::string& type, ModelMeta& meta) {
    const auto rank = static_cast<uint32_t>(fields.number({"kv_lora_rank"}, kWidthMax));
    const auto rotary = static_cast<uint32_t>(fields.number({"qk_rope_head_dim"}, kWidthMax));
    if (rank == 0 || rotary == 0 || type == "minicpm3") return;   // MiniCPM's engines keep whole keys and values
    meta.kv_lora_rank = rank;
    meta.rope_head_length = rotary;
    meta.key_length = static_cast<uint32_t>(fields.number({"qk_nope_head_dim"}, kWidthMax - rotary)) + rotary;
    meta.value_length = static_cast<uint32_t>(fields.number({"v_head_dim"}, kWidthMax));
    std::replace(meta.layer_memory.begin(), meta.layer_memory.end(), of(LayerMemory::kFull), of(LayerMemory::kLatent));
}

}  // namespace

bool is_encoder(const std::string& model_type) {
    static const std::set<std::string_view> kEncoders = {"bert", "roberta", "xlm-roberta", "mpnet", "distilbert", "nomic_bert",
                                                         "modernbert", "new", "camembert", "electra", "deberta-v2", "albert"};
    return kEncoders.contains(model_type);
}

void read_config_layers(Fields& fields, const std::string& type, ModelMeta& meta) {
    if (meta.layers == 0) return;
    if (is_encoder(type)) {
        meta.layer_memory.assign(meta.layers, of(LayerMemory::kNone));
        return;
    }
    uint64_t window = fields.number({"sliding_window", "sliding_window_size", "attention_chunk_size"}, kContextMax);
    if (meta.context_length > 0 && window >= meta.context_length) window = 0;
    const json::array* const types = fields.array("layer_types");
    meta.layer_memory.assign(meta.layers, of(LayerMemory::kFull));
    for (uint32_t layer = 0; layer < meta.layers; ++layer) {
        char memory = state_rule(fields, type, layer);
        if (types != nullptr && layer < types->size() && (*types)[layer].is_string()) {
            memory = memory_of(std::string_view((*types)[layer].get_string()));
        } else if (memory == 0) {
            memory = window > 0 ? window_rule(fields, type, layer) : of(LayerMemory::kFull);
        }
        if (memory == of(LayerMemory::kWindow) && window == 0) memory = of(LayerMemory::kFull);
        meta.layer_memory[layer] = memory;
    }
    const auto any = [&](LayerMemory memory) { return meta.layer_memory.find(of(memory)) != std::string::npos; };
    if (any(LayerMemory::kWindow)) meta.sliding_window = static_cast<uint32_t>(window);
    if (any(LayerMemory::kState) || any(LayerMemory::kFullAndState)) meta.state_bytes = state_bytes(fields, type, meta);
    take_latent(fields, type, meta);
    // The last layers of some look at the keys and values of earlier ones.
    const uint64_t shared = std::min<uint64_t>(fields.number({"num_kv_shared_layers"}, kLayersMax), meta.layers);
    std::fill(meta.layer_memory.end() - static_cast<std::ptrdiff_t>(shared), meta.layer_memory.end(), of(LayerMemory::kNone));
    if (meta.layer_memory == std::string(meta.layers, of(LayerMemory::kFull))) meta.layer_memory.clear();
}

}  // namespace gantry::models
