#include "models/gguf_names.h"

#include <gtest/gtest.h>

#include "models/folder_for_test.h"

namespace gantry::models {
namespace {

TEST(GgufNames, Quantizations) {
    EXPECT_EQ(quantization_of("qwen2.5-0.5b-instruct-q4_k_m.gguf"), "Q4_K_M");
    EXPECT_EQ(quantization_of("SmolLM2-135M-Instruct.Q4_1.gguf"), "Q4_1");
    EXPECT_EQ(quantization_of("UD-Q4_K_XL/x-00001-of-00002.gguf"), "Q4_K_XL");
    EXPECT_EQ(quantization_of("model-IQ2_XXS.gguf"), "IQ2_XXS");
    EXPECT_EQ(quantization_of("model-bf16.gguf"), "BF16");
    EXPECT_EQ(quantization_of("model.gguf"), "");
    EXPECT_EQ(quantization_of(""), "");
}

TEST(GgufNames, Parts) {
    const auto part = part_of("q/m-00002-of-00012.gguf");
    ASSERT_TRUE(part);
    EXPECT_EQ(part->number, 2u);
    EXPECT_EQ(part->count, 12u);
    EXPECT_EQ(part->stem, "q/m");
    for (const char* other : {"m.gguf", "m-0002-of-00012.gguf", "m-00002-of-0001x.gguf", "-00001-of-00002.gguf", "m-00002-of-00012.bin"}) {
        EXPECT_FALSE(part_of(other)) << other;
    }
}

std::string tower(const std::string& model, std::vector<std::string> paths) {
    paths.push_back(model);
    return tower_of(model, paths).value_or("none");
}

TEST(GgufNames, TheTowerOfAModel) {
    EXPECT_EQ(tower("m-Q4_K_M.gguf", {"m-Q8_0.gguf", "mmproj-BF16.gguf", "mmproj-F32.gguf", "mmproj-F16.gguf"}), "mmproj-F16.gguf");
    EXPECT_EQ(tower("m-Q4_K_M.gguf", {"mmproj-model-f16.gguf"}), "mmproj-model-f16.gguf");
    EXPECT_EQ(tower("m-Q4_K_M-00001-of-00002.gguf", {"m-Q4_K_M-00002-of-00002.gguf", "m.mmproj-f16.gguf"}), "m.mmproj-f16.gguf");
    EXPECT_EQ(tower("q4/m.gguf", {"mmproj.gguf", "q4/mmproj.gguf", "q8/mmproj-f16.gguf"}), "q4/mmproj.gguf") << "its own folder's";
    EXPECT_EQ(tower("q4/m.gguf", {"q8/mmproj-f16.gguf"}), "none");
    EXPECT_EQ(tower("m.gguf", {"n.gguf"}), "none");
    EXPECT_EQ(tower("mmproj-f16.gguf", {"mmproj-f32.gguf", "m.gguf"}), "none") << "a tower has none";
}

TEST(GgufNames, OfSeveralModelsEachHasItsOwnTower) {
    const std::vector<std::string> all = {"gemma-3-4b-it-Q4_K_M.gguf", "gemma-3-4b-it-q8_0.gguf", "gemma-3-12b-it-Q4_K_M.gguf",
                                          "mmproj-gemma-3-4b-it-f16.gguf", "mmproj-gemma-3-12b-it-f16.gguf", "smollm2.gguf", "mmproj-f16.gguf"};
    EXPECT_EQ(tower_of(all[0], all), all[3]);
    EXPECT_EQ(tower_of(all[1], all), all[3]);
    EXPECT_EQ(tower_of(all[2], all), all[4]);
    EXPECT_EQ(tower_of("smollm2.gguf", all), std::nullopt) << "one without a name of its own may be anybody's";
}

class GgufFilesAt : public ModelFolder {};

TEST_F(GgufFilesAt, AFileOrAFolder) {
    write("m-q4_0-00001-of-00002.gguf", "");
    write("m-q4_0-00002-of-00002.gguf", "");
    write("mmproj-f16.gguf", "");
    write("m-imatrix.gguf", "");
    const std::string root = folder_.string(), model = root + "/m-q4_0-00001-of-00002.gguf", own = root + "/mmproj-f16.gguf";
    for (const std::string& path : {root, model}) {
        const auto files = gguf_files_at(path);
        ASSERT_TRUE(files) << path;
        EXPECT_EQ(files->model, model);
        EXPECT_EQ(files->tower, own);
    }
    EXPECT_EQ(gguf_files_at(own)->tower, "");
    EXPECT_FALSE(gguf_files_at(root + "/none"));
    EXPECT_EQ(gguf_files_at(root + "/none/m.gguf")->tower, "") << "what isn't there has no tower";
    write("n.gguf", "");
    EXPECT_FALSE(gguf_files_at(root)) << "which of the two?";
    EXPECT_EQ(gguf_files_at(model)->tower, "");
}

}  // namespace
}  // namespace gantry::models
