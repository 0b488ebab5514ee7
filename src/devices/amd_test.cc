#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "devices/recorded_case_for_test.h"

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
    const Finding finding = amd("rx-6800-memory-not-told");
    ASSERT_EQ(finding.devices.size(), 2u);
    EXPECT_THAT(finding.devices[1].problem, HasSubstr("does not tell its memory"));
}

TEST(Amd, AnApusMemoryIsTheMachines) {
    const Finding finding = amd("strix-halo-sysfs");
    ASSERT_EQ(finding.devices.size(), 1u) << "the processor's node is none";
    const Device& device = finding.devices[0];
    EXPECT_EQ(device.chip, "gfx1151");
    EXPECT_TRUE(device.unified_memory);
    EXPECT_EQ(device.memory_total_bytes, 536870912u);
    EXPECT_EQ(device.memory_free_bytes, 536870912u - 482263040u);
    EXPECT_DOUBLE_EQ(device.utilization, 0.07);
    EXPECT_EQ(device.temperature_celsius, 47);
    EXPECT_EQ(device.bus_address, "0000:c2:00.0");
}

TEST(Apple, TheMachinesMemoryIsItsOwn) {
    RecordedCase tools("apple/m3-max");
    const Finding finding = kApple.probe(tools);
    ASSERT_EQ(finding.devices.size(), 1u);
    const Device& device = finding.devices[0];
    EXPECT_EQ(device.name, "Apple M3 Max");
    EXPECT_TRUE(device.unified_memory);
    EXPECT_EQ(device.memory_total_bytes, 64ull << 30);
    EXPECT_EQ(device.memory_free_bytes, 1'600'000ull * 16384);
    EXPECT_EQ(device.details, "40 GPU cores");
    tools.outputs().erase("vm_stat");
    EXPECT_THAT(kApple.probe(tools).devices[0].problem, HasSubstr("how much is free"));
}

}  // namespace
}  // namespace gantry::devices
