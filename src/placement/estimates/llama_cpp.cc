// The embedded engine and llama-server: what llama.cpp allocates. Places below are in the tree pinned by third_party/sources.txt.
//
// On a CPU:
// - The file is mapped and read ahead whole (llama-mmap.cpp, MAP_POPULATE). Quantised matrices of products are packed anew into memory
//   of their own while it is mapped: by the embedded engine's kernels (engine/kernels/matmul.h), by ggml's repack.cpp in llama-server.
//   Their originals stay mapped as long as anything before and behind them in the file is used (llama-model-loader.cpp,
//   unmap_fragment), so both count, except for a packed output matrix of its own: it stands at an end of the file. Until loading ends
//   it counts as well; that is the peak of a short context.
// - The embedded engine lets go of originals as it packs them (packed_buffer.cc), but for a table of embeddings that is the output matrix
//   too, whose rows come back as they are looked up. The output matrix is the first that it packs, beside the whole file.
// - KV: llama-kv-cache.cpp; cells are shared by all sequences (kv_unified), padded to 256. The embedded engine keeps windows whole
//   (swa_full), llama-server keeps window x sequences + a batch.
// - Compute: ggml-alloc reuses what is no longer read, so the largest phase of a layer counts, and the mask beside it. Without flash
//   attention the scores of a step's rows, of which the embedded engine takes as many as have room in kScoreBytes.
// - Logits: one row of 4 bytes x vocabulary a running sequence, in the graph and copied out of it. Rows that are reserved beyond (256
//   sequences' in the embedded engine) are never touched.
// - llama-server's --cache-ram: ended prompts in memory beside the cells, as many MiB as it is told; backends/llama_server.cc tells it
//   none unless the deployment does (its own default is 8 GiB).
// - A tower for pictures (mmproj) is read into memory, not mapped, by llama-server alone; what a picture takes while it is encoded:
//   estimates/vision.cc.
// On devices: -ngl counts the output matrix as the last layer: with all layers it is there too, with fewer it takes the place of one. They
// are spread evenly over ranks (llama-model.cpp, i_gpu_start); each layer's KV beside it; a compute buffer each; the table of embeddings
// stays in memory.

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "backends/backends.h"
#include "backends/flags.h"
#include "placement/estimates/overheads.h"
#include "placement/estimates/sum.h"

