#include "devices/nvidia.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "devices/recorded_case_for_test.h"
#include "devices/text.h"

namespace gantry::devices {
namespace {

using testing::HasSubstr;
constexpr uint64_t kGibibyte = 1ull << 30;

Finding smi(const std::string& name) {
    RecordedCase tools("nvidia/" + name);
    return probe_nvidia_smi(tools);
}

class Nvml : public testing::Test {
protected:
    ~Nvml() override { ::unsetenv("GANTRY_FAKE_NVML"); }
    RecordedCase tools_{"nvidia/lost"};
};

TEST_F(Nvml, WholeLostAndPartedGpus) {
    const auto finding = probe_nvml(GANTRY_FAKE_NVML, tools_);
    ASSERT_TRUE(finding);
    ASSERT_EQ(finding->devices.size(), 4u);
    const Device& lost = finding->devices[0];
    EXPECT_THAT(lost.problem, HasSubstr("GPU is lost"));
    EXPECT_THAT(lost.problem, HasSubstr("Xid"));
    const Device& whole = finding->devices[1];
    EXPECT_EQ(whole.name, "NVIDIA H100 80GB HBM3");
    EXPECT_EQ(whole.chip, "sm_90");
    EXPECT_EQ(whole.memory_total_bytes, 80 * kGibibyte);
    EXPECT_EQ(whole.memory_free_bytes, 50 * kGibibyte);
    EXPECT_DOUBLE_EQ(whole.utilization, 0.87);
    EXPECT_EQ(whole.temperature_celsius, 61);
    EXPECT_EQ(whole.driver_version, "550.54.15");
    EXPECT_EQ(whole.runtime_version, "CUDA 12.4");
    EXPECT_EQ(whole.bus_address, "0000:07:00.0");
    EXPECT_EQ(whole.problem, "");
    ASSERT_EQ(whole.processes.size(), 1u);
    EXPECT_EQ(whole.processes[0].pid, 4242);
    EXPECT_EQ(whole.processes[0].memory_bytes, 29 * kGibibyte);
    // The parted one is its parts: its own 80 GiB are not counted again.
    const Device& part = finding->devices[3];
    EXPECT_EQ(part.index, 3001u);
    EXPECT_EQ(finding->devices[2].index, 3000u);
    EXPECT_EQ(lost.index, 1u) << "as NVML and CUDA count";
    EXPECT_EQ(whole.index, 0u);
    EXPECT_EQ(part.memory_total_bytes, 40 * kGibibyte);
    EXPECT_EQ(part.chip, "sm_80");
    EXPECT_THAT(part.uuid, HasSubstr("MIG-"));
    EXPECT_THAT(part.partition, HasSubstr("GPU-cccccccc"));
    EXPECT_THAT(part.partition, HasSubstr("3g.40gb"));
}

TEST_F(Nvml, ErrorsInMemoryAreAProblem) {
    ::setenv("GANTRY_FAKE_NVML", "ecc", 1);
    EXPECT_THAT(probe_nvml(GANTRY_FAKE_NVML, tools_)->devices[1].problem, HasSubstr("2 uncorrected memory errors"));
}

TEST_F(Nvml, RowsThatWaitToBeRemappedAreAProblem) {
    ::setenv("GANTRY_FAKE_NVML", "remap", 1);
    EXPECT_THAT(probe_nvml(GANTRY_FAKE_NVML, tools_)->devices[1].problem, HasSubstr("wait to be remapped"));
}

TEST_F(Nvml, WithoutADriverItSaysWhatToDo) {
    ::setenv("GANTRY_FAKE_NVML", "no-driver", 1);
    const auto finding = probe_nvml(GANTRY_FAKE_NVML, tools_);
    ASSERT_TRUE(finding);
    EXPECT_TRUE(finding->devices.empty());
    EXPECT_THAT(finding->note, HasSubstr("Driver Not Loaded"));
    EXPECT_THAT(finding->note, HasSubstr("modprobe"));
    EXPECT_FALSE(probe_nvml("libno-such-nvml.so.1", tools_)) << "nvidia-smi is asked then";
}

TEST(NvidiaSmi, CardsOfTwoKinds) {
    const Finding finding = smi("gtx-1080ti-and-1060");
    ASSERT_EQ(finding.devices.size(), 2u);
    EXPECT_EQ(finding.devices[0].name, "GeForce GTX 1080 Ti");
    EXPECT_EQ(finding.devices[0].memory_total_bytes, 11175 * kMebibyte);
    EXPECT_EQ(finding.devices[0].memory_free_bytes, (11175 - 2856) * kMebibyte);
    EXPECT_DOUBLE_EQ(finding.devices[0].utilization, 0.36);
    EXPECT_EQ(finding.devices[1].index, 1u);
    EXPECT_EQ(finding.devices[1].temperature_celsius, 49);
}

TEST(NvidiaSmi, ProcessesErrorsAndCardsThatDoNotAnswer) {
    const Finding finding = smi("synthetic-full-query");
    ASSERT_EQ(finding.devices.size(), 3u);
    EXPECT_EQ(finding.devices[0].chip, "sm_80");
    EXPECT_EQ(finding.devices[0].memory_free_bytes, 50560 * kMebibyte);
    ASSERT_EQ(finding.devices[0].processes.size(), 1u);
    EXPECT_EQ(finding.devices[0].processes[0].name, "/opt/venv/bin/python3");
    EXPECT_THAT(finding.devices[1].problem, HasSubstr("3 uncorrected memory errors"));
    EXPECT_THAT(finding.devices[2].problem, HasSubstr("does not tell its memory"));
}

TEST(NvidiaSmi, SaysWhatTheToolSaid) {
    EXPECT_THAT(smi("driver-mismatch").note, testing::AllOf(HasSubstr("status 18"), HasSubstr("version mismatch")));
    // With what status these ended is not recorded: it must not matter.
    for (const auto& [name, said] : {std::pair("lost", "GPU is lost"), std::pair("unknown-error", "Unknown Error"),
                                     std::pair("no-driver", "couldn't communicate"), std::pair("no-devices", "No devices were found")}) {
        for (const int status : {0, 9}) {
            RecordedCase tools(std::string("nvidia/") + name);
            for (auto& [file, output] : tools.outputs()) output.status = status;
            const Finding finding = probe_nvidia_smi(tools);
            EXPECT_TRUE(finding.devices.empty()) << name;
            EXPECT_THAT(finding.note, HasSubstr(said)) << name;
        }
    }
}

TEST(NvidiaSmi, ACardThatIsCutUpTakesNothingAndTheOneBesideItDoes) {
    const Finding finding = smi("synthetic-mig");
    ASSERT_EQ(finding.devices.size(), 2u) << "the parts are not told by the query";
    EXPECT_THAT(finding.devices[0].problem, HasSubstr("MIG mode"));
    EXPECT_EQ(finding.devices[1].problem, "");
    EXPECT_TRUE(smi("a100-mig-seven").devices.empty()) << "nothing reads nvidia-smi -L";
}

TEST(NvidiaSmi, ACardWithoutMigAndWhoseUseIsNotTold) {
    const Finding finding = smi("gtx-1660-super");
    ASSERT_EQ(finding.devices.size(), 1u);
    EXPECT_EQ(finding.devices[0].driver_version, "591.86");
    EXPECT_THAT(finding.devices[0].problem, HasSubstr("does not tell its memory"));
}

}  // namespace
}  // namespace gantry::devices
