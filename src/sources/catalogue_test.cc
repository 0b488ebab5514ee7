#include "sources/catalogue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/json.h"

namespace gantry::sources {
namespace {

using testing::Each;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr const char* kOne = R"({"id":"m","name":"M","family":"F","modality":"text","licence":"mit",
    "config":{"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":576,"intermediate_size":1536,"num_hidden_layers":30,
              "num_attention_heads":9,"num_key_value_heads":3,"vocab_size":49152,"max_position_embeddings":8192,"tie_word_embeddings":true,
              "torch_dtype":"bfloat16"},
    "variants":[{"backend":"engine","format":"gguf","quantizations":["Q4_K_M","Q8_0"],"hf":"o/M-GGUF","modelscope":"p/M-GGUF"},
                {"backend":"vllm","format":"safetensors","hf":"o/M","options":{"max_sequences":4,"extra_args":["--x"]}}]})";

std::string file_of(const std::string& entries, const std::string& more = "") {
    return R"({"version":1,)" + more + R"("models":[)" + entries + "]}";
}
std::string with(const std::string& what, const std::string& instead) {
    std::string text = kOne;
    const size_t at = text.find(what);
    EXPECT_NE(at, std::string::npos) << what;
    return text.replace(at, what.size(), instead);
}
std::string refused(const std::string& entries) {
    const auto parsed = parse_catalogue(file_of(entries));
    return parsed.ok() ? "" : parsed.error().message;
}

// The check of what is built in: every source is one, nothing stands twice, everything says what it takes.
TEST(Catalogue, WhatIsBuiltInIsWhole) {
    const auto all = load_catalogue("");
    ASSERT_TRUE(all.ok()) << all.error().message;
    std::set<std::string> ids, names, sources, families;
    for (const CatalogueEntry& entry : all->entries) {
        EXPECT_TRUE(ids.insert(entry.id).second) << entry.id;
        EXPECT_TRUE(names.insert(entry.name).second) << entry.name;
        families.insert(entry.family);
        EXPECT_GT(entry.parameters, 0u) << entry.id;
        EXPECT_GT(entry.context_length, 0u) << entry.id;
        for (const CatalogueVariant& variant : entry.variants) {
            EXPECT_GT(variant.meta.file_bytes, 0u) << entry.id << " " << variant.quantization;
            EXPECT_GT(variant.meta.layers, 0u) << entry.id;
            EXPECT_FALSE(variant.quantization.empty()) << entry.id;
            EXPECT_EQ(variant.meta.modality, entry.modality) << entry.id << " " << variant.quantization;
            ASSERT_FALSE(variant.sources.empty()) << entry.id;
            for (const std::string& source : variant.sources) {
                EXPECT_TRUE(sources.insert(source).second) << source << " stands twice";
                const auto parsed = parse_source(source);
                ASSERT_TRUE(parsed.ok()) << source;
                EXPECT_EQ(parsed->text(), source);
                EXPECT_TRUE(parsed->from_hub());
            }
        }
    }
    for (const char* family : {"Qwen3", "Qwen2.5", "DeepSeek-R1-Distill", "Llama", "Gemma", "SmolLM2", "GLM", "BGE", "Whisper"}) {
        EXPECT_TRUE(families.contains(family)) << family;
    }
}

