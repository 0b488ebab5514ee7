// How each layer of a GGUF model remembers: gguf_shape.h says by whose rules.

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "models/gguf_shape.h"
#include "models/limits.h"

namespace gantry::models {
namespace {

using Numbers = std::vector<uint64_t>;

// Without a cache: encoders, and diffusion over the whole sequence.
const std::set<std::string_view> kNoMemory = {
    "bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "jina-bert-v2", "jina-bert-v3", "eurobert",
    "wavtokenizer-dec", "gemma-embedding", "dream", "llada", "llada-moe", "rnd1"};

// A state and nothing else in every layer.
const std::set<std::string_view> kRecurrent = {"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"};

// A state in the layers that have no key-value heads.
const std::set<std::string_view> kStateWithoutHeads = {"jamba",       "plamo2",      "granitehybrid", "lfm2",     "lfm2moe",
                                                       "kimi-linear", "bailingmoe3", "kimi-k3",       "glm5-next"};

// Attention in every n-th layer, a state in the others, where the file has no list of them.
struct Interval {
    std::string_view architecture;
    uint64_t interval;
};
constexpr std::array<Interval, 5> kIntervals = {
    {{"qwen3next", 4}, {"qwen35", 4}, {"qwen35moe", 4}, {"qwen4exp", 4}, {"minimax-01", 8}}};

// Which layers look at a window only, where the file has no list of them: all but each `pattern`-th, counted so that the first
// of a group is the full one (`full_first`) or the last. A pattern of 0: none without a list.
struct Window {
    std::string_view architecture;
    uint64_t pattern;
    uint64_t otherwise = 0;       // tokens where the file does not say; 0: none then
    bool full_first = false;
    bool fixed = false;           // `otherwise` whatever the file says
};
constexpr std::array<Window, 24> kWindows = {{
    {.architecture = "afmoe", .pattern = 4},
    {.architecture = "cohere2", .pattern = 4},
    {.architecture = "cohere2moe", .pattern = 4, .full_first = true},
    {.architecture = "dots3note", .pattern = 0},
    {.architecture = "exaone-moe", .pattern = 4, .otherwise = 128},
    {.architecture = "exaone4", .pattern = 4, .otherwise = 4096},
    {.architecture = "gemma2", .pattern = 2, .otherwise = 4096},
    {.architecture = "gemma3", .pattern = 6},
    {.architecture = "gemma3n", .pattern = 5},
    {.architecture = "gemma4", .pattern = 0},
    {.architecture = "gpt-oss", .pattern = 2},
    {.architecture = "granite_swa", .pattern = 0},
    {.architecture = "laguna", .pattern = 4, .full_first = true},
    {.architecture = "llama4", .pattern = 4, .otherwise = 8192, .fixed = true},
    {.architecture = "maple", .pattern = 0},
    {.architecture = "mellum", .pattern = 4},
    {.architecture = "mimo2", .pattern = 0},
    {.architecture = "muse-glimmer", .pattern = 4},
    {.architecture = "olmo2", .pattern = 4},
    {.architecture = "plamo3", .pattern = 8},
    {.architecture = "smallthinker", .pattern = 4, .otherwise = 4096, .full_first = true, .fixed = true},
    {.architecture = "spark2-5", .pattern = 0},
    {.architecture = "step35", .pattern = 0},
    {.architecture = "lfm2", .pattern = 1},   // every layer with attention; see windowed()
}};

char of(LayerMemory memory) { return static_cast<char>(memory); }

bool windowed(const Window& rule, uint64_t pattern, uint64_t layer) {
    if (rule.architecture == "lfm2") return true;
    if (pattern == 0) return true;
    return rule.full_first ? layer % pattern != 0 : layer % pattern < pattern - 1;
}

// Marks the layers of `trunk` that look at a window.
bool take_window(Hyperparameters& numbers, uint32_t trunk, ModelMeta& meta) {
    const auto* const rule = std::find_if(kWindows.begin(), kWindows.end(),
                                          [&](const Window& w) { return w.architecture == meta.architecture; });
    if (rule == kWindows.end()) return true;
    if (rule->architecture == "exaone4" && trunk != 64) return true;        // only the largest has one
    const bool says = numbers.has("attention.sliding_window");
    uint64_t window = numbers.number("attention.sliding_window", kContextMax, rule->otherwise);
    if (rule->architecture == "smallthinker" && !says) window = 0;
    if (window == 0) return !numbers.failed();
    if (rule->fixed) window = rule->otherwise;
    const Numbers* each = numbers.of_layers("attention.sliding_window_pattern");
    const bool one = each == nullptr && numbers.has("attention.sliding_window_pattern");
    const uint64_t pattern = one ? numbers.number("attention.sliding_window_pattern", kLayersMax) : rule->pattern;
    if (numbers.failed()) return false;
    if (each == nullptr && rule->pattern == 0) return true;
    bool any = false;
    for (uint32_t layer = 0; layer < trunk; ++layer) {
        const bool narrow = each != nullptr ? layer < each->size() && (*each)[layer] != 0 : windowed(*rule, pattern, layer);
        if (!narrow || meta.layer_memory[layer] != of(LayerMemory::kFull)) continue;
        meta.layer_memory[layer] = of(LayerMemory::kWindow);
        any = true;
    }
    if (any) meta.sliding_window = static_cast<uint32_t>(window);
    return true;
}

// Layers after these share the keys and values of earlier ones.
uint32_t layers_with_own_keys(Hyperparameters& numbers, const ModelMeta& meta) {
    if (meta.architecture == "gemma3n") return 20;
    if (meta.architecture != "gemma4") return meta.layers;
    const uint64_t shared = numbers.number("attention.shared_kv_layers", kLayersMax);
    return shared < meta.layers ? meta.layers - static_cast<uint32_t>(shared) : meta.layers;
}

// Bytes of the state of one layer and sequence, in 32-bit values: llama_hparams::n_embd_r() + n_embd_s(). All factors are bounded
// so that no product comes near 64 bits.
uint64_t state_bytes(Hyperparameters& numbers, const ModelMeta& meta) {
    const uint64_t width = meta.embedding_length;
    const uint64_t kernel = numbers.number("ssm.conv_kernel", kKernelMax);
    const uint64_t inner = numbers.number("ssm.inner_size", kWidthMax);
    const uint64_t state = numbers.number("ssm.state_size", kWidthMax);
    const uint64_t groups = numbers.number("ssm.group_count", kHeadsMax);
    const uint64_t steps = kernel > 0 ? kernel - 1 : 0;
    uint64_t values = 0;
    if (const uint64_t head = numbers.number("wkv.head_size", kWidthMax); head > 0) {
        values = numbers.number("token_shift_count", kKernelMax, 2) * width + width * head;
    } else if (const uint64_t cache = numbers.number("shortconv.l_cache", kKernelMax); cache > 0) {
        values = width * (cache - 1) + state * inner;
    } else if (const uint64_t kda = numbers.number("kda.head_dim", kWidthMax); kda > 0) {
        values = 3 * (kernel > 0 ? steps : 3) * meta.heads * kda + kda * kda * meta.heads;
    } else if (meta.architecture == "minimax-01") {
        const uint64_t linear = meta.key_length > 0 ? meta.key_length : meta.heads > 0 ? width / meta.heads : 0;
        values = linear * linear * meta.heads;
    } else {
        values = steps * (inner + 2 * groups * state) + state * inner;
    }
    return values * 4;
}

// The kind of each layer of a hybrid: attention, a state, both or neither; false in `hybrid` where the architecture is none.
bool take_states(Hyperparameters& numbers, uint32_t trunk, ModelMeta& meta, bool& hybrid) {
    const std::string& name = meta.architecture;
    const Numbers* heads = numbers.of_layers("attention.head_count_kv");
    const auto* const interval = std::find_if(kIntervals.begin(), kIntervals.end(),
                                              [&](const Interval& i) { return i.architecture == name; });
    const bool nemotron = name == "nemotron_h" || name == "nemotron_h_moe";
    hybrid = true;
    if (kRecurrent.contains(name) || name == "falcon-h1") {
        meta.layer_memory.assign(meta.layers, of(name == "falcon-h1" ? LayerMemory::kFullAndState : LayerMemory::kState));
    } else if (kStateWithoutHeads.contains(name) || nemotron) {
        const Numbers* widths = numbers.of_layers("feed_forward_length", meta.layers);
        for (uint32_t layer = 0; layer < trunk; ++layer) {
            const bool attends = heads != nullptr ? (*heads)[layer] > 0 : meta.heads_kv > 0;
            const bool forward = nemotron && (widths != nullptr ? (*widths)[layer] : meta.feed_forward_length) > 0;
            meta.layer_memory[layer] = of(forward ? LayerMemory::kNone : attends ? LayerMemory::kFull : LayerMemory::kState);
        }
    } else if (interval != kIntervals.end()) {
        const Numbers* states = numbers.of_layers("attention.recurrent_layers");
        const uint64_t every = numbers.number("full_attention_interval", kLayersMax, interval->interval);
        if (!numbers.failed() && every == 0) return numbers.fail("its interval of layers with attention is 0");
        for (uint32_t layer = 0; layer < trunk && !numbers.failed(); ++layer) {
            const bool state = states != nullptr ? layer < states->size() && (*states)[layer] != 0 : (layer + 1) % every != 0;
            if (state) meta.layer_memory[layer] = of(LayerMemory::kState);
        }
    } else {
        hybrid = false;
    }
    return !numbers.failed();
}

}  // namespace

bool read_layer_memory(Hyperparameters& numbers, ModelMeta& meta) {
    if (meta.layers == 0) return true;
    if (kNoMemory.contains(meta.architecture)) {
        meta.layer_memory.assign(meta.layers, of(LayerMemory::kNone));
        return true;
    }
    meta.layer_memory.assign(meta.layers, of(LayerMemory::kFull));
    // The layers at the end that guess further tokens have no part in ordinary use.
    const auto guessing = static_cast<uint32_t>(numbers.number("nextn_predict_layers", kLayersMax));
    const uint32_t trunk = guessing < meta.layers ? meta.layers - guessing : meta.layers;
    bool hybrid = false;
    if (!take_states(numbers, trunk, meta, hybrid) || !take_window(numbers, trunk, meta)) return false;
    if (hybrid) meta.state_bytes = state_bytes(numbers, meta);
    // Keys and values compressed to a latent: in files that give the lengths before the compression beside it.
    const uint64_t rank = numbers.number("attention.kv_lora_rank", kWidthMax);
    if (rank > 0 && numbers.number("attention.key_length_mla", kWidthMax) > 0 &&
        numbers.number("attention.value_length_mla", kWidthMax) > 0) {
        meta.kv_lora_rank = static_cast<uint32_t>(rank);
        meta.rope_head_length = static_cast<uint32_t>(numbers.number("rope.dimension_count", kWidthMax));
        std::replace(meta.layer_memory.begin(), meta.layer_memory.end(), of(LayerMemory::kFull), of(LayerMemory::kLatent));
    }
    const uint32_t own = layers_with_own_keys(numbers, meta);
    for (uint32_t layer = std::min(own, trunk); layer < meta.layers; ++layer) {
        meta.layer_memory[layer] = of(LayerMemory::kNone);
    }
    const auto plain = [](char memory) { return memory == of(LayerMemory::kFull); };
    if (std::all_of(meta.layer_memory.begin(), meta.layer_memory.end(), plain)) meta.layer_memory.clear();
    return !numbers.failed();
}

}  // namespace gantry::models