namespace gantry::placement {
namespace {

constexpr uint64_t kCellsPadding = 256;
constexpr uint64_t kEngineSequences = 64, kEngineSlots = 256;   // engine/llama_context_plan.cc
constexpr uint64_t kBatchRows = 512;                            // the embedded engine's, and llama-server's -ub
constexpr uint64_t kScoreBytes = 32ull << 20, kScoreRowsMin = 32;   // the embedded engine's: engine/llama_context_plan.cc
constexpr uint64_t kPipelineCopies = 4;                         // of a graph's inputs, with several devices (ggml-backend.cpp)
// Measured, docs/perf/placement.md: the program and its threads; what a token of the vocabulary takes in the tokenizer's tables;
// what a cell takes beside its keys and values (llama-kv-cells.h: 40 bytes and a node of the positions' map; the engine's own books).
constexpr uint64_t kProcessBytes = 24ull << 20;
constexpr uint64_t kVocabularyTokenBytes = 320;
constexpr uint64_t kPlainTokenBytes = 64;      // of an encoder's, which has no merges
constexpr uint64_t kCellBookBytes = 128;

bool is_engine(const Shape& shape) { return shape.backend == BackendKind::kEngine; }

bool has_own_kernels(const Shape& shape) { return is_engine(shape) && backends::flag_text(shape.options, {"--kernels"}).value_or("on") != "off"; }

struct Plan {
    uint64_t cells = 0, sequences = 0, rows = 0;
    uint64_t window_cells = 0, states = 0;
    bool flash = true;
    bool bounded = false;   // rows are fewer the more cells there are, for the scores
    std::string kv_type;
};

Plan plan_of(const ModelMeta& meta, const Shape& shape) {
    Plan plan;
    plan.cells = (shape.context_tokens + kCellsPadding - 1) / kCellsPadding * kCellsPadding;
    plan.sequences = std::max<uint64_t>(shape.sequences ? shape.sequences : is_engine(shape) ? kEngineSequences : 1, 1);
    const uint64_t rows = is_engine(shape) ? std::max(kBatchRows, plan.sequences)
                                           : backends::flag_number(shape.options, {"-ub", "--ubatch-size"}, kBatchRows, kBatchRows);
    plan.rows = std::min(rows, std::max<uint64_t>(plan.cells, 1));
    plan.flash = backends::flag_text(shape.options, {"--flash-attention", "-fa", "--flash-attn"}).value_or("auto") != "off";
    if (is_engine(shape) && !plan.flash) {
        const uint64_t within = kScoreBytes / std::max<uint64_t>(product({4, meta.heads, plan.cells}), 1);
        plan.bounded = within < plan.rows && within > std::max(kScoreRowsMin, plan.sequences);
        plan.rows = std::min(plan.rows, std::max({within, kScoreRowsMin, plan.sequences}));
    }
    plan.window_cells = plan.cells;
    if (!is_engine(shape) && meta.sliding_window > 0) {
        const uint64_t least = (meta.sliding_window * plan.sequences + plan.rows + kCellsPadding - 1) / kCellsPadding * kCellsPadding;
        plan.window_cells = std::min(plan.cells, least);
    }
    plan.states = is_engine(shape) && !is_state_model(meta) ? kEngineSlots : plan.sequences;
    plan.kv_type = shape.options.kv_type;
    if (plan.kv_type.empty()) plan.kv_type = backends::flag_text(shape.options, {"--kv-type", "--cache-type-k", "-ctk"}).value_or("f16");
    return plan;
}

// --- weights ------------------------------------------------------------------------------------------------------------

// Bytes of a packed matrix over those in the file, as bits of 256 values; 0: not packed. The engine: 4, 5 or 8 bits and a scale (and a
// minimum) of 16 bits for 32 values, or the 16 bits that there are. ggml's repack for x86: the same size.
struct Packed {
    double stored = 0, packed = 0;
};
const Packed* own_packing(const std::string& type) {
    static const std::map<std::string, Packed> ours = {{"Q4_0", {4.5, 4.5}}, {"Q4_1", {5, 5}},     {"Q5_0", {5.5, 5.5}},   {"Q5_1", {6, 6}},
                                                       {"Q8_0", {8.5, 8.5}}, {"Q4_K", {4.5, 5}},   {"Q5_K", {5.5, 6}},     {"Q6_K", {6.5625, 8.5}},
                                                       {"IQ4_NL", {4.5, 4.5}}, {"IQ4_XS", {4.25, 4.5}}, {"F16", {1, 1}},        {"BF16", {1, 1}}};
    const auto found = ours.find(type);
    return found != ours.end() ? &found->second : nullptr;
}
bool ggml_packs(const std::string& type) {
    static const std::set<std::string> types = {"Q4_0", "Q4_K", "Q2_K", "IQ4_NL", "MXFP4"};
    return types.contains(type);
}

bool has_own_output(const ModelMeta& meta) {
    return meta.weights.output > meta.weights.embedding / 8;   // else it is the norm alone, and the embeddings are used twice
}

// The type of the table of embeddings or of the output matrix, which nothing says: of those there are, the one that its size fits.
std::string type_of_vocabulary(const ModelMeta& meta, uint64_t matrix) {
    static const std::map<std::string, double> bits = {{"F32", 32},  {"F16", 16},    {"BF16", 16}, {"Q8_0", 8.5}, {"Q6_K", 6.5625}, {"Q5_K", 5.5},
                                                       {"Q5_0", 5.5}, {"Q5_1", 6}, {"Q4_K", 4.5}, {"Q4_0", 4.5}, {"Q4_1", 5},      {"Q3_K", 3.4375},
                                                       {"Q2_K", 2.625}, {"IQ4_NL", 4.5}};
    const double values = static_cast<double>(meta.vocabulary) * meta.embedding_length;
    for (const auto& [type, bytes] : meta.bytes_of_type) {
        const auto found = bits.find(type);
        if (found != bits.end() && bytes >= matrix * 9 / 10 && values > 0 &&
            std::abs(static_cast<double>(matrix) * 8 / values - found->second) < 0.2) {
            return type;
        }
    }
    return {};
}

uint64_t packed_from(const Packed& packed, uint64_t stored) {
    return static_cast<uint64_t>(static_cast<double>(stored) * packed.packed / packed.stored);
}

// What is packed of the whole model when all of it is in memory, and what the engine lets go of instead.
struct PackedWeights {
    uint64_t packed = 0, let_go = 0;
};
// `tied`: the table of embeddings is multiplied by too. Rows are looked up in it: it is not packed, or stays beside what is.
PackedWeights packed_weights(const ModelMeta& meta, bool own_kernels, bool tied) {
    const std::string table = type_of_vocabulary(meta, meta.weights.embedding);
    PackedWeights sum;
    for (const auto& [type, bytes] : meta.bytes_of_type) {
        const uint64_t but_table = bytes - (type == table ? std::min(bytes, meta.weights.embedding) : 0);
        const uint64_t products = tied ? bytes : but_table;
        if (const Packed* packed = own_kernels ? own_packing(type) : nullptr) {
            sum.packed += packed_from(*packed, products);
            sum.let_go += but_table;
        } else if (ggml_packs(type)) {   // what ours leaves is ggml's
            sum.packed += products;
        }
    }
    if (table.empty()) {
        sum.let_go -= std::min(sum.let_go, meta.weights.embedding);   // whichever of them it is, it may stay
    }
    if (meta.experts > 0) {   // theirs are ggml's to pack, and stay mapped; how many of each type nothing says
        sum.let_go = own_kernels && !tied ? std::min(sum.let_go, meta.weights.output) : 0;
    }
    return sum;
}

// Of the output matrix, which is the table of embeddings where there is none of its own.
uint64_t packed_output(const ModelMeta& meta, const PackedWeights& weights) {
    static constexpr Packed kMost = {6.5625, 8.5};
    const uint64_t output = has_own_output(meta) ? meta.weights.output : meta.weights.embedding;
    const Packed* packed = own_packing(type_of_vocabulary(meta, output));
    return std::min(weights.packed, packed_from(packed != nullptr ? *packed : kMost, output));
}

std::string weights_formula(uint64_t file, uint64_t gone, bool own_kernels) {
    if (gone == 0) return "the file, mapped";
    return own_kernels ? fmt::format("the file, {}, without what is packed of it, {}", mib(file), mib(gone))
                       : fmt::format("the file, {}, without the output matrix, {}", mib(file), mib(gone));
}

// Of a GGUF model nothing but its tower belongs to no place in it.
uint64_t tower_bytes(const ModelMeta& meta) { return meta.modality == "vision" ? std::min(meta.weights.other, meta.file_bytes) : 0; }
uint64_t tower_taken(const ModelMeta& meta, const Shape& shape) {
    return backends::takes_pictures(shape.backend, shape.options, meta) ? tower_bytes(meta) : 0;
}
constexpr char kTowerFormula[] = "the tower for pictures, read whole";

// What a picture takes; of a tower that does not say enough it is unknown.
PictureBytes picture_taken(const ModelMeta& meta, const Shape& shape, Sum& sum) {
    if (tower_taken(meta, shape) == 0) return {};
    std::optional<PictureBytes> bytes = picture_bytes(meta.tower, shape.options);
    if (!bytes) sum.unknown("what a picture takes while it is encoded");
    return bytes ? *std::move(bytes) : PictureBytes{};
}
constexpr char kPictureBeside[] = "a picture before it is encoded, and its tokens after";

// --- compute ------------------------------------------------------------------------------------------------------------

struct Compute {
    uint64_t inputs = 0, layer = 0, output = 0;
    std::string formula;
    // A graph's own inputs stay to its end; what is copied to a device for a layer goes with it, unless a pipeline keeps several.
    uint64_t in_memory() const { return inputs + std::max(layer, output); }
    uint64_t on_device(uint64_t copies) const { return copies > 1 ? copies * inputs + std::max(layer, output) : std::max(inputs + layer, output); }
};

// Multiples of an activation's bytes, as ggml-alloc packs them: read off the sizes that llama-server logs for five shapes on a CPU, which
// they give to 0.1 MiB, and fitting those that others logged for devices (tests/data/placement/published.json).
Compute compute_of(const ModelMeta& meta, const Plan& plan, uint64_t output_rows, bool with_output) {
    const uint64_t width = meta.embedding_length, n = plan.rows, heads = meta.heads, k = key_length(meta);
    const uint64_t attention = product({4, n, 2 * width + 2 * heads * k});
    const uint64_t experts = meta.experts > 0 ? 2 * uint64_t{meta.experts_used} * width : 0;   // their answers before and after they are weighed
    const uint64_t forward = product({4, n, 3 * width + 3 * uint64_t{meta.feed_forward_length} + experts});
    const uint64_t scores = plan.flash ? 0 : product({4, n, plan.cells, heads});
    Compute compute;
    compute.inputs = total_of({product({n, plan.cells, plan.flash ? 2u : 4u}), product({4, n, width})});
    compute.layer = std::max(total_of({attention, scores}), forward);
    compute.output = with_output ? product({4, output_rows, uint64_t{meta.vocabulary} + width}) : 0;
    compute.formula = fmt::format("{} rows: mask {} x {} B, activations {}", grouped(n), grouped(plan.cells), plan.flash ? 2 : 4,
                                  mib(compute.layer));
    if (scores > 0) {
        compute.formula += fmt::format(" (scores {} heads x {} x {} x 4 B)", heads, grouped(n), grouped(plan.cells));
    }
    if (with_output) {
        compute.formula += fmt::format(", or {} rows of logits {}", grouped(output_rows), mib(compute.output));
    }
    return compute;
}

// --- the whole ----------------------------------------------------------------------------------------------------------

void add_process(const ModelMeta& meta, const Plan& plan, Sum& sum) {
    sum.memory("runtime", kProcessBytes + kVocabularyTokenBytes * meta.vocabulary + kCellBookBytes * plan.cells,
               fmt::format("{} + {} tokens of vocabulary x {} B + {} cells x {} B", mib(kProcessBytes), grouped(meta.vocabulary),
                           kVocabularyTokenBytes, grouped(plan.cells), kCellBookBytes));
}

void in_memory(const ModelMeta& meta, const Shape& shape, const Plan& plan, const LayerKv& kv, Sum& sum) {
    const bool own = has_own_kernels(shape);
    const PackedWeights weights = packed_weights(meta, own, !has_own_output(meta));
    const uint64_t file = meta.file_bytes - tower_bytes(meta);
    const bool output_packed = has_own_output(meta) && ggml_packs(type_of_vocabulary(meta, meta.weights.output));
    const uint64_t output = output_packed ? std::min(meta.weights.output, file) : 0;
    const uint64_t gone = std::min(file, own ? weights.let_go : output);
    sum.memory("weights", file - gone, weights_formula(file, gone, own));
    sum.memory("vision", tower_taken(meta, shape), kTowerFormula);
    const PictureBytes picture = picture_taken(meta, shape, sum);
    sum.memory("picture", total_of({picture.compute, picture.memory}), picture.formula);
    sum.memory("weights_packed", weights.packed, "quantised matrices in the order in which the kernels read them");
    sum.memory("kv_cache", kv.total(), kv.formula);
    const Compute compute = compute_of(meta, plan, plan.sequences, true);
    sum.memory("compute", compute.in_memory(), compute.formula);
    const uint64_t logits = 4 * plan.sequences * meta.vocabulary;
    sum.memory("output", logits, fmt::format("{} sequences x {} tokens of vocabulary x 4 B", plan.sequences, grouped(meta.vocabulary)));
    const uint64_t later = kv.total() + compute.in_memory() + logits + kCellBookBytes * plan.cells;
    // While it loads, the context is not there yet, and of what is packed at last ours has but the first matrix.
    const uint64_t first = packed_output(meta, weights);
    const uint64_t loading = own ? gone - std::min(gone, weights.packed - first) : gone;
    if (loading > later) {
        sum.memory("loading", loading - later,
                   fmt::format("while it loads the output matrix, {}, counts twice, and the context not yet", mib(own ? first : gone)));
    }
    const uint64_t ended = backends::flag_number(shape.options, {"-cram", "--cache-ram"}, 0, kTooMuch >> 20);   // MiB; -1: no limit
    sum.memory("prompt_cache", is_engine(shape) ? 0 : product({ended, 1u << 20}), "what --cache-ram says");
    add_process(meta, plan, sum);
}

struct Split {
    std::vector<uint64_t> weights, kv;
    uint64_t host_weights = 0, host_kv = 0;
    uint32_t host_layers = 0;
    std::string layers;     // "17 + 16"
};

Split split_over(const ModelMeta& meta, const Shape& shape, const LayerKv& kv) {
    const uint32_t ranks = std::max(shape.ranks, 1u), wanted = shape.layers_on_devices;
    const uint32_t on_devices = wanted >= meta.layers ? meta.layers : wanted > 0 ? wanted - 1 : 0;
    const std::vector<uint64_t> weights = layer_weights(meta);
    Split split;
    split.weights.resize(ranks);
    split.kv.resize(ranks);
    std::vector<uint32_t> counts(ranks);
    const uint32_t first = meta.layers - on_devices;
    for (uint32_t layer = 0; layer < meta.layers; ++layer) {
        const uint64_t cells = layer < kv.layers.size() ? kv.layers[layer] : 0;
        if (layer < first) {
            split.host_weights += weights[layer];
            ++split.host_layers;
            split.host_kv = total_of({split.host_kv, cells});
            continue;
        }
        const uint32_t rank = (layer - first) * ranks / (on_devices + 1);
        split.weights[rank] += weights[layer];
        split.kv[rank] = total_of({split.kv[rank], cells});
        ++counts[rank];
    }
    const uint64_t head = has_own_output(meta) ? meta.weights.output : meta.weights.output + meta.weights.embedding;
    (wanted > 0 ? split.weights.back() : split.host_weights) += head + meta.weights.other - tower_bytes(meta);
    split.host_weights += meta.weights.embedding;
    for (uint32_t count : counts) {
        split.layers += (split.layers.empty() ? "" : " + ") + std::to_string(count);
    }
    return split;
}

void on_devices(const ModelMeta& meta, const Shape& shape, const Plan& plan, const LayerKv& kv, Sum& sum) {
    const Split split = split_over(meta, shape, kv);
    const uint32_t ranks = std::max(shape.ranks, 1u);
    sum.devices("weights", split.weights, fmt::format("{} of {} layers, and the output", split.layers, meta.layers));
    if (const uint64_t tower = tower_taken(meta, shape); tower > 0) {
        std::vector<uint64_t> by_rank(ranks);
        by_rank.front() = tower;
        sum.devices("vision", by_rank, kTowerFormula);
        const PictureBytes picture = picture_taken(meta, shape, sum);
        by_rank.front() = picture.compute;
        sum.devices("picture", by_rank, picture.formula);
        sum.memory("picture", picture.memory, kPictureBeside);
    }
    sum.devices("kv_cache", split.kv, kv.formula + fmt::format(", of {} of {} layers", split.layers, meta.layers));
    const bool pipeline = shape.pipelined || (ranks > 1 && shape.layers_on_devices >= meta.layers);
    // Long batches of the layers that stay in memory are computed on a device, to which a matrix at a time is copied (op_offload).
    const uint64_t lent = split.host_layers > 0 && shape.layers_on_devices > 0 ? split.host_weights / split.host_layers / 3 : 0;
    std::vector<uint64_t> computes;
    std::string formula;
    for (uint32_t rank = 0; rank < ranks; ++rank) {
        const Compute compute = compute_of(meta, plan, plan.sequences, rank + 1 == ranks);
        computes.push_back(compute.on_device(pipeline ? kPipelineCopies : 1) + lent);
        formula = compute.formula;
    }
    sum.devices("compute", computes, pipeline ? fmt::format("{}; inputs {} times, for a pipeline", formula, kPipelineCopies) : formula);
    const DeviceOverhead& overhead = device_overhead(shape.vendor);
    sum.each_device("runtime", overhead.context_bytes, "the driver's context and libraries");
    sum.memory("weights", split.host_weights, split.host_layers > 0 ? "embeddings and the layers that stay here" : "embeddings");
    sum.memory("kv_cache", split.host_kv, split.host_kv > 0 ? "of the layers that stay here" : "");
    const uint64_t inputs = compute_of(meta, plan, 0, false).inputs;
    const bool part = shape.layers_on_devices < meta.layers;
    const Compute here = compute_of(meta, plan, 0, false);
    sum.memory("compute", part ? here.in_memory() : inputs, part ? here.formula : "the graph's inputs");
    sum.memory("output", 4 * plan.sequences * meta.vocabulary,
               fmt::format("{} sequences x {} tokens of vocabulary x 4 B", plan.sequences, grouped(meta.vocabulary)));
    sum.memory("runtime", kProcessBytes + kVocabularyTokenBytes * meta.vocabulary + kCellBookBytes * plan.cells + overhead.host_bytes,
               fmt::format("process, vocabulary, cells' books; {} of the vendor's libraries", mib(overhead.host_bytes)));
}

// --- embeddings and rankings: no sequence outlives its forward (engine/llama_embedding_runner.cc) -------------------------

bool makes_vectors(const ModelMeta& meta, const Shape& shape) {
    return is_engine(shape) && (!meta.pooling.empty() || meta.modality == "embedding" || meta.modality == "rerank");
}

void vectors_in_memory(const ModelMeta& meta, const Shape& shape, Sum& sum) {
    constexpr uint64_t kInputTokensMax = 8192;
    const uint64_t trained = meta.context_length > 0 ? meta.context_length : kBatchRows;
    const uint64_t rows = std::max(shape.context_tokens > 0 ? shape.context_tokens : std::min(trained, kInputTokensMax), kBatchRows);
    const bool decoder = meta.layer_memory.empty() || meta.layer_memory.find_first_not_of('-') != std::string::npos;
    const bool own = has_own_kernels(shape);
    const PackedWeights weights = packed_weights(meta, own, decoder && !has_own_output(meta));   // an encoder only looks up
    const uint64_t gone = std::min(meta.file_bytes, weights.let_go);
    sum.memory("weights", meta.file_bytes - gone, weights_formula(meta.file_bytes, gone, own));
    sum.memory("weights_packed", weights.packed, "quantised matrices in the order in which the kernels read them");
    if (decoder) {
        const LayerKv kv = layer_kv(meta, {.cells = rows, .window_cells = rows, .states = 1, .type = "f16"});
        sum.memory("kv_cache", kv.total(), kv.formula);
    }
    const uint64_t width = meta.embedding_length, heads = meta.heads;
    sum.memory("compute", rows * (4 * width * 6 + 8 * uint64_t{meta.feed_forward_length} + rows * heads * 4),
               fmt::format("{0} rows x (6 x {1} x 4 B + 2 x {2} x 4 B + scores {0} x {3} heads x 4 B)", grouped(rows), width,
                           meta.feed_forward_length, heads));
    const uint64_t token = decoder ? kVocabularyTokenBytes : kPlainTokenBytes;
    sum.memory("runtime", kProcessBytes + token * meta.vocabulary,
               fmt::format("{} + {} tokens of vocabulary x {} B", mib(kProcessBytes), grouped(meta.vocabulary), token));
}

}  // namespace

Estimate estimate_llama_cpp(const ModelMeta& meta, const Shape& shape) {
    if (meta.architecture == "whisper") return estimate_whisper(meta, shape);
    const bool devices = shape.vendor != "cpu";
    Sum sum(shape.ranks, devices);
    note_unknown(meta, sum);
    if (meta.bytes_of_type.empty() && !devices) {
        sum.unknown("types of the weights");   // by which they are packed
    }
    if (makes_vectors(meta, shape) && !devices) {
        vectors_in_memory(meta, shape, sum);
        return sum.done(0);
    }
    const Plan plan = plan_of(meta, shape);
    const LayerKv kv = layer_kv(meta, {plan.cells, plan.window_cells, plan.states, plan.kv_type});
    for (const std::string& what : kv.unknown) {
        sum.unknown(what);
    }
    devices ? on_devices(meta, shape, plan, kv, sum) : in_memory(meta, shape, plan, kv, sum);
    const uint64_t row = plan.flash ? 2 : plan.bounded ? 0 : 4 + 4 * uint64_t{meta.heads};
    return sum.done(kv_token_bytes(meta, plan.kv_type) + plan.rows * row + kCellBookBytes);
}

}  // namespace gantry::placement