// Published sizes, of files that the catalogue names: what it computes is within one in a hundred.
TEST(Catalogue, KnowsWhatItsFilesTake) {
    const auto all = load_catalogue("");
    ASSERT_TRUE(all.ok());
    const auto bytes = [&](const char* source) {
        for (const CatalogueEntry& entry : all->entries) {
            for (const CatalogueVariant& variant : entry.variants) {
                if (variant.sources.front() == source) return static_cast<double>(variant.meta.file_bytes);
            }
        }
        ADD_FAILURE() << source;
        return 0.0;
    };
    EXPECT_NEAR(bytes("hf:unsloth/Qwen3-8B-GGUF:Q4_K_M"), 5'027'784'512, 50e6);
    EXPECT_NEAR(bytes("hf:unsloth/Qwen3-30B-A3B-GGUF:Q4_K_M"), 18'556'686'912, 180e6);
    EXPECT_NEAR(bytes("hf:Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q4_K_M"), 491'400'032, 7e6);
    EXPECT_NEAR(bytes("hf:bartowski/SmolLM2-360M-Instruct-GGUF:Q4_K_M"), 270'590'880, 2.7e6);
    EXPECT_NEAR(bytes("hf:Qwen/Qwen2.5-VL-7B-Instruct"), 16'584'333'312, 1);
    EXPECT_NEAR(bytes("hf:meta-llama/Meta-Llama-3.1-8B-Instruct"), 2.0 * 8'030'261'248, 1);
    EXPECT_NEAR(bytes("hf:ggerganov/whisper.cpp/ggml-large-v3-turbo-q5_0.bin"), 574'041'195, 1e6);
    EXPECT_NEAR(bytes("hf:ggerganov/whisper.cpp/ggml-tiny.bin"), 77'691'713, 1e5);
}

TEST(Catalogue, ReadsAFile) {
    const auto file = parse_catalogue(file_of(kOne, R"("alone":true,)"));
    ASSERT_TRUE(file.ok()) << file.error().message;
    EXPECT_TRUE(file->alone);
    const CatalogueEntry* const entry = file->catalogue.find("m");
    ASSERT_NE(entry, nullptr);
    EXPECT_EQ(file->catalogue.find("n"), nullptr);
    EXPECT_EQ(entry->parameters, 134'515'008u);
    EXPECT_EQ(entry->context_length, 8192u);
    ASSERT_EQ(entry->variants.size(), 3u);
    EXPECT_EQ(entry->variants[0].sources, (std::vector<std::string>{"hf:o/M-GGUF:Q4_K_M", "modelscope:p/M-GGUF:Q4_K_M"}));
    EXPECT_EQ(entry->variants[1].quantization, "Q8_0");
    EXPECT_EQ(entry->variants[2].quantization, "bfloat16");
    EXPECT_EQ(entry->variants[2].backend, BackendKind::kVllm);
    EXPECT_EQ(entry->variants[2].options.extra_args, std::vector<std::string>{"--x"});
    EXPECT_EQ(entry->variants[2].meta.file_bytes, 2 * 134'515'008u);
    EXPECT_THAT(entry->variants[2].sources, Each(Not(StartsWith("modelscope:"))));
}

TEST(Catalogue, SaysWhatIsWrongAndWhere) {
    EXPECT_THAT(refused(with("\"licence\"", "\"license\"")), HasSubstr("m: \"licence\" is missing"));
    EXPECT_THAT(refused(with("\"licence\":\"mit\"", "\"licence\":\"mit\",\"size\":7")), HasSubstr("m: there is no field \"size\""));
    EXPECT_THAT(refused(with("\"id\":\"m\"", "\"id\":\"M m\"")), HasSubstr("small letters"));
    EXPECT_THAT(refused(with("\"text\"", "\"smell\"")), HasSubstr("\"modality\" must be"));
    EXPECT_THAT(refused(with("\"engine\"", "\"custom\"")), HasSubstr("m, variant 1: there is no backend \"custom\""));
    EXPECT_THAT(refused(with("o/M-GGUF", "../etc")), HasSubstr("m, variant 1: "));
    EXPECT_THAT(refused(with("o/M-GGUF", "o/M-GGUF:Q4_0")), HasSubstr("must be ORG/NAME"));
    EXPECT_THAT(refused(with("\"hf\":\"o/M\"", "\"alone\":true")), HasSubstr("must name a repository"));
    EXPECT_THAT(refused(with("\"Q8_0\"", "\"Q9_Z\"")), HasSubstr("m, variant 1: what a GGUF file of"));
    EXPECT_THAT(refused(with("[\"--x\"]", "7")), HasSubstr("variant 2, options: \"extra_args\" must be a list"));
    EXPECT_THAT(refused(with("\"quantizations\"", "\"file\":\"ggml-x\",\"quantizations\"")), HasSubstr("m, variant 1: \"file\" must be what"));
    EXPECT_THAT(refused(with("\"format\":\"gguf\"", "\"format\":\"ggml\"")), HasSubstr("m, variant 1: \"file\" is missing"));
    EXPECT_THAT(refused(with("\"format\":\"gguf\"", "\"format\":\"ggml\",\"file\":\"ggml-a/../b\"")), HasSubstr("m, variant 1: "));
    EXPECT_THAT(refused(with("\"format\":\"gguf\"", "\"format\":\"ggml\",\"file\":\"ggml-a\"")), HasSubstr("of no Whisper model"));
    EXPECT_THAT(refused(with("\"hidden_size\":576", "\"hidden_size\":-1")), HasSubstr("m, variant 1: "));
    EXPECT_THAT(refused(std::string(kOne) + "," + kOne), HasSubstr("m: there are two of this id"));
    EXPECT_THAT(refused("7"), HasSubstr("model 1: it must be an object"));
    EXPECT_THAT(parse_catalogue("{").error().message, HasSubstr("no JSON"));
    EXPECT_THAT(parse_catalogue(R"({"version":2,"models":[]})").error().message, HasSubstr("\"version\" must be 1"));
}

TEST(Catalogue, AFileReplacesByIdAddsAndMayStandAlone) {
    const std::string path = testing::TempDir() + "catalogue-" + std::to_string(::getpid()) + ".json";
    const auto write = [&](const std::string& text) { std::ofstream(path) << text; };
    const size_t builtin = load_catalogue("")->entries.size();
    write(file_of(with("\"id\":\"m\"", "\"id\":\"qwen3-8b\"") + "," + kOne));
    const auto over = load_catalogue(path);
    ASSERT_TRUE(over.ok()) << over.error().message;
    EXPECT_EQ(over->entries.size(), builtin + 1);
    EXPECT_EQ(over->find("qwen3-8b")->name, "M");
    EXPECT_EQ(over->entries.back().id, "m");
    write(file_of(kOne, R"("alone":true,)"));
    EXPECT_EQ(load_catalogue(path)->entries.size(), 1u);
    write("{}");
    EXPECT_THAT(load_catalogue(path).error().message, HasSubstr(path + ": the catalogue: \"version\" must be 1"));
    std::filesystem::remove(path);
    EXPECT_FALSE(load_catalogue(path).ok());
}

}  // namespace
}  // namespace gantry::sources
