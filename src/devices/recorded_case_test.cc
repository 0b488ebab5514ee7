// Whatever a vendor's tool prints, and wherever its answer ends, a prober answers: with a note, or with devices of which each has a
// problem or the figures that the whole answer gives.

#include <gtest/gtest.h>

#include "devices/recorded_case_for_test.h"

namespace gantry::devices {
namespace {

void expect_sound(const Finding& finding, const Finding& whole, const std::string& where) {
    ASSERT_TRUE(!finding.devices.empty() || !finding.note.empty()) << where;
    for (const Device& device : finding.devices) {
        ASSERT_TRUE(device.memory_total_bytes != 0 || !device.problem.empty()) << where;
        ASSERT_LE(device.memory_free_bytes, device.memory_total_bytes) << where;
        ASSERT_TRUE(device.utilization >= 0 && device.utilization <= 1) << where;
        for (const Device& same : whole.devices) {
            if (same.index == device.index && device.problem.empty()) {
                ASSERT_EQ(device.memory_total_bytes, same.memory_total_bytes) << where;
                ASSERT_EQ(device.memory_free_bytes, same.memory_free_bytes) << where;
            }
        }
    }
}

class RecordedProber : public testing::TestWithParam<const Prober*> {};

TEST_P(RecordedProber, AnswersWhereverItsToolsAnswerEnds) {
    const Prober& prober = *GetParam();
    for (const std::string& name : RecordedCase::names(prober.vendor)) {
        RecordedCase tools(name);
        EXPECT_TRUE(prober.present(tools)) << name;
        const Finding whole = prober.probe(tools);
        expect_sound(whole, whole, name);
        for (auto& [file, output] : tools.outputs()) {
            const std::string text = output.text;
            for (size_t length = 0; length < text.size(); ++length) {
                output.text = text.substr(0, length);
                ASSERT_NO_FATAL_FAILURE(expect_sound(prober.probe(tools), whole, name + ": " + file + " cut after " + std::to_string(length)));
            }
            output.text = text;
        }
    }
}

TEST_P(RecordedProber, AnswersWhateverBytesStandInItsToolsAnswer) {
    const Prober& prober = *GetParam();
    for (const std::string& name : RecordedCase::names(prober.vendor)) {
        RecordedCase tools(name);
        for (auto& [file, output] : tools.outputs()) {
            const std::string text = output.text;
            for (size_t at = 0; at < text.size(); at += 7) {
                for (const char byte : {'\0', '|', '9', '\n', '\xff'}) {
                    output.text[at] = byte;
                    const Finding finding = prober.probe(tools);
                    ASSERT_TRUE(!finding.devices.empty() || !finding.note.empty()) << name << ": " << file << " at " << at;
                }
                output.text[at] = text[at];
            }
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Vendors, RecordedProber,
                         testing::Values(&kAscend, &kHygon, &kMthreads, &kIluvatar, &kCambricon, &kMetax, &kNvidia, &kAmd,
                                         &kApple),
                         [](const auto& one) { return std::string(one.param->vendor); });

}  // namespace
}  // namespace gantry::devices
