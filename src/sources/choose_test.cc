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

TEST(choose, a_gguf) {
    const Listing all = listing({"README.md", "m-q4_k_m.gguf", "m-q8_0.gguf", "mmproj-f16.gguf"});
    EXPECT_EQ(chosen(all, "hf:a/b/m-q8_0.gguf"), "m-q8_0.gguf <- m-q8_0.gguf mmproj-f16.gguf");
    EXPECT_EQ(chosen(all, "hf:a/b:q8_0"), "m-q8_0.gguf <- m-q8_0.gguf mmproj-f16.gguf");
    EXPECT_EQ(chosen(all, "hf:a/b"), "m-q4_k_m.gguf <- m-q4_k_m.gguf mmproj-f16.gguf");
    EXPECT_EQ(chosen(all, "hf:a/b/mmproj-f16.gguf"), "mmproj-f16.gguf <- mmproj-f16.gguf") << "who names it gets it";
    EXPECT_THAT(chosen(all, "hf:a/b:Q2_K"), HasSubstr("no Q2_K; there are :Q4_K_M, :Q8_0"));
    EXPECT_THAT(chosen(all, "hf:a/b/none.gguf"), HasSubstr("no file \"none.gguf\"; there are :Q4_K_M, :Q8_0"));
    EXPECT_THAT(chosen(listing({"m-q5_0.gguf", "m-q8_0.gguf"}), "hf:a/b"), HasSubstr("holds 2 models; choose one"));
    EXPECT_THAT(chosen(listing({"x-q8_0.gguf", "y-q8_0.gguf"}), "hf:a/b:q8_0"), HasSubstr("several models there are Q8_0"));
    EXPECT_EQ(chosen(listing({"only.gguf"}), "hf:a/b"), "only.gguf <- only.gguf");
}

TEST(choose, a_tower_of_a_folder_or_the_top) {
    const Listing all = listing({"Q4_K_M/m-00001-of-00001.gguf", "mmproj-BF16.gguf", "mmproj-F16.gguf", "other/mmproj-F16.gguf"});
    EXPECT_EQ(chosen(all, "hf:a/b"), "m-00001-of-00001.gguf <- Q4_K_M/m-00001-of-00001.gguf=m-00001-of-00001.gguf mmproj-F16.gguf");
    EXPECT_THAT(chosen(listing({"mmproj-F16.gguf"}), "hf:a/b"), HasSubstr("neither a GGUF file"));
    EXPECT_EQ(chosen(listing({"m.gguf", "m-imatrix.gguf"}), "hf:a/b"), "m.gguf <- m.gguf");
}

TEST(choose, a_whisper) {
    const Listing hub = listing({"README.md", "ggml-base.bin", "ggml-base-q5_1.bin", "ggml-base.en-q5_1.bin", "ggml-tiny-q8_0.bin", "coreml.zip"});
    EXPECT_EQ(chosen(hub, "hf:a/b/ggml-base.en-q5_1.bin"), "ggml-base.en-q5_1.bin <- ggml-base.en-q5_1.bin");
    EXPECT_EQ(chosen(hub, "modelscope:a/b/ggml-base.bin"), "ggml-base.bin <- ggml-base.bin");
    EXPECT_EQ(chosen(hub, "hf:a/b:Q8_0"), "ggml-tiny-q8_0.bin <- ggml-tiny-q8_0.bin") << "the only one of it";
    EXPECT_THAT(chosen(hub, "hf:a/b:q5_1"), HasSubstr("several models there are Q5_1: name the file, as ggml-base-q5_1.bin"));
    EXPECT_THAT(chosen(hub, "hf:a/b:Q2_K"), HasSubstr("no Q2_K; there are ggml-base.bin, ggml-base-q5_1.bin, ggml-base.en-q5_1.bin, :Q8_0"));
    EXPECT_THAT(chosen(hub, "hf:a/b"), HasSubstr("holds 4 models; choose one"));
    EXPECT_EQ(chosen(listing({"x/ggml-model.bin"}), "hf:a/b"), "ggml-model.bin <- x/ggml-model.bin=ggml-model.bin");
    EXPECT_EQ(chosen(listing({"ggml-model.bin", "config.json", "model.safetensors"}), "hf:a/b"), " <- config.json model.safetensors");
    EXPECT_EQ(chosen(listing({"ggml-model.bin", "m.gguf"}), "hf:a/b"), "m.gguf <- m.gguf");
    for (const char* pickled : {"pytorch_model.bin", "ggml.bin", "ggml-base.pt", "ggml-base/model.bin", "x-ggml-base.bin"}) {
        const Listing other = listing({pickled});
        EXPECT_THAT(chosen(other, std::string("hf:a/b/") + pickled), HasSubstr("may hold code that runs")) << pickled;
        EXPECT_THAT(chosen(other, "hf:a/b"), HasSubstr("neither a GGUF file")) << pickled;
    }
}

