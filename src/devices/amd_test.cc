#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "devices/amd_tools.h"
#include "devices/recorded_case_for_test.h"
#include "devices/text.h"

namespace gantry::devices {
namespace {

using testing::HasSubstr;

Finding amd(const std::string& name) {
    RecordedCase tools("amd/" + name);
    return kAmd.probe(tools);
}

TEST(Amd, RocmSmiAlone) {
    const Finding finding = amd("rx-7900-xt");
    ASSERT_EQ(finding.devices.size(), 1u);
    const Device& device = finding.devices[0];
    EXPECT_EQ(device.name, "Radeon RX 7900 XT");
    EXPECT_EQ(device.chip, "gfx1100");
    EXPECT_EQ(device.memory_total_bytes, 21458059264u);
    EXPECT_EQ(device.memory_free_bytes, 21458059264u - 27856896u);
    EXPECT_FALSE(device.unified_memory);
    EXPECT_EQ(device.problem, "");
}

TEST(Amd, AToolThatDoesNotTellMemory) {
    const Finding finding = amd("synthetic-memory-not-told");
    ASSERT_EQ(finding.devices.size(), 2u);
    EXPECT_THAT(finding.devices[1].problem, HasSubstr("does not tell its memory"));
}

TEST(Amd, WhatWasCarvedOutForAnApuIsItsOwn) {
    const Finding finding = amd("synthetic-strix-halo-sysfs");
    ASSERT_EQ(finding.devices.size(), 1u) << "the processor's node is none";
    const Device& device = finding.devices[0];
    EXPECT_EQ(device.chip, "gfx1151");
    EXPECT_FALSE(device.unified_memory) << "the machine's memory is without it";
    EXPECT_EQ(device.memory_total_bytes, 536870912u);
    EXPECT_EQ(device.memory_free_bytes, 536870912u - 482263040u);
    EXPECT_DOUBLE_EQ(device.utilization, 0.07);
    EXPECT_EQ(device.temperature_celsius, 47);
    EXPECT_EQ(device.bus_address, "0000:c2:00.0");
}

TEST(Amd, WhatTheDriverTakesOfTheMachineIsTheMachines) {
    const Finding finding = amd("synthetic-strix-halo-gtt");
    ASSERT_EQ(finding.devices.size(), 1u);
    EXPECT_TRUE(finding.devices[0].unified_memory);
    EXPECT_EQ(finding.devices[0].memory_total_bytes, 66571993088u);
    EXPECT_EQ(finding.devices[0].memory_free_bytes, 66571993088u - 21797797888u);
    EXPECT_EQ(finding.devices[0].problem, "");
}

TEST(Amd, AnApuWithNothingCarvedOut) {
    const Finding finding = amd("synthetic-mi300a");
    ASSERT_EQ(finding.devices.size(), 1u);
    const Device& device = finding.devices[0];
    EXPECT_EQ(device.chip, "gfx942") << "which is MI300X's, too";
    EXPECT_TRUE(device.unified_memory);
    EXPECT_EQ(device.memory_total_bytes, 134217728000u);
    EXPECT_EQ(device.memory_free_bytes, 134217728000u - 8589934592u);
    EXPECT_TRUE(has_the_machines_memory("AMD Instinct MI300A"));
    EXPECT_FALSE(has_the_machines_memory("AMD Instinct MI300X"));
}

TEST(Amd, ABusyCardOfRocmSmi) {
    const Finding finding = amd("rx-7800-xt-busy");
    ASSERT_EQ(finding.devices.size(), 1u);
    EXPECT_DOUBLE_EQ(finding.devices[0].utilization, 1);
    EXPECT_EQ(finding.devices[0].memory_free_bytes, 17163091968u - 11615076352u);
}

TEST(Amd, AmdSmiAlone) {
    const Finding finding = amd("two-32-gib-busy-and-idle");
    ASSERT_EQ(finding.devices.size(), 2u);
    const Device& busy = finding.devices[0];
    EXPECT_EQ(busy.memory_total_bytes, 30576 * kMebibyte);
    EXPECT_EQ(busy.memory_free_bytes, (30576 - 20450) * kMebibyte);
    EXPECT_DOUBLE_EQ(busy.utilization, 0.91);
    EXPECT_EQ(busy.temperature_celsius, 54);
    EXPECT_EQ(busy.problem, "");
    EXPECT_EQ(finding.devices[1].index, 1u);
}

TEST(Amd, AmdSmiWithoutFiguresStillNames) {
    const Finding finding = amd("strix-halo-without-metric");
    ASSERT_EQ(finding.devices.size(), 1u);
    const Device& device = finding.devices[0];
    EXPECT_THAT(device.name, HasSubstr("Radeon 8060S"));
    EXPECT_EQ(device.chip, "gfx1151");
    EXPECT_FALSE(device.unified_memory);
    EXPECT_EQ(device.bus_address, "0000:c4:00.0");
    EXPECT_THAT(device.problem, HasSubstr("does not tell its memory"));
}

TEST(Amd, AmdSmiTellsErrorsAndProcesses) {
    const Finding finding = amd("synthetic-amd-smi-errors");
    ASSERT_EQ(finding.devices.size(), 1u);
    EXPECT_THAT(finding.devices[0].problem, HasSubstr("2 uncorrected errors"));
    ASSERT_EQ(finding.devices[0].processes.size(), 1u);
    EXPECT_EQ(finding.devices[0].processes[0].pid, 4101820);
    EXPECT_EQ(finding.devices[0].processes[0].memory_bytes, 7351832576u);
}

TEST(Amd, TheKernelTellsLinksErrorsAndProcesses) {
    const Finding finding = amd("synthetic-linked-pair");
    ASSERT_EQ(finding.devices.size(), 2u);
    const Device& well = finding.devices[0];
    EXPECT_EQ(well.problem, "") << "pages that are out of use and corrected errors harm nobody";
    EXPECT_EQ(well.uuid, "GPU-e2b52e9d0e6754f5") << "all 64 bits";
    EXPECT_THAT(well.links, testing::ElementsAre(DeviceLink{1, "XGMI"}));
    ASSERT_EQ(well.processes.size(), 1u);
    EXPECT_EQ(well.processes[0].pid, 4242);
    EXPECT_EQ(well.processes[0].memory_bytes, 8589934592u);
    EXPECT_THAT(finding.devices[1].problem, HasSubstr("1 uncorrected error "));
    EXPECT_TRUE(finding.devices[1].processes.empty());
}

TEST(Apple, WithoutItsMemoryADeviceHasAProblem) {
    RecordedCase tools("apple/m3-max");
    const Finding finding = kApple.probe(tools);
    ASSERT_EQ(finding.devices.size(), 1u);
    EXPECT_EQ(finding.devices[0].details, "40 GPU cores");
    EXPECT_THAT(finding.devices[0].problem, HasSubstr("how much memory"));
}

TEST(Apple, TheMachinesMemoryIsItsOwn) {
    RecordedCase tools("apple/synthetic-m3-max-with-memory");
    const Finding finding = kApple.probe(tools);
    ASSERT_EQ(finding.devices.size(), 1u);
    const Device& device = finding.devices[0];
    EXPECT_EQ(device.name, "Apple M3 Max");
    EXPECT_TRUE(device.unified_memory);
    EXPECT_EQ(device.memory_total_bytes, 24ull << 30);
    EXPECT_EQ(device.memory_free_bytes, (3857ull + 443760 + 1075) * 16384);
    EXPECT_EQ(device.details, "40 GPU cores");
    tools.outputs().erase("vm_stat");
    EXPECT_THAT(kApple.probe(tools).devices[0].problem, HasSubstr("how much is free"));
}

}  // namespace
}  // namespace gantry::devices
