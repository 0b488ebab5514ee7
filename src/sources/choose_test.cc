#include "sources/choose.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gantry::sources {
namespace {

using ::testing::HasSubstr;

Listing listing(std::initializer_list<const char*> paths) {
    Listing out;
    for (const char* path : paths) out.files.push_back({path, 10, {Digest::Kind::kSha256, std::string(64, 'a')}});
    return out;
}

std::string chosen(const Listing& listing, const std::string& source) {
    const auto files = choose_files(listing, parse_source(source).value());
    if (!files) return "! " + files.error().message;
    std::string out = files->serve + " <-";
    for (const ChosenFile& file : files->files) out += " " + file.file.path + (file.local == file.file.path ? "" : "=" + file.local);
    return out;
}

TEST(choose, quantizations) {
    EXPECT_EQ(quantization_of("qwen2.5-0.5b-instruct-q4_k_m.gguf"), "Q4_K_M");
    EXPECT_EQ(quantization_of("SmolLM2-135M-Instruct.Q4_1.gguf"), "Q4_1");
    EXPECT_EQ(quantization_of("UD-Q4_K_XL/x-00001-of-00002.gguf"), "Q4_K_XL");
    EXPECT_EQ(quantization_of("model-IQ2_XXS.gguf"), "IQ2_XXS");
    EXPECT_EQ(quantization_of("model-bf16.gguf"), "BF16");
    EXPECT_EQ(quantization_of("model.gguf"), "");
    EXPECT_EQ(quantization_of(""), "");
}

TEST(choose, a_gguf) {
    const Listing all = listing({"README.md", "m-q4_k_m.gguf", "m-q8_0.gguf", "mmproj-f16.gguf"});
    EXPECT_EQ(chosen(all, "hf:a/b/m-q8_0.gguf"), "m-q8_0.gguf <- m-q8_0.gguf");
    EXPECT_EQ(chosen(all, "hf:a/b:q8_0"), "m-q8_0.gguf <- m-q8_0.gguf");
    EXPECT_EQ(chosen(all, "hf:a/b"), "m-q4_k_m.gguf <- m-q4_k_m.gguf");
    EXPECT_THAT(chosen(all, "hf:a/b:Q2_K"), HasSubstr("no Q2_K; there are :Q4_K_M, :Q8_0"));
    EXPECT_THAT(chosen(all, "hf:a/b/none.gguf"), HasSubstr("no file \"none.gguf\"; there are :Q4_K_M, :Q8_0"));
    EXPECT_THAT(chosen(listing({"m-q5_0.gguf", "m-q8_0.gguf"}), "hf:a/b"), HasSubstr("holds 2 models; choose one"));
    EXPECT_THAT(chosen(listing({"x-q8_0.gguf", "y-q8_0.gguf"}), "hf:a/b:q8_0"), HasSubstr("several models there are Q8_0"));
    EXPECT_EQ(chosen(listing({"only.gguf"}), "hf:a/b"), "only.gguf <- only.gguf");
}

TEST(choose, parts) {
    const Listing all = listing({"Q4_K_M/m-00002-of-00002.gguf", "Q4_K_M/m-00001-of-00002.gguf", "Q8_0/m-00001-of-00002.gguf"});
    const std::string both =
        "m-00001-of-00002.gguf <- Q4_K_M/m-00001-of-00002.gguf=m-00001-of-00002.gguf Q4_K_M/m-00002-of-00002.gguf=m-00002-of-00002.gguf";
    EXPECT_EQ(chosen(all, "hf:a/b"), both);
    EXPECT_EQ(chosen(all, "hf:a/b/Q4_K_M"), both);
    EXPECT_EQ(chosen(all, "hf:a/b/Q4_K_M/m-00001-of-00002.gguf"), both);
    EXPECT_THAT(chosen(all, "hf:a/b:Q8_0"), HasSubstr("is in 2 parts, of which the repository holds 1"));
}

TEST(choose, safetensors) {
    EXPECT_EQ(chosen(listing({"README.md", "config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
                              "consolidated.safetensors", "pytorch_model.bin", "modeling_x.py", "tokenizer.json", "onnx/model.onnx",
                                  "1_Pooling/config.json",
                              "tokenizer.model"}),
                     "hf:a/b"),
              " <- config.json model-00001-of-00002.safetensors model-00002-of-00002.safetensors model.safetensors.index.json tokenizer.json "
              "1_Pooling/config.json tokenizer.model");
    EXPECT_EQ(chosen(listing({"config.json", "model.safetensors", "other.safetensors"}), "hf:a/b"), " <- config.json model.safetensors");
    EXPECT_THAT(chosen(listing({"pytorch_model.bin", "config.json"}), "hf:a/b"), HasSubstr("neither a GGUF file nor safetensors"));
    EXPECT_THAT(chosen(listing({}), "hf:a/b"), HasSubstr("neither"));
    EXPECT_THAT(chosen(listing({"pytorch_model.bin"}), "hf:a/b/pytorch_model.bin"), HasSubstr("may hold code"));
}

}  // namespace
}  // namespace gantry::sources
