#include "control/quantization.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gantry::control {
namespace {

using testing::HasSubstr;

enum class On { kNowhere, kMemory, kPartly, kDevices, kUnknown };

QuantizationOption option(const std::string& quantization, uint64_t bytes, On on, uint32_t context = 8192) {
    QuantizationOption out{quantization, bytes, {}};
    if (on == On::kNowhere) {
        out.decision.verdict = Verdict::kDoesNotFit;
        return out;
    }
    out.decision.verdict = on == On::kUnknown ? Verdict::kUnknown : Verdict::kFits;
    Placement placement;
    placement.layers = 32;
    placement.layers_on_devices = on == On::kDevices ? 32 : on == On::kPartly ? 20 : 0;
    placement.context_tokens = context;
    placement.claims = {{WorkerId("w"), {on == On::kMemory ? "cpu" : "nvidia", 0}, bytes}, {WorkerId("w"), {"cpu", 0}, 1}};
    out.decision.placement = placement;
    return out;
}

std::string picked(const std::vector<QuantizationOption>& options) {
    const QuantizationPick pick = pick_quantization(options, 8192);
    EXPECT_THAT(pick.reason, HasSubstr(options[pick.index].quantization + " of " + std::to_string(options.size()) + " quantizations: "));
    return options[pick.index].quantization;
}

TEST(Quantization, OnAcceleratorsTheLargestThatFits) {
    EXPECT_EQ(picked({option("Q4_K_M", 40, On::kDevices), option("Q8_0", 80, On::kDevices), option("F16", 160, On::kDevices)}), "Q8_0")
        << "16 bits cost twice the memory and time, and are hardly better";
    EXPECT_EQ(picked({option("Q4_K_M", 40, On::kDevices), option("Q6_K", 60, On::kDevices), option("Q8_0", 80, On::kPartly)}), "Q6_K");
    EXPECT_EQ(picked({option("Q4_K_M", 40, On::kDevices), option("Q8_0", 80, On::kDevices, 2048)}), "Q4_K_M") << "the context counts for more";
    EXPECT_EQ(picked({option("BF16", 160, On::kDevices), option("Q8_0", 80, On::kNowhere)}), "BF16");
}

TEST(Quantization, InMemoryTheUsualOne) {
    EXPECT_EQ(picked({option("Q8_0", 80, On::kMemory), option("Q4_K_M", 40, On::kMemory), option("Q2_K", 20, On::kMemory)}), "Q4_K_M");
    EXPECT_EQ(picked({option("Q8_0", 80, On::kMemory), option("Q5_0", 50, On::kMemory)}), "Q5_0") << "without it the smallest";
    EXPECT_EQ(picked({option("Q8_0", 80, On::kMemory), option("Q4_K_M", 40, On::kMemory), option("Q2_K", 20, On::kDevices)}), "Q2_K");
}

TEST(Quantization, WhereTheUsualOneDoesNotFitTheNearest) {
    const std::vector<QuantizationOption> options = {option("Q8_0", 80, On::kNowhere), option("Q4_K_M", 40, On::kNowhere),
                                                     option("Q3_K_M", 30, On::kMemory), option("Q2_K", 20, On::kMemory)};
    EXPECT_EQ(picked(options), "Q3_K_M");
    EXPECT_THAT(pick_quantization(options, 8192).reason, HasSubstr("Q4_K_M does not fit"));
    EXPECT_EQ(picked({option("Q4_K_M", 40, On::kMemory, 1024), option("Q2_K", 20, On::kMemory)}), "Q2_K");
    EXPECT_EQ(picked({option("Q4_K_M", 40, On::kMemory, 1024), option("Q2_K", 20, On::kMemory, 2048)}), "Q4_K_M") << "short they are both";
    EXPECT_EQ(picked({option("Q4_K_M", 40, On::kNowhere), option("Q2_K", 20, On::kUnknown)}), "Q2_K");
}

TEST(Quantization, WhereNothingFitsTheUsualOneSaysWhy) {
    const std::vector<QuantizationOption> options = {option("Q8_0", 80, On::kNowhere), option("Q4_K_M", 40, On::kNowhere)};
    EXPECT_EQ(picked(options), "Q4_K_M");
    EXPECT_THAT(pick_quantization(options, 8192).reason, HasSubstr("none fits"));
}

TEST(Quantization, AnotherFileOfTheSameModelIsInProportion) {
    ModelMeta meta;
    meta.modality = "vision";
    meta.file_bytes = 1100;
    meta.weights = {.embedding = 200, .output = 100, .layers = {300, 400}, .other = 100};
    meta.quantization = "Q4_K_M";
    meta.bytes_of_type = {{"Q4_K", 900}, {"Q6_K", 100}};
    const ModelMeta twice = requantized(meta, "Q5_K_M", 2000);
    EXPECT_EQ(twice.file_bytes, 2100u) << "the tower stays as it is";
    EXPECT_EQ(twice.weights.embedding, 400u);
    EXPECT_EQ(twice.weights.layers, (std::vector<uint64_t>{600, 800}));
    EXPECT_EQ(twice.weights.other, 100u);
    EXPECT_EQ(twice.quantization, "Q5_K_M");
    EXPECT_EQ(twice.bytes_of_type, (std::map<std::string, uint64_t>{{"Q5_K", 2000}}));
    EXPECT_EQ(requantized(ModelMeta{}, "Q8_0", 10), ModelMeta{}) << "of nothing nothing follows";
}

}  // namespace
}  // namespace gantry::control
