#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <numeric>

#include "models/gguf_for_test.h"

namespace gantry::models {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

// Keys of an architecture, each under its name.
struct Keys {
    std::string architecture;
    std::string bytes;
    int64_t count = 1;   // general.architecture

    explicit Keys(std::string name) : architecture(std::move(name)) {}
    Keys& number(const std::string& key, uint32_t value) {
        Writer w;
        w.u32(architecture + "." + key, value);
        bytes += w.bytes;
        ++count;
        return *this;
    }
    template <class T>
    Keys& list(const std::string& key, uint32_t type, const std::vector<T>& values) {
        Writer w;
        w.key(architecture + "." + key, kArr).put<uint32_t>(type).put<uint64_t>(values.size());
        for (const T value : values) w.put<T>(value);
        bytes += w.bytes;
        ++count;
        return *this;
    }
    Keys& flags(const std::string& key, const std::vector<uint8_t>& values) { return list<uint8_t>(key, kBool, values); }
    Keys& numbers(const std::string& key, const std::vector<int32_t>& values) { return list<int32_t>(key, kI32, values); }
    std::string file() const {
        Model model;
        model.only(count, [this](Writer& w) { w.string("general.architecture", architecture).raw(bytes); });
        return model.bytes();
    }
    ModelMeta meta() const {
        const auto meta = read(file());
        EXPECT_TRUE(meta.ok()) << architecture << ": " << meta.error().message;
        return meta.ok() ? *meta : ModelMeta{};
    }
};

Keys model_of(const std::string& architecture, uint32_t layers) {
    Keys keys(architecture);
    return keys.number("block_count", layers).number("context_length", 32768).number("embedding_length", 64);
}

TEST(GgufShape, SumsTheWeightsByPlaceAndType) {
    Model model;
    model.tensor_count = 9;
    model.tensors = [](Writer& w) {
        uint64_t offset = 0;
        for (const auto& [name, count, bytes] : std::vector<std::tuple<std::string, int64_t, uint64_t>>{
                 {"token_embd.weight", 32, 128}, {"token_embd_norm.weight", 8, 32}, {"output.weight", 16, 64},
                 {"output_norm.weight", 24, 96}, {"blk.0.attn_q.weight", 64, 256}, {"blk.1.ffn_up_exps.weight", 128, 512},
                 {"blk.7.nextn.enorm", 8, 32}, {"blk.x.weight", 8, 32}, {"v.blk.0.attn_q.weight", 40, 160}}) {
            w.tensor(name, {count}, 0, offset);
            offset += bytes;
        }
    };
    model.data_bytes = 4096;
    const auto meta = read(model.bytes());
    ASSERT_TRUE(meta.ok()) << meta.error().message;
    EXPECT_EQ(meta->weights.embedding, 128u + 32);
    EXPECT_EQ(meta->weights.output, 64u + 96);
    EXPECT_THAT(meta->weights.layers, ElementsAre(256, 512)) << "two layers: the eighth belongs to none";
    EXPECT_EQ(meta->weights.other, 32u + 32 + 160);
    EXPECT_EQ(meta->weights.total(), 1312u);
    EXPECT_THAT(meta->bytes_of_type, UnorderedElementsAre(Pair("F32", 1312)));
    EXPECT_EQ(meta->dtype, "float32");
}

TEST(GgufShape, ReadsExpertsAndTheFeedForwardWidth) {
    Keys keys = model_of("qwen3moe", 2);
    keys.number("expert_count", 128).number("expert_used_count", 8).numbers("feed_forward_length", {512, 6144});
    const ModelMeta meta = keys.meta();
    EXPECT_EQ(meta.experts, 128u);
    EXPECT_EQ(meta.experts_used, 8u);
    EXPECT_EQ(meta.feed_forward_length, 6144u) << "the widest";
    EXPECT_EQ(meta.layer_memory, "") << "keys and values of every token in every layer";
}

// Which layers look at a window: llama.cpp's src/models/*.cpp.
TEST(GgufShape, KnowsWhichLayersLookAtAWindow) {
    struct Case {
        const char* architecture;
        uint32_t window;      // in the file; 0: says nothing
        std::string memory;
        uint32_t read;
    };
    for (const Case& c : {Case{"gemma2", 0, "wfwfwf", 4096}, {"gemma2", 1024, "wfwfwf", 1024},
                          {"gemma3", 512, "wwwwwf", 512}, {"gemma3", 0, "", 0},
                          {"gpt-oss", 128, "wfwfwf", 128}, {"cohere2", 4096, "wwwfww", 4096},
                          {"cohere2moe", 4096, "fwwwfw", 4096}, {"llama4", 100, "wwwfww", 8192}, {"llama4", 0, "wwwfww", 8192},
                          {"smallthinker", 0, "", 0}, {"smallthinker", 7, "fwwwfw", 4096},
                          {"phi3", 2047, "", 0}, {"llama", 4096, "", 0}, {"exaone4", 4096, "", 0}}) {
        Keys keys = model_of(c.architecture, 6);
        if (c.window > 0) keys.number("attention.sliding_window", c.window);
        const ModelMeta meta = keys.meta();
        EXPECT_EQ(meta.layer_memory, c.memory) << c.architecture << " " << c.window;
        EXPECT_EQ(meta.sliding_window, c.read) << c.architecture << " " << c.window;
    }
    const ModelMeta none = model_of("llama4", 4).number("attention.sliding_window", 0).meta();
    EXPECT_EQ(none.layer_memory, "") << "0: said to have none";
    const ModelMeta large = model_of("exaone4", 64).meta();
    EXPECT_EQ(large.layer_memory.substr(0, 8), "wwwfwwwf");
}

TEST(GgufShape, TakesTheFilesOwnListOfWindows) {
    Keys keys = model_of("gemma3", 4);
    keys.number("attention.sliding_window", 512).flags("attention.sliding_window_pattern", {0, 1, 1, 0});
    EXPECT_EQ(keys.meta().layer_memory, "fwwf");
    Keys pattern = model_of("gemma3", 6);
    pattern.number("attention.sliding_window", 512).number("attention.sliding_window_pattern", 3);
    EXPECT_EQ(pattern.meta().layer_memory, "wwfwwf");
    Keys shared = model_of("gemma4", 4);
    shared.number("attention.sliding_window", 512).flags("attention.sliding_window_pattern", {1, 0, 1, 0});
    shared.number("attention.shared_kv_layers", 2);
    EXPECT_EQ(shared.meta().layer_memory, "wf--") << "the last two look at what earlier ones keep";
}

TEST(GgufShape, KnowsCompressedKeysAndValues) {
    Keys latent = model_of("deepseek2", 3);
    latent.number("attention.head_count", 128).number("attention.head_count_kv", 1).number("attention.kv_lora_rank", 512);
    latent.number("attention.key_length", 576).number("attention.value_length", 512).number("rope.dimension_count", 64);
    Keys whole = latent;
    latent.number("attention.key_length_mla", 192).number("attention.value_length_mla", 128);
    const ModelMeta meta = latent.meta();
    EXPECT_EQ(meta.layer_memory, "lll");
    EXPECT_EQ(meta.kv_lora_rank, 512u);
    EXPECT_EQ(meta.rope_head_length, 64u);
    EXPECT_EQ(whole.meta().layer_memory, "") << "older files: llama.cpp keeps whole keys and values of them";
    EXPECT_EQ(whole.meta().kv_lora_rank, 0u);
}

// Bytes of a state: llama_hparams::n_embd_r() + n_embd_s(), of 4 bytes.
TEST(GgufShape, KnowsStatesAndTheirBytes) {
    const auto mamba = [](Keys keys) {
        return keys.number("ssm.conv_kernel", 4).number("ssm.inner_size", 128).number("ssm.state_size", 16);
    };
    const ModelMeta first = mamba(model_of("mamba", 2)).meta();
    EXPECT_EQ(first.layer_memory, "ss");
    EXPECT_EQ(first.state_bytes, (3 * 128 + 16 * 128) * 4u);
    const ModelMeta second = mamba(model_of("mamba2", 2)).number("ssm.group_count", 2).meta();
    EXPECT_EQ(second.state_bytes, (3 * (128 + 2 * 2 * 16) + 16 * 128) * 4u);

    Keys jamba = mamba(model_of("jamba", 4)).number("attention.head_count", 8);
    jamba.numbers("attention.head_count_kv", {0, 0, 2, 0});
    EXPECT_EQ(jamba.meta().layer_memory, "ssfs");
    EXPECT_THAT(jamba.meta().layer_heads_kv, ElementsAre(0, 0, 2, 0));
    EXPECT_EQ(jamba.meta().heads_kv, 2u);

    const ModelMeta both = mamba(model_of("falcon-h1", 2)).number("attention.head_count", 8).meta();
    EXPECT_EQ(both.layer_memory, "bb");
    EXPECT_EQ(both.state_bytes, first.state_bytes);

    Keys nemotron = mamba(model_of("nemotron_h", 3)).number("attention.head_count", 8);
    nemotron.numbers("attention.head_count_kv", {0, 2, 0}).numbers("feed_forward_length", {0, 0, 256});
    EXPECT_EQ(nemotron.meta().layer_memory, "sf-");

    const ModelMeta next = mamba(model_of("qwen3next", 8)).number("attention.head_count", 8).meta();
    EXPECT_EQ(next.layer_memory, "sssfsssf");
    Keys listed = mamba(model_of("qwen35", 3)).number("attention.head_count", 8);
    EXPECT_EQ(listed.flags("attention.recurrent_layers", {1, 0, 1}).meta().layer_memory, "sfs");
    Keys never = mamba(model_of("qwen35", 3)).number("full_attention_interval", 0);
    EXPECT_THAT(refusal(never.file()), HasSubstr("interval"));

    const ModelMeta rwkv = model_of("rwkv6", 2).number("wkv.head_size", 32).meta();
    EXPECT_EQ(rwkv.layer_memory, "ss");
    EXPECT_EQ(rwkv.state_bytes, (2 * 64 + 64 * 32) * 4u);

    Keys lfm = model_of("lfm2", 3).number("shortconv.l_cache", 3).number("attention.head_count", 8);
    lfm.numbers("attention.head_count_kv", {0, 2, 0});
    EXPECT_EQ(lfm.meta().layer_memory, "sfs");
    EXPECT_EQ(lfm.meta().state_bytes, 2 * 64 * 4u);

    Keys kimi = model_of("kimi-linear", 2).number("kda.head_dim", 16).number("attention.head_count", 4);
    kimi.number("ssm.conv_kernel", 4);
    kimi.numbers("attention.head_count_kv", {0, 1}).number("attention.kv_lora_rank", 32);
    kimi.number("attention.key_length_mla", 24).number("attention.value_length_mla", 16);
    EXPECT_EQ(kimi.meta().layer_memory, "sl");
    EXPECT_EQ(kimi.meta().state_bytes, (3 * 3 * 64 + 16 * 16 * 4) * 4u);
}

TEST(GgufShape, KnowsLayersThatKeepNothing) {
    EXPECT_EQ(model_of("bert", 3).meta().layer_memory, "---");
    Keys guessing = model_of("glm4moe", 3).number("attention.head_count", 8).number("nextn_predict_layers", 1);
    EXPECT_EQ(guessing.meta().layer_memory, "ff-");
}

TEST(GgufShape, SaysWhatAModelIsFor) {
    const auto modality = [](const std::string& architecture, const std::string& key = {}, uint32_t value = 0) {
        Keys keys(architecture);
        if (!key.empty()) keys.number(key, value);
        return keys.meta().modality;
    };
    EXPECT_EQ(modality("llama"), "text");
    EXPECT_EQ(modality("bert", "pooling_type", 1), "embedding");
    EXPECT_EQ(modality("bert", "pooling_type", 4), "rerank");
    EXPECT_EQ(modality("clip", "vision.attention.head_count", 16), "vision");
    EXPECT_EQ(modality("flux"), "image");
    Model tower;
    tower.only(2, [](Writer& w) { w.string("general.architecture", "x").string("general.type", "mmproj"); });
    EXPECT_EQ(read(tower.bytes())->modality, "vision");
}

TEST(GgufShape, RefusesListsThatDoNotFitTheLayers) {
    Keys heads = model_of("jamba", 3).number("attention.head_count", 8).number("ssm.state_size", 16);
    EXPECT_THAT(refusal(heads.numbers("attention.head_count_kv", {0, 2}).file()), HasSubstr("2 numbers"));
    Keys widths = model_of("nemotron_h", 3).number("attention.head_count", 8).number("ssm.state_size", 16);
    EXPECT_THAT(refusal(widths.numbers("feed_forward_length", {0, 2, 3, 4}).file()), HasSubstr("4 numbers"));
    Keys many("x");
    for (int i = 0; i < 20; ++i) {
        many.flags(std::to_string(i) + ".attention.sliding_window_pattern", std::vector<uint8_t>(4096, 1));
    }
    EXPECT_THAT(refusal(many.file()), HasSubstr("things of its layers")) << "what is kept of arrays is bounded";
}

TEST(GgufShape, ReadsTheRealModelsWhole) {
    size_t seen = 0;
    for (const char* folder : {"llm", "embed"}) {
        if (!std::filesystem::exists(cached_model(folder))) continue;
        for (const auto& entry : std::filesystem::directory_iterator(cached_model(folder))) {
            if (entry.path().extension() != ".gguf") continue;
            ++seen;
            const auto meta = read_gguf_file(entry.path());
            ASSERT_TRUE(meta.ok()) << entry.path() << ": " << meta.error().message;
            EXPECT_EQ(meta->weights.layers.size(), meta->layers) << entry.path();
            EXPECT_EQ(std::count(meta->weights.layers.begin(), meta->weights.layers.end(), 0u), 0) << entry.path();
            EXPECT_GT(meta->weights.embedding, 0u) << entry.path();
            EXPECT_EQ(meta->weights.other, 0u) << entry.path() << ": every tensor has its place";
            EXPECT_GT(meta->feed_forward_length, meta->embedding_length) << entry.path();
            EXPECT_LT(meta->weights.total(), meta->file_bytes) << entry.path();
            EXPECT_LT(meta->file_bytes - meta->weights.total(), 16u << 20) << "the rest is the header with its vocabulary";
            const uint64_t of_types = std::accumulate(meta->bytes_of_type.begin(), meta->bytes_of_type.end(), uint64_t{0},
                                                      [](uint64_t sum, const auto& type) { return sum + type.second; });
            EXPECT_EQ(of_types, meta->weights.total()) << entry.path();
            EXPECT_EQ(meta->modality == "text", meta->pooling.empty()) << entry.path();
            EXPECT_EQ(meta->layer_memory, meta->modality == "text" ? "" : std::string(meta->layers, '-')) << entry.path();
        }
    }
    if (seen == 0) GTEST_SKIP() << "no model is in the cache: run ./dev models";
}

TEST(GgufShape, ReadsTheSmallestRealModel) {
    const std::string path = cached_model("llm/SmolLM2-135M-Instruct.Q4_1.gguf");
    if (!std::filesystem::exists(path)) GTEST_SKIP() << "the model is not in the cache: run ./dev models smollm2-135m";
    const auto meta = read_gguf_file(path);
    ASSERT_TRUE(meta.ok()) << meta.error().message;
    EXPECT_EQ(meta->feed_forward_length, 1536u);
    EXPECT_EQ(meta->weights.layers.size(), 30u);
    EXPECT_EQ(describe(*meta), "llama, 135M parameters, Q4_1, 30 layers, context 8,192, GGUF");
}

}  // namespace
}  // namespace gantry::models
