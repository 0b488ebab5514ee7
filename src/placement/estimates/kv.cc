// Keys, values and states by each layer's kind.
//
// A layer of full attention keeps KV heads x (key length + value length) values a token; one with a window the same of its last
// tokens; one with a latent (MLA) kv_lora_rank + rope_head_length values, whatever the heads (llama.cpp: llama_kv_cache of an MLA model
// has no V; vLLM: MLAAttentionSpec has one head of that size); a state has its own size.

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "placement/estimates/sum.h"

namespace gantry::placement {
namespace {

struct Kind {
    uint64_t values = 0;      // a cell; of a state 0
    uint64_t cells = 0;
    uint64_t fixed = 0;       // bytes of a state
    std::string what;         // "4 KV heads x (128 + 128)"

    auto key() const { return std::tuple(values, cells, fixed, what); }
    bool operator<(const Kind& other) const { return key() < other.key(); }
};

LayerMemory memory_of(const ModelMeta& meta, uint32_t layer) {
    return layer < meta.layer_memory.size() ? static_cast<LayerMemory>(meta.layer_memory[layer]) : LayerMemory::kFull;
}

uint64_t heads_of(const ModelMeta& meta, uint32_t layer) {
    return layer < meta.layer_heads_kv.size() ? meta.layer_heads_kv[layer] : meta.heads_kv;
}

void note(std::vector<std::string>& unknown, bool missing, const char* what) {
    if (missing && std::find(unknown.begin(), unknown.end(), what) == unknown.end()) {
        unknown.emplace_back(what);
    }
}

Kind attention(const ModelMeta& meta, uint32_t layer, uint64_t cells, std::vector<std::string>& unknown) {
    const uint64_t heads = heads_of(meta, layer), k = key_length(meta), v = value_length(meta);
    note(unknown, meta.heads_kv == 0 && meta.layer_heads_kv.empty(), "KV heads");
    note(unknown, k == 0 || v == 0, "head size");
    return {.values = heads * (k + v), .cells = cells, .fixed = 0, .what = fmt::format("{} KV heads x ({} + {})", heads, k, v)};
}

// What one layer keeps; of both kinds where it has both.
std::vector<Kind> kinds_of(const ModelMeta& meta, uint32_t layer, const KvLayout& layout, std::vector<std::string>& unknown) {
    const auto state = [&] {
        note(unknown, meta.state_bytes == 0, "size of the state");
        return Kind{.values = 0, .cells = layout.states, .fixed = meta.state_bytes, .what = fmt::format("{} B of state", grouped(meta.state_bytes))};
    };
    switch (memory_of(meta, layer)) {
        case LayerMemory::kFull: return {attention(meta, layer, layout.cells, unknown)};
        case LayerMemory::kWindow: return {attention(meta, layer, layout.window_cells, unknown)};
        case LayerMemory::kLatent: {
            note(unknown, meta.kv_lora_rank == 0, "size of the latent");
            return {{.values = uint64_t{meta.kv_lora_rank} + meta.rope_head_length, .cells = layout.cells, .fixed = 0,
                     .what = fmt::format("({} + {} of the latent)", meta.kv_lora_rank, meta.rope_head_length)}};
        }
        case LayerMemory::kState: return {state()};
        case LayerMemory::kFullAndState: return {attention(meta, layer, layout.cells, unknown), state()};
        case LayerMemory::kNone: return {};
    }
    return {};
}

uint64_t bytes_of(const Kind& kind, const CellType& type) {
    if (kind.fixed > 0) {
        return product({kind.cells, kind.fixed});
    }
    return product({kind.cells, kind.values, type.block_bytes}) / type.block_values;
}

}  // namespace

std::string CellType::bytes_text() const {
    return block_values == 1 ? fmt::format("{} B", block_bytes) : fmt::format("{}/{} B", block_bytes, block_values);
}

// llama.cpp's --cache-type-k (blocks of 32 values, ggml-common.h), vLLM's --kv-cache-dtype, MindIE's none: f16.
std::optional<CellType> cell_type(const std::string& name) {
    static const std::map<std::string, CellType> types = {
        {"", {2, 1}},        {"auto", {2, 1}},     {"f32", {4, 1}},      {"f16", {2, 1}},      {"float16", {2, 1}}, {"bf16", {2, 1}},
        {"bfloat16", {2, 1}}, {"q8_0", {34, 32}},  {"q5_1", {24, 32}},   {"q5_0", {22, 32}},   {"q4_1", {20, 32}},  {"q4_0", {18, 32}},
        {"iq4_nl", {18, 32}}, {"fp8", {1, 1}},     {"fp8_e4m3", {1, 1}}, {"fp8_e5m2", {1, 1}}, {"int8", {1, 1}}};
    const auto found = types.find(name);
    return found == types.end() ? std::nullopt : std::optional(found->second);
}

uint32_t key_length(const ModelMeta& meta) {
    return meta.key_length > 0 ? meta.key_length : meta.heads > 0 ? meta.embedding_length / meta.heads : 0;
}

uint32_t value_length(const ModelMeta& meta) { return meta.value_length > 0 ? meta.value_length : key_length(meta); }

bool is_state_model(const ModelMeta& meta) {
    return meta.layer_memory.find_first_of("sb") != std::string::npos;
}

uint64_t LayerKv::total() const {
    return std::accumulate(layers.begin(), layers.end(), uint64_t{0}, [](uint64_t a, uint64_t b) { return total_of({a, b}); });
}

LayerKv layer_kv(const ModelMeta& meta, const KvLayout& layout) {
    LayerKv kv;
    const std::optional<CellType> type = cell_type(layout.type);
    note(kv.unknown, meta.layers == 0, "layers");
    if (!type) {
        kv.unknown.push_back("size of a KV cell of the type " + layout.type);
    }
    std::map<Kind, uint64_t> like;   // how many layers are so
    for (uint32_t layer = 0; layer < meta.layers; ++layer) {
        uint64_t bytes = 0;
        for (const Kind& kind : kinds_of(meta, layer, layout, kv.unknown)) {
            bytes += type ? bytes_of(kind, *type) : 0;
            ++like[kind];
        }
        kv.layers.push_back(bytes);
    }
    if (!kv.unknown.empty()) {
        kv.layers.clear();
        return kv;
    }
    for (const auto& [kind, layers] : like) {
        kv.formula += kv.formula.empty() ? "" : " + ";
        kv.formula += kind.fixed > 0 ? fmt::format("{} layers x {} x {} sequences", layers, kind.what, grouped(kind.cells))
                                     : fmt::format("{} layers x {} x {} x {} tokens", layers, kind.what, type->bytes_text(), grouped(kind.cells));
    }
    return kv;
}

uint64_t kv_token_bytes(const ModelMeta& meta, const std::string& type) {
    return layer_kv(meta, {.cells = 1, .window_cells = 0, .states = 0, .type = type}).total();
}

KvBytes kv_bytes(const ModelMeta& meta, uint64_t tokens, uint64_t sequences, const std::string& type, uint64_t batch) {
    const uint64_t window = meta.sliding_window > 0 ? std::min<uint64_t>(tokens, meta.sliding_window + batch) : tokens;
    const LayerKv kv = layer_kv(
        meta, {.cells = product({tokens, sequences}), .window_cells = product({window, sequences}), .states = sequences, .type = type});
    return {.known = kv.unknown.empty(), .total = kv.total(), .formula = kv.formula};
}

}  // namespace gantry::placement
