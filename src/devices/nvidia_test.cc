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

TEST(NvidiaSmi, PartsWithTheirMemoryAndProcesses) {
    const Finding finding = smi("synthetic-gh200-mig");
    ASSERT_EQ(finding.devices.size(), 3u) << "the whole is its parts: its memory is not counted again";
    const Device& first = finding.devices[0];
    EXPECT_EQ(first.index, 1000u) << "as NVML's parts are counted";
    EXPECT_EQ(finding.devices[2].index, 1002u);
    EXPECT_EQ(first.name, "NVIDIA GH200 480GB MIG 3g.48gb");
    EXPECT_EQ(first.uuid, "MIG-51fa7c7a-4c41-59bf-b08a-9cb4b47525a7");
    EXPECT_EQ(first.partition, "GPU-5f3c0000-0000-0000-0000-00000000200a 3g.48gb");
    EXPECT_EQ(first.memory_total_bytes, 47616 * kMebibyte);
    EXPECT_EQ(first.memory_free_bytes, (47616 - 29421) * kMebibyte);
    EXPECT_EQ(finding.devices[1].memory_free_bytes, (23552 - 30) * kMebibyte);
    EXPECT_EQ(first.chip, "sm_90");
    EXPECT_EQ(first.driver_version, "570.133.20");
    EXPECT_EQ(first.bus_address, "0009:01:00.0");
    EXPECT_EQ(first.problem, "");
    ASSERT_EQ(first.processes.size(), 3u);
    EXPECT_EQ(first.processes[0].pid, 3808491);
    EXPECT_EQ(first.processes[0].name, "/opt/nim/llm/.venv/bin/python3");
    EXPECT_EQ(first.processes[0].memory_bytes, 24402 * kMebibyte);
    EXPECT_TRUE(finding.devices[1].processes.empty());
}

TEST(NvidiaSmi, PartsWhoseMemoryIsNotToldTakeNothingAndTheCardBesideThemDoes) {
    const Finding finding = smi("synthetic-mig");   // without the tables of nvidia-smi
    ASSERT_EQ(finding.devices.size(), 5u);
    EXPECT_EQ(finding.devices[0].index, 1u);
    EXPECT_EQ(finding.devices[0].problem, "");
    EXPECT_EQ(finding.devices[4].uuid, "MIG-930574a9-d43a-5d2b-95da-3e68384c8d6b");
    EXPECT_THAT(finding.devices[4].problem, HasSubstr("how much memory"));
    // Nor is the query answered: ids and profiles are known all the same.
    const Finding listed = smi("a100-mig-seven");
    ASSERT_EQ(listed.devices.size(), 7u);
    EXPECT_EQ(listed.devices[6].index, 1006u);
    EXPECT_EQ(listed.devices[6].name, "NVIDIA A100-SXM4-80GB MIG 1g.10gb");
    EXPECT_THAT(listed.devices[6].problem, HasSubstr("how much memory"));
}

TEST(NvidiaSmi, ACardInMigModeWithoutPartsSaysSo) {
    RecordedCase tools("nvidia/synthetic-mig");
    for (const char* list : {"", "GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-513536b6-7d19-9063-b049-1e69664bb298)\n",
                             "  MIG 1g.20gb     Device  0: (UUID: MIG-ce861fb0-a248-58ce-a9a8-f9adbc22a66a)\n"}) {
        tools.outputs()["nvidia-smi_-L"].text = list;
        const Finding finding = probe_nvidia_smi(tools);
        ASSERT_EQ(finding.devices.size(), 2u) << list;
        EXPECT_THAT(finding.devices[0].problem, testing::AllOf(HasSubstr("MIG mode"), HasSubstr("mig -cgi"))) << list;
        EXPECT_EQ(finding.devices[1].problem, "") << list;
    }
}

TEST(NvidiaSmi, WhatThePartsGpuSaysOfItselfCountsForThem) {
    RecordedCase tools("nvidia/synthetic-gh200-mig");
    for (auto& [name, output] : tools.outputs()) {
        const size_t errors = output.text.find("9.0, 00000009:01:00.0, 0,");
        if (errors != std::string::npos) output.text.replace(errors, 25, "9.0, 00000009:01:00.0, 4,");
    }
    const Finding finding = probe_nvidia_smi(tools);
    ASSERT_EQ(finding.devices.size(), 3u);
    for (const Device& part : finding.devices) EXPECT_THAT(part.problem, HasSubstr("4 uncorrected memory errors"));
}

TEST(NvidiaSmi, ACardWithoutMigAndWhoseUseIsNotTold) {
    const Finding finding = smi("gtx-1660-super");
    ASSERT_EQ(finding.devices.size(), 1u);
    EXPECT_EQ(finding.devices[0].driver_version, "591.86");
    EXPECT_THAT(finding.devices[0].problem, HasSubstr("does not tell its memory"));
}

}  // namespace
}  // namespace gantry::devices
