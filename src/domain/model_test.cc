#include "domain/model.h"

#include <gtest/gtest.h>

namespace gantry {
namespace {

TEST(Model, IsDescribedInOneLine) {
    ModelMeta meta;
    EXPECT_EQ(describe(meta), "unknown architecture, unknown format") << "what is unknown is left out";
    meta.format = "gguf";
    meta.architecture = "qwen2";
    meta.modality = "text";
    meta.parameter_count = 494'032'768;
    meta.quantization = "Q4_K_M";
    meta.dtype = "float32";
    meta.layers = 24;
    meta.context_length = 32768;
    EXPECT_EQ(describe(meta), "qwen2, 494M parameters, Q4_K_M, 24 layers, context 32,768, GGUF");
    meta.format = "safetensors";
    meta.modality = "vision";
    meta.quantization.clear();
    meta.layers = 1;
    meta.context_length = 1'048'576;
    EXPECT_EQ(describe(meta), "qwen2, vision, 494M parameters, float32, 1 layer, context 1,048,576, safetensors");
    const std::pair<uint64_t, const char*> counts[] = {{999'999, "999999"}, {1'000'000, "1M"}, {999'885'952, "1.0B"},
                                                       {7'615'616'512, "7.6B"}, {671'026'419'200, "671B"}};
    for (const auto& [count, text] : counts) {
        meta.parameter_count = count;
        EXPECT_NE(describe(meta).find(std::string(", ") + text + " parameters"), std::string::npos) << describe(meta);
    }
}

TEST(Model, WeightsAddUp) {
    const WeightBytes weights{.embedding = 1, .output = 2, .layers = {4, 8}, .other = 16};
    EXPECT_EQ(weights.total(), 31u);
    EXPECT_EQ(WeightBytes{}.total(), 0u);
}

}  // namespace
}  // namespace gantry