std::string offered(const Listing& listing, const std::string& source) {
    std::string out;
    for (const Offer& offer : offers(listing, parse_source(source).value())) out += offer.source + "=" + std::to_string(offer.bytes) + " ";
    return out;
}

TEST(choose, offers) {
    const Listing all = listing({"m-q4_k_m.gguf", "m-q8_0-00001-of-00002.gguf", "m-q8_0-00002-of-00002.gguf", "mmproj-f16.gguf", "m-imatrix.gguf"});
    EXPECT_EQ(offered(all, "hf:a/b"), "hf:a/b:Q4_K_M=10 hf:a/b:Q8_0=20 ");
    EXPECT_EQ(offered(all, "hf:a/b@v1"), "hf:a/b@v1:Q4_K_M=10 hf:a/b@v1:Q8_0=20 ");
    EXPECT_EQ(offered(all, "hf:a/b:Q8_0"), "") << "it is chosen";
    EXPECT_EQ(offered(all, "hf:a/b/m-q4_k_m.gguf"), "");
    EXPECT_EQ(offered(listing({"m-q4_k_m.gguf"}), "hf:a/b"), "") << "nothing to choose";
    EXPECT_EQ(offered(listing({"m-q4_k_m.gguf", "n-q8_0.gguf"}), "hf:a/b"), "") << "two models";
    EXPECT_EQ(offered(listing({"m-q4_k_m.gguf", "m.gguf"}), "hf:a/b"), "") << "which is what?";
    EXPECT_EQ(offered(listing({"m-q4_k_m.gguf", "m-q8_0-00001-of-00002.gguf"}), "hf:a/b"), "") << "a part is missing";
    EXPECT_EQ(offered(listing({"config.json", "model.safetensors"}), "hf:a/b"), "");
    EXPECT_EQ(offered(listing({"x/m-q4_0.gguf", "x/m-q8_0.gguf", "n-q8_0.gguf"}), "hf:a/b/x"), "hf:a/b/x/m-q4_0.gguf=10 hf:a/b/x/m-q8_0.gguf=10 ");
}

TEST(choose, is_offer_of) {
    const auto of = [](const char* open, const char* chosen) { return is_offer_of(*parse_source(open), *parse_source(chosen)); };
    EXPECT_TRUE(of("hf:a/b", "hf:a/b:Q8_0"));
    EXPECT_TRUE(of("hf:a/b/x", "hf:a/b/x/m-q8_0.gguf"));
    for (const char* chosen : {"hf:a/b", "hf:a/c:Q8_0", "modelscope:a/b:Q8_0", "hf:a/b@v1:Q8_0", "file:/a/b", "hf:a/b/m.gguf"}) {
        EXPECT_FALSE(of("hf:a/b", chosen)) << chosen;
    }
    EXPECT_FALSE(of("hf:a/b:Q4_0", "hf:a/b:Q8_0"));
    EXPECT_FALSE(of("hf:a/b/x", "hf:a/b/xy/m.gguf"));
    EXPECT_FALSE(of("file:/a", "file:/a"));
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
