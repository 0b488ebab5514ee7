#include "backends/progress.h"

#include <gtest/gtest.h>

#include "backends/backends_for_test.h"

namespace gantry::backends {
namespace {

// What progress_of says after each line of a recorded log.
std::vector<double> steps(BackendKind kind, const std::string& log) {
    std::vector<double> values;
    for (size_t end = log.find('\n'); end != std::string::npos; end = log.find('\n', end + 1)) {
        values.push_back(progress_of(kind, log.substr(0, end)));
    }
    return values;
}

TEST(Progress, OfARecordedStartOnlyGrows) {
    const struct {
        BackendKind kind;
        const char* log;
        double first;   // at most, at the first line that says anything
        double last;
    } cases[] = {
        {BackendKind::kVllm, "vllm-gpu.log", 0.39, 0.85},
        {BackendKind::kVllm, "vllm-cpu.log", 0.39, 1},
        {BackendKind::kSglang, "sglang.log", 0.60, 0.75},
        {BackendKind::kLlamaServer, "llama-server.log", 0.10, 1},
    };
    for (const auto& tested : cases) {
        const std::vector<double> values = steps(tested.kind, recorded(tested.log));
        ASSERT_FALSE(values.empty()) << tested.log;
        EXPECT_TRUE(std::is_sorted(values.begin(), values.end())) << tested.log;
        const auto said = std::find_if(values.begin(), values.end(), [](double value) { return value > 0; });
        ASSERT_NE(said, values.end()) << tested.log;
        EXPECT_LE(*said, tested.first) << tested.log;
        EXPECT_DOUBLE_EQ(values.back(), tested.last) << tested.log;
    }
}

TEST(Progress, BarsCountByThemselves) {
    const char* bar = "Loading safetensors checkpoint shards:  56% Completed | 5/9 [00:13<00:11,  2.87s/it]";
    EXPECT_DOUBLE_EQ(progress_of(BackendKind::kVllm, bar), 0.10 + 0.56 * 0.5);
    EXPECT_DOUBLE_EQ(progress_of(BackendKind::kSglang, "Capturing batches (avail_mem=9.72 GB): 100%|####| 23/23"), 0.95);
    // Drawn over itself, and cut off at both ends.
    const char* redrawn = "ds:  11% C\rLoading safetensors checkpoint shards:  50% Completed\rLoading safetensors check";
    EXPECT_DOUBLE_EQ(progress_of(BackendKind::kVllm, redrawn), 0.10 + 0.5 * 0.5);
    EXPECT_DOUBLE_EQ(progress_of(BackendKind::kVllm, "checkpoint shards: % 9999% 120%"), 0.60) << "never over the bar's end";
    EXPECT_DOUBLE_EQ(progress_of(BackendKind::kVllm, "checkpoint shards:"), 0.10);
}

TEST(Progress, TheFurthestMarkCounts) {
    EXPECT_DOUBLE_EQ(progress_of(BackendKind::kVllm, "INFO:     Application startup complete.\nStarting to load model /m..."), 1);
    EXPECT_DOUBLE_EQ(progress_of(BackendKind::kMindie, "Daemon start success!"), 1);
    for (const BackendKind kind : {BackendKind::kEngine, BackendKind::kCustom}) {
        EXPECT_EQ(progress_of(kind, "Application startup complete. Daemon start success!"), 0);
    }
    EXPECT_EQ(progress_of(BackendKind::kVllm, ""), 0);
    EXPECT_EQ(progress_of(BackendKind::kVllm, "\n\r\nnothing 50% here\n"), 0);
}

}  // namespace
}  // namespace gantry::backends
