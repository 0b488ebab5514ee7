#include "placement/estimate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "placement/estimates/sum.h"

namespace gantry::placement {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr uint64_t kGiB = 1ull << 30;

// Qwen2.5-Coder-0.5B's shape, as a GGUF of Q4_K_M.
ModelMeta small() {
    ModelMeta meta;
    meta.format = "gguf";
    meta.architecture = "qwen2";
    meta.file_bytes = 491'400'064;
    meta.parameter_count = 630'167'424;
    meta.layers = 24;
    meta.context_length = 32'768;
    meta.embedding_length = 896;
    meta.feed_forward_length = 4864;
    meta.heads = 14;
    meta.heads_kv = 2;
    meta.key_length = meta.value_length = 64;
    meta.vocabulary = 151'936;
    meta.weights.embedding = 93'592'576;
    meta.weights.output = 144'646'656;
    meta.weights.layers.assign(24, 10'298'000);
    meta.bytes_of_type = {{"Q5_0", 240'000'000}, {"Q8_0", 150'000'000}, {"Q4_K", 20'000'000}, {"Q6_K", 75'000'000}, {"F32", 300'000}};
    return meta;
}

// A folder of safetensors in BF16.
ModelMeta bf16(const std::string& architecture, uint32_t layers, uint32_t width, uint32_t inner, uint32_t heads, uint32_t heads_kv,
               uint64_t parameters, uint32_t vocabulary = 152'064) {
    ModelMeta meta;
    meta.format = "safetensors";
    meta.architecture = architecture;
    meta.dtype = "bfloat16";
    meta.parameter_count = parameters;
    meta.file_bytes = parameters * 2;
    meta.layers = layers;
    meta.embedding_length = width;
    meta.feed_forward_length = inner;
    meta.heads = heads;
    meta.heads_kv = heads_kv;
    meta.key_length = meta.value_length = 128;
    meta.vocabulary = vocabulary;
    meta.weights.embedding = meta.weights.output = uint64_t{vocabulary} * width * 2;
    return meta;
}
ModelMeta distill_7b() { return bf16("Qwen2ForCausalLM", 28, 3584, 18'944, 28, 4, 7'615'616'512); }
ModelMeta distill_14b() { return bf16("Qwen2ForCausalLM", 48, 5120, 13'824, 40, 8, 14'770'033'664); }
ModelMeta distill_32b() { return bf16("Qwen2ForCausalLM", 64, 5120, 27'648, 40, 8, 32'763'876'352); }
ModelMeta qwen3_14b() { return bf16("Qwen3ForCausalLM", 40, 5120, 17'408, 40, 8, 14'768'307'200, 151'936); }
ModelMeta qwen3_32b() { return bf16("Qwen3ForCausalLM", 64, 5120, 25'600, 64, 8, 32'762'123'264, 151'936); }

Shape shape(BackendKind backend, const std::string& vendor, uint32_t context, uint32_t sequences, uint32_t ranks = 1, uint32_t layers = 0) {
    Shape s;
    s.backend = backend;
    s.vendor = vendor;
    s.context_tokens = context;
    s.sequences = sequences;
    s.ranks = ranks;
    s.layers_on_devices = layers;
    return s;
}

uint64_t bytes_of(const Estimate& estimate, const std::string& name, Where where) {
    uint64_t bytes = 0;
    for (const Term& term : estimate.terms) {
        bytes += term.name == name && term.where == where ? term.bytes : 0;
    }
    return bytes;
}

std::string formula_of(const Estimate& estimate, const std::string& name) {
    for (const Term& term : estimate.terms) {
        if (term.name == name) return term.formula;
    }
    return {};
}

// --- keys and values ------------------------------------------------------------------------------------------------------

TEST(kv_bytes, of_every_token_in_full_layers) {
    const KvBytes kv = kv_bytes(small(), 1000, 3, "f16");
    EXPECT_TRUE(kv.known);
    EXPECT_EQ(kv.total, 24ull * 2 * (64 + 64) * 2 * 3000);
    EXPECT_EQ(kv.formula, "24 layers x 2 KV heads x (64 + 64) x 2 B x 3,000 tokens");
}

TEST(kv_bytes, by_the_type_of_a_cell) {
    const uint64_t f16 = kv_bytes(small(), 1024, 1, "").total;
    EXPECT_EQ(kv_bytes(small(), 1024, 1, "q8_0").total, f16 / 2 * 34 / 32);
    EXPECT_EQ(kv_bytes(small(), 1024, 1, "fp8").total, f16 / 2);
    EXPECT_EQ(kv_bytes(small(), 1024, 1, "q4_0").total, f16 / 2 * 18 / 32);
    EXPECT_EQ(kv_bytes(small(), 1024, 1, "f32").total, f16 * 2);
    EXPECT_FALSE(kv_bytes(small(), 1024, 1, "q9_9").known);
}

TEST(kv_bytes, of_a_window_no_more_than_the_window) {
    ModelMeta meta = small();
    meta.layer_memory = "wwwwwfwwwwwfwwwwwfwwwwwf";
    meta.sliding_window = 512;
    const uint64_t token = 2 * (64 + 64) * 2;
    EXPECT_EQ(kv_bytes(meta, 4096, 2, "f16").total, token * 2 * (4 * 4096 + 20 * 512));
    EXPECT_EQ(kv_bytes(meta, 100, 2, "f16").total, token * 2 * 24 * 100);
}

TEST(kv_bytes, of_a_window_with_what_is_computed_at_once) {
    ModelMeta meta = small();
    meta.layer_memory = std::string(meta.layers, 'w');
    meta.sliding_window = 512;
    EXPECT_EQ(kv_bytes(meta, 4096, 1, "f16", 2048).total, kv_bytes(meta, 2560, 1, "f16", 4096).total);
    EXPECT_EQ(kv_bytes(meta, 4096, 1, "f16", 8192).total, kv_bytes(meta, 4096, 1, "f16", 4096).total) << "no more than there is";
}

// A file of a kilobyte may say all this: what it takes must not come round to little.
TEST(kv_bytes, of_what_no_machine_holds_is_too_much) {
    ModelMeta meta = small();
    meta.layers = 4096;
    meta.layer_memory.clear();
    meta.heads = meta.heads_kv = 65536;
    meta.key_length = 1;
    meta.value_length = (4u << 20) - 1;
    for (const uint64_t tokens : {8192ull, 1ull << 30}) {
        EXPECT_GE(kv_bytes(meta, tokens, 1, "f16").total, kTooMuch / 2) << tokens;
        EXPECT_GE(kv_bytes(meta, tokens, 4096, "q8_0").total, kTooMuch / 64) << tokens;
    }
}

TEST(kv_bytes, of_a_latent_whatever_the_heads) {
    ModelMeta meta = small();
    meta.layer_memory = std::string(24, 'l');
    meta.kv_lora_rank = 512;
    meta.rope_head_length = 64;
    EXPECT_EQ(kv_bytes(meta, 1000, 1, "f16").total, 24ull * 576 * 2 * 1000);
    meta.kv_lora_rank = 0;
    EXPECT_FALSE(kv_bytes(meta, 1000, 1, "f16").known);
}

TEST(kv_bytes, of_a_state_by_sequences_not_by_tokens) {
    ModelMeta meta = small();
    meta.layer_memory = "sssfsssfsssfsssfsssf---b";
    meta.state_bytes = 1'000'000;
    const uint64_t token = 2 * (64 + 64) * 2;
    EXPECT_EQ(kv_bytes(meta, 100, 4, "f16").total, 4 * (16 * 1'000'000 + token * 100 * 6)) << "15 states, one beside keys, three of nothing";
    EXPECT_EQ(kv_bytes(meta, 200, 4, "f16").total - kv_bytes(meta, 100, 4, "f16").total, 4 * token * 100 * 6);
}

TEST(kv_bytes, by_the_heads_of_each_layer) {
    ModelMeta meta = small();
    meta.layers = 3;
    meta.layer_heads_kv = {2, 4, 8};
    EXPECT_EQ(kv_bytes(meta, 10, 1, "f16").total, (2 + 4 + 8) * 128ull * 2 * 10);
}

TEST(kv_bytes, unknown_is_never_nothing) {
    for (const auto& forget : {+[](ModelMeta& m) { m.layers = 0; }, +[](ModelMeta& m) { m.heads_kv = 0; },
                               +[](ModelMeta& m) { m.key_length = m.value_length = 0, m.heads = 0; }}) {
        ModelMeta meta = small();
        forget(meta);
        EXPECT_FALSE(kv_bytes(meta, 1000, 1, "f16").known);
        EXPECT_THAT(estimate(meta, shape(BackendKind::kEngine, "cpu", 1024, 1)).unknown, Not(IsEmpty()));
    }
}

// --- properties of every sum ----------------------------------------------------------------------------------------------

std::vector<Shape> all_shapes() {
    std::vector<Shape> shapes;
    for (const uint32_t context : {1000u, 4096u, 32'768u}) {
        for (const uint32_t sequences : {1u, 8u}) {
            for (const BackendKind kind : {BackendKind::kEngine, BackendKind::kLlamaServer, BackendKind::kVllm, BackendKind::kSglang}) {
                shapes.push_back(shape(kind, "cpu", context, sequences));
            }
            for (const uint32_t ranks : {1u, 2u, 3u, 8u}) {
                for (const uint32_t layers : {1u, 7u, 24u}) {
                    shapes.push_back(shape(BackendKind::kLlamaServer, "nvidia", context, sequences, ranks, layers));
                }
                for (const BackendKind kind : {BackendKind::kVllm, BackendKind::kSglang}) {
                    shapes.push_back(shape(kind, "ascend", context, sequences, ranks));
                }
                shapes.push_back(shape(BackendKind::kMindie, "ascend", context, sequences, ranks));
            }
        }
    }
    return shapes;
}

TEST(estimate, sum_of_its_terms_by_place_and_rank) {
    for (const Shape& s : all_shapes()) {
        const Estimate e = estimate(small(), s);
        EXPECT_THAT(e.unknown, IsEmpty());
        uint64_t memory = 0, devices = 0;
        for (const Term& term : e.terms) {
            (term.where == Where::kMemory ? memory : devices) += term.bytes;
            EXPECT_GT(term.bytes, 0u);
            EXPECT_FALSE(term.formula.empty()) << term.name;
        }
        EXPECT_EQ(e.memory_bytes, memory);
        EXPECT_EQ(std::accumulate(e.rank_bytes.begin(), e.rank_bytes.end(), uint64_t{0}), devices);
        EXPECT_EQ(e.total(), memory + devices);
        EXPECT_EQ(e.rank_bytes.size(), s.vendor == "cpu" ? 0 : s.ranks);
        EXPECT_GE(e.total(), small().file_bytes / 2);
    }
}

TEST(estimate, grows_with_context_sequences_and_type) {
    for (Shape s : all_shapes()) {
        const uint64_t now = estimate(small(), s).total();
        const auto with = [&](auto change) {
            Shape more = s;
            change(more);
            return estimate(small(), more).total();
        };
        EXPECT_GE(with([](Shape& m) { m.context_tokens *= 2; }), now);
        EXPECT_GE(with([](Shape& m) { m.sequences += 7; }), now);
        EXPECT_GE(with([](Shape& m) { m.options.kv_type = "f32"; }), now);
        EXPECT_LE(with([](Shape& m) { m.options.kv_type = "fp8"; }), now);
    }
}

// --- llama.cpp ------------------------------------------------------------------------------------------------------------

TEST(estimate_llama_cpp, what_the_engine_packs_is_there_once) {
    const Estimate e = estimate(small(), shape(BackendKind::kEngine, "cpu", 4096, 4));
    const uint64_t products = 240'000'000 - small().weights.embedding + 150'000'000 + 20'000'000 + 75'000'000;
    EXPECT_EQ(bytes_of(e, "weights", Where::kMemory), small().file_bytes - products);
    // The embeddings have 5.5 bits a value: of the types there are that is Q5_0, whose table is looked up in and not packed.
    const double packed = 240e6 - static_cast<double>(small().weights.embedding) + 150e6 + 20e6 * 5 / 4.5 + 75e6 * 8.5 / 6.5625;
    EXPECT_NEAR(static_cast<double>(bytes_of(e, "weights_packed", Where::kMemory)), packed, 8);
    EXPECT_EQ(bytes_of(e, "kv_cache", Where::kMemory), kv_bytes(small(), 4096, 1, "f16").total) << "all sequences share the cells";
}

TEST(estimate_llama_cpp, experts_stay_mapped_beside_what_is_packed_of_them) {
    ModelMeta meta = small();
    meta.experts = 64;
    const Estimate e = estimate(meta, shape(BackendKind::kEngine, "cpu", 4096, 4));
    EXPECT_EQ(bytes_of(e, "weights", Where::kMemory), meta.file_bytes - meta.weights.output);
    EXPECT_EQ(bytes_of(e, "weights_packed", Where::kMemory),
              bytes_of(estimate(small(), shape(BackendKind::kEngine, "cpu", 4096, 4)), "weights_packed", Where::kMemory));
}

TEST(estimate_llama_cpp, an_encoders_table_is_only_looked_up_in) {
    ModelMeta meta = small();
    meta.modality = "embedding";
    meta.layer_memory = std::string(24, '-');
    meta.weights.output = 0;
    meta.bytes_of_type = {{"F16", 491'400'064}};
    meta.weights.embedding = uint64_t{2} * meta.vocabulary * meta.embedding_length;
    const Estimate e = estimate(meta, shape(BackendKind::kEngine, "cpu", 512, 4));
    EXPECT_EQ(bytes_of(e, "weights", Where::kMemory), meta.weights.embedding);
    EXPECT_EQ(bytes_of(e, "weights_packed", Where::kMemory), meta.file_bytes - meta.weights.embedding);
}

TEST(estimate_llama_cpp, llama_server_keeps_the_file_beside_what_it_packs) {
    ModelMeta meta = small();
    const Estimate e = estimate(meta, shape(BackendKind::kLlamaServer, "cpu", 4096, 4));
    EXPECT_EQ(bytes_of(e, "weights", Where::kMemory), meta.file_bytes) << "an output matrix of Q8_0 is not packed";
    EXPECT_EQ(bytes_of(e, "weights_packed", Where::kMemory), 20'000'000u);
    meta.weights.output = uint64_t{meta.vocabulary} * meta.embedding_length * 9 / 16;
    meta.bytes_of_type["Q4_K"] += meta.weights.output;
    EXPECT_EQ(bytes_of(estimate(meta, shape(BackendKind::kLlamaServer, "cpu", 4096, 4)), "weights", Where::kMemory),
              meta.file_bytes - meta.weights.output) << "one of Q4_K is only there packed";
}

TEST(estimate_llama_cpp, without_our_kernels_ggmls_are_packed) {
    Shape s = shape(BackendKind::kEngine, "cpu", 4096, 4);
    s.options.extra_args = {"--kernels=off"};
    const Estimate e = estimate(small(), s);
    EXPECT_EQ(bytes_of(e, "weights_packed", Where::kMemory),
              bytes_of(estimate(small(), shape(BackendKind::kLlamaServer, "cpu", 4096, 4)), "weights_packed", Where::kMemory));
    EXPECT_LT(bytes_of(e, "weights_packed", Where::kMemory),
              bytes_of(estimate(small(), shape(BackendKind::kEngine, "cpu", 4096, 4)), "weights_packed", Where::kMemory));
}

TEST(estimate_llama_cpp, tied_embeddings_stay_mapped_and_are_packed) {
    ModelMeta meta = small();
    meta.weights.output = 3584;
    meta.bytes_of_type = {{"Q8_0", meta.weights.embedding}};
    const Estimate e = estimate(meta, shape(BackendKind::kEngine, "cpu", 512, 1));
    EXPECT_EQ(bytes_of(e, "weights", Where::kMemory), meta.file_bytes);
    EXPECT_EQ(bytes_of(e, "weights_packed", Where::kMemory), meta.weights.embedding);
}

TEST(estimate_llama_cpp, full_precision_is_not_packed) {
    ModelMeta meta = small();
    meta.bytes_of_type = {{"F32", meta.file_bytes}};
    const Estimate e = estimate(meta, shape(BackendKind::kEngine, "cpu", 512, 1));
    EXPECT_EQ(bytes_of(e, "weights", Where::kMemory), meta.file_bytes);
    EXPECT_EQ(bytes_of(e, "weights_packed", Where::kMemory), 0u);
}

TEST(estimate_llama_cpp, weights_of_unknown_types_are_unknown) {
    ModelMeta meta = small();
    meta.bytes_of_type.clear();
    EXPECT_THAT(estimate(meta, shape(BackendKind::kEngine, "cpu", 512, 1)).unknown, Contains("types of the weights"));
}

TEST(estimate_llama_cpp, an_encoder_keeps_nothing_of_its_inputs) {
    ModelMeta meta = small();
    meta.pooling = "mean";
    meta.layer_memory = std::string(24, '-');
    const Estimate one = estimate(meta, shape(BackendKind::kEngine, "cpu", 512, 1));
    EXPECT_EQ(bytes_of(one, "kv_cache", Where::kMemory), 0u);
    EXPECT_EQ(one.total(), estimate(meta, shape(BackendKind::kEngine, "cpu", 512, 64)).total());
    const Estimate longer = estimate(meta, shape(BackendKind::kEngine, "cpu", 2048, 1));
    EXPECT_GT(longer.total(), one.total() + 14ull * 2048 * 2048 * 4 / 2) << "scores of each row with each";
}

TEST(estimate_llama_cpp, llama_servers_prompt_cache_as_it_is_told) {
    Shape s = shape(BackendKind::kLlamaServer, "cpu", 4096, 1);
    const uint64_t without = estimate(small(), s).total();
    s.options.extra_args = {"--cache-ram", "512"};
    EXPECT_EQ(estimate(small(), s).total(), without + (512u << 20));
}

TEST(estimate_llama_cpp, loading_is_the_peak_of_a_short_context) {
    const Estimate brief = estimate(small(), shape(BackendKind::kEngine, "cpu", 512, 1));
    const Estimate longer = estimate(small(), shape(BackendKind::kEngine, "cpu", 32'768, 1));
    EXPECT_GT(bytes_of(brief, "loading", Where::kMemory), 0u);
    EXPECT_EQ(bytes_of(longer, "loading", Where::kMemory), 0u);
}

TEST(estimate_llama_cpp, scores_without_flash_attention) {
    Shape s = shape(BackendKind::kEngine, "cpu", 4096, 1);
    const uint64_t flash = bytes_of(estimate(small(), s), "compute", Where::kMemory);
    s.options.extra_args = {"--flash-attention", "off"};
    const auto scores = [&](uint32_t context, uint32_t sequences) {
        s.context_tokens = context;
        s.sequences = sequences;
        const Estimate without = estimate(small(), s);
        return bytes_of(without, "compute", Where::kMemory);
    };
    // 14 heads x 4 B a row and cell: 149 rows in 32 MiB, and their mask of 4 B; their activations are few beside it.
    EXPECT_GT(scores(4096, 1), 149ull * 4096 * (14 + 1) * 4);
    EXPECT_LT(scores(4096, 1), (32ull << 20) + 149ull * 4096 * 4 + flash);
    // So the context hardly matters, until a step of 32 rows, or of one a sequence, takes more.
    EXPECT_LT(scores(16'384, 1), scores(4096, 1) + (1u << 20));
    EXPECT_GT(scores(131'072, 1), 32ull * 131'072 * (14 + 1) * 4);
    EXPECT_GT(scores(131'072, 48), 48ull * 131'072 * (14 + 1) * 4);
    // llama-server makes steps of 512 rows, whatever they take.
    s.backend = BackendKind::kLlamaServer;
    EXPECT_GT(scores(4096, 1), 512ull * 4096 * (14 + 1) * 4);
}

TEST(estimate_llama_cpp, windows_are_whole_in_our_engine_and_short_in_llama_server) {
    ModelMeta meta = small();
    meta.layer_memory = "wwwwwfwwwwwfwwwwwfwwwwwf";
    meta.sliding_window = 512;
    const uint64_t cell = 2 * (64 + 64) * 2;
    EXPECT_EQ(bytes_of(estimate(meta, shape(BackendKind::kEngine, "cpu", 8192, 1)), "kv_cache", Where::kMemory), cell * 24 * 8192);
    EXPECT_EQ(bytes_of(estimate(meta, shape(BackendKind::kLlamaServer, "cpu", 8192, 1)), "kv_cache", Where::kMemory), cell * (4 * 8192 + 20 * 1024));
}

// Yi-34B over two cards as llama.cpp placed it (github.com/ggml-org/llama.cpp/issues/7217): 31 layers, then 29 and the output.
TEST(estimate_llama_cpp, layers_go_evenly_over_devices_with_the_output_as_one) {
    ModelMeta yi = small();
    yi.layers = 60;
    yi.weights.layers.assign(60, 283'770'000);
    const Estimate e = estimate(yi, shape(BackendKind::kLlamaServer, "nvidia", 2048, 1, 2, 60));
    EXPECT_THAT(formula_of(e, "weights"), HasSubstr("31 + 29 of 60 layers, and the output"));
    EXPECT_EQ(bytes_of(e, "weights", Where::kMemory), yi.weights.embedding);
}

TEST(estimate_llama_cpp, what_does_not_go_to_devices_stays_in_memory) {
    const Estimate all = estimate(small(), shape(BackendKind::kLlamaServer, "nvidia", 4096, 1, 1, 24));
    const Estimate part = estimate(small(), shape(BackendKind::kLlamaServer, "nvidia", 4096, 1, 1, 10));
    EXPECT_EQ(bytes_of(all, "weights", Where::kDevice) + bytes_of(all, "weights", Where::kMemory),
              bytes_of(part, "weights", Where::kDevice) + bytes_of(part, "weights", Where::kMemory));
    EXPECT_EQ(bytes_of(part, "kv_cache", Where::kDevice) * 15, bytes_of(part, "kv_cache", Where::kMemory) * 9) << "-ngl 10: 9 layers and the output";
    EXPECT_LT(part.rank_bytes[0], all.rank_bytes[0]);
}

// --- whisper.cpp ------------------------------------------------------------------------------------------------------------

ModelMeta whisper(uint32_t layers, uint32_t width, uint64_t file_bytes, uint32_t words = 51'864) {
    ModelMeta meta;
    meta.format = "ggml";
    meta.architecture = "whisper";
    meta.layers = layers;
    meta.embedding_length = width;
    meta.file_bytes = file_bytes;
    meta.vocabulary = words;
    return meta;
}

// What was resident at most (VmHWM, MiB; gantry engine with 2 threads on a CPU, 27 November 2026). Of tiny.en's shape everything at once,
// in a file of zeros, so that all decoders try again: a prompt of half the context, an hour's recording, two more of 43 MiB that wait. Of
// tiny.en a prompt and an hour, of files of zeros in the others' shapes an hour alone: there the estimate holds what did not come.
TEST(estimate_whisper, holds_what_was_measured) {
    struct Case {
        const char* name;
        ModelMeta meta;
        double measured, most;
    };
    for (const Case& c : {Case{"all of tiny", whisper(4, 384, 77'704'715), 962.3, 1.1}, Case{"tiny.en", whisper(4, 384, 77'704'715), 834.4, 1.35},
                          Case{"base", whisper(6, 512, 147'964'211), 828.4, 1.35}, Case{"small", whisper(12, 768, 487'614'201), 1'227.8, 1.35}}) {
        const double total = static_cast<double>(estimate(c.meta, shape(BackendKind::kEngine, "cpu", 0, 1)).total()) / (1 << 20);
        EXPECT_GE(total, c.measured) << c.name;
        EXPECT_LE(total, c.most * c.measured) << c.name;
    }
}

TEST(estimate_whisper, by_its_terms) {
    const Estimate e = estimate(whisper(4, 384, 77'704'715), shape(BackendKind::kEngine, "cpu", 0, 1));
    EXPECT_THAT(e.unknown, IsEmpty());
    EXPECT_EQ(bytes_of(e, "weights", Where::kMemory), 77'704'715u);
    EXPECT_EQ(bytes_of(e, "kv_cache", Where::kMemory), 4u * 384 * (4 * (7 * 512 + 1536) + 1536)) << "5 decoders make it 7 times 512 cells";
    EXPECT_EQ(bytes_of(e, "recording", Where::kMemory), 3600u * (2 * 64'000 + 100 * 80 * 4));
    EXPECT_EQ(bytes_of(estimate(whisper(4, 1280, 1, 51'866), shape(BackendKind::kEngine, "cpu", 0, 1)), "recording", Where::kMemory),
              3600u * (2 * 64'000 + 100 * 128 * 4)) << "large-v3 hears 128 mels";
    EXPECT_THAT(estimate(whisper(4, 384, 0), shape(BackendKind::kEngine, "cpu", 0, 1)).unknown, testing::Not(IsEmpty()));
    const Estimate card = estimate(whisper(4, 384, 77'704'715), shape(BackendKind::kEngine, "nvidia", 0, 1, 1, 4));
    EXPECT_EQ(bytes_of(card, "weights", Where::kDevice), 77'704'715u);
    EXPECT_EQ(bytes_of(card, "recording", Where::kMemory), bytes_of(e, "recording", Where::kMemory)) << "decoded on the machine itself";
}

// --- vLLM and MindIE --------------------------------------------------------------------------------------------------------

constexpr uint64_t kCard = 65'452'113'920;   // what vLLM sees of a 910B of 64 GB (github.com/vllm-project/vllm-ascend/issues/4404)

TEST(estimate_vllm, the_field_reports_models_on_910b) {
    for (const ModelMeta& meta : {distill_7b(), distill_14b(), qwen3_14b()}) {
        const Estimate one = estimate(meta, shape(BackendKind::kVllm, "ascend", 32'768, 2));
        ASSERT_THAT(one.unknown, IsEmpty());
        EXPECT_LT(one.rank_bytes[0], kCard);
    }
    for (const ModelMeta& meta : {distill_32b(), qwen3_32b()}) {
        EXPECT_GT(meta.file_bytes, 65'000'000'000u);
        const Estimate one = estimate(meta, shape(BackendKind::kVllm, "ascend", 4096, 1));
        EXPECT_GT(one.rank_bytes[0], kCard);
        const Estimate two = estimate(meta, shape(BackendKind::kVllm, "ascend", 32'768, 2, 2));
        ASSERT_EQ(two.rank_bytes.size(), 2u);
        EXPECT_LT(two.rank_bytes[0], kCard);
        EXPECT_EQ(two.rank_bytes[0], two.rank_bytes[1]);
    }
}

TEST(estimate_mindie, the_field_reports_models_on_910b) {
    EXPECT_LT(estimate(distill_7b(), shape(BackendKind::kMindie, "ascend", 32'768, 2)).rank_bytes[0], kCard);
    EXPECT_GT(estimate(distill_32b(), shape(BackendKind::kMindie, "ascend", 4096, 1)).rank_bytes[0], kCard);
    EXPECT_LT(estimate(distill_32b(), shape(BackendKind::kMindie, "ascend", 32'768, 1, 2)).rank_bytes[0], kCard);
    EXPECT_THAT(estimate(distill_7b(), shape(BackendKind::kMindie, "cpu", 4096, 1)).unknown, Not(IsEmpty()));
}

TEST(estimate_vllm, kv_heads_repeat_where_ranks_are_more) {
    const uint64_t whole = kv_bytes(distill_7b(), 4096, 1, "").total;
    const auto of_rank = [&](uint32_t ranks) {
        return bytes_of(estimate(distill_7b(), shape(BackendKind::kVllm, "nvidia", 4096, 1, ranks)), "kv_cache", Where::kDevice) / ranks;
    };
    EXPECT_EQ(of_rank(4), whole / 4);
    EXPECT_EQ(of_rank(8), whole / 4) << "4 KV heads";
}

TEST(estimate_vllm, a_latent_is_whole_on_every_rank) {
    ModelMeta meta = distill_7b();
    meta.layer_memory = std::string(28, 'l');
    meta.kv_lora_rank = 512;
    meta.rope_head_length = 64;
    EXPECT_EQ(bytes_of(estimate(meta, shape(BackendKind::kVllm, "nvidia", 4096, 1, 4)), "kv_cache", Where::kDevice),
              4 * kv_bytes(meta, 4096, 1, "").total);
}

TEST(estimate_vllm, dequantizes_gguf_on_a_cpu) {
    const Estimate e = estimate(small(), shape(BackendKind::kVllm, "cpu", 4096, 1));
    EXPECT_EQ(bytes_of(e, "weights", Where::kMemory), small().parameter_count * 2);
    EXPECT_EQ(bytes_of(e, "kv_cache", Where::kMemory) % kGiB, 0u);
}

TEST(vllm_memory_fraction, is_what_is_needed_and_some_room_rounded_up) {
    EXPECT_DOUBLE_EQ(vllm_memory_fraction(20 * kGiB, 80 * kGiB), 0.26);
    EXPECT_DOUBLE_EQ(vllm_memory_fraction(1, 80 * kGiB), 0.01);
    EXPECT_DOUBLE_EQ(vllm_memory_fraction(80 * kGiB, 80 * kGiB), 1);
    EXPECT_DOUBLE_EQ(vllm_memory_fraction(1, 0), 0);
}

TEST(estimate, a_custom_command_is_unknown) {
    EXPECT_THAT(estimate(small(), shape(BackendKind::kCustom, "cpu", 4096, 1)).unknown, Not(IsEmpty()));
}

TEST(estimate, names_what_the_files_do_not_say) {
    ModelMeta meta = distill_7b();
    meta.vocabulary = 0;
    meta.heads_kv = 0;
    const Estimate e = estimate(meta, shape(BackendKind::kVllm, "nvidia", 4096, 1));
    EXPECT_THAT(e.unknown, Contains("vocabulary"));
    EXPECT_THAT(e.unknown, Contains("KV heads"));
}

}  // namespace
}  // namespace gantry::placement
