#include "placement/calibration.h"

#include <gtest/gtest.h>

namespace gantry::placement {
namespace {

MeasuredRun run(const std::string& source, const std::string& architecture, double ratio, const std::string& vendor = "cpu") {
    return {.backend = BackendKind::kEngine, .architecture = architecture, .source = source, .vendor = vendor, .estimate_bytes = 1'000'000,
            .peak_bytes = static_cast<uint64_t>(1'000'000 * ratio)};
}

Correction of(const std::vector<MeasuredRun>& runs, const std::string& source, const std::string& architecture = "qwen2") {
    return correction(runs, BackendKind::kEngine, architecture, "cpu", source);
}

TEST(correction, is_one_where_nothing_was_measured) {
    EXPECT_EQ(of({}, "file:/a").factor, 1);
    EXPECT_EQ(of({}, "file:/a").runs, 0u);
}

TEST(correction, never_rests_on_the_model_itself) {
    EXPECT_EQ(of({run("file:/a", "qwen2", 1.4), run("file:/a", "qwen2", 1.4)}, "file:/a").runs, 0u);
    const Correction other = of({run("file:/a", "qwen2", 1.4), run("file:/b", "qwen2", 1.1)}, "file:/a");
    EXPECT_EQ(other.runs, 1u);
    EXPECT_NEAR(other.factor, 1.1, 1e-9);
}

TEST(correction, rests_on_the_same_backend_and_vendor_only) {
    std::vector<MeasuredRun> runs = {run("file:/b", "qwen2", 1.3, "nvidia"), run("file:/c", "qwen2", 1.3)};
    runs.back().backend = BackendKind::kVllm;
    EXPECT_EQ(of(runs, "file:/a").runs, 0u);
}

TEST(correction, prefers_the_architecture_when_it_has_enough_runs) {
    std::vector<MeasuredRun> runs = {run("file:/b", "qwen2", 1.2), run("file:/c", "qwen2", 1.2), run("file:/d", "llama", 1.1),
                                     run("file:/e", "llama", 1.1), run("file:/f", "llama", 1.1)};
    EXPECT_NEAR(of(runs, "file:/a").factor, 1.2, 1e-9) << "two are too few: the upper quartile of all five";
    EXPECT_EQ(of(runs, "file:/a").runs, 5u);
    EXPECT_EQ(of(runs, "file:/a", "llama").runs, 3u);
    EXPECT_NEAR(of(runs, "file:/a", "llama").factor, 1.1, 1e-9);
}

TEST(correction, is_the_upper_quartile_within_bounds) {
    EXPECT_NEAR(of({run("b", "qwen2", 0.9), run("c", "qwen2", 1.0), run("d", "qwen2", 1.1), run("e", "qwen2", 1.3)}, "a").factor, 1.1, 1e-9);
    EXPECT_EQ(of({run("b", "qwen2", 4)}, "a").factor, kFactorMax);
    EXPECT_EQ(of({run("b", "qwen2", 0.1)}, "a").factor, kFactorMin);
}

TEST(correction, ignores_runs_without_numbers) {
    MeasuredRun empty = run("b", "qwen2", 1.2);
    empty.estimate_bytes = 0;
    EXPECT_EQ(of({empty}, "a").runs, 0u);
}

// Each model in turn is predicted by the others, as it would be when it is new.
TEST(correction, leaves_one_model_out_and_still_comes_nearer) {
    std::vector<MeasuredRun> runs;
    for (int model = 0; model < 8; ++model) {
        for (int i = 0; i < 3; ++i) {
            runs.push_back(run("file:/" + std::to_string(model), "qwen2", 1.10 + 0.005 * model + 0.002 * i));
        }
    }
    for (const MeasuredRun& left_out : runs) {
        const double corrected = static_cast<double>(left_out.estimate_bytes) * of(runs, left_out.source).factor;
        const auto peak = static_cast<double>(left_out.peak_bytes), estimate = static_cast<double>(left_out.estimate_bytes);
        EXPECT_LT(std::abs(corrected - peak), std::abs(estimate - peak));
        EXPECT_GT(corrected, 0.97 * peak);
    }
}

}  // namespace
}  // namespace gantry::placement
