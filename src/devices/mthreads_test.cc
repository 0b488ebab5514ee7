#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "devices/recorded_case_for_test.h"
#include "devices/text.h"

namespace gantry::devices {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Finding probe(const std::string& name) {
    RecordedCase tools("mthreads/" + name);
    return kMthreads.probe(tools);
}

TEST(Mthreads, ADesktopsGpuAndWhoHoldsItsMemory) {
    const Finding finding = probe("s80-desktop");
    ASSERT_EQ(finding.devices.size(), 1u);
    const Device& device = finding.devices[0];
    EXPECT_EQ(device.vendor, "mthreads");
    EXPECT_EQ(device.name, "MTT S80");
    EXPECT_EQ(device.chip, "mp_21");
    EXPECT_EQ(device.memory_total_bytes, 16384 * kMebibyte);
    EXPECT_EQ(device.memory_free_bytes, (16384 - 662) * kMebibyte);
    EXPECT_EQ(device.temperature_celsius, 41);
    EXPECT_EQ(device.driver_version, "3.0.0");
    EXPECT_EQ(device.bus_address, "0000:01:00.0");
    EXPECT_EQ(device.details, "");
    EXPECT_EQ(device.problem, "");
    EXPECT_THAT(device.processes,
                ElementsAre(DeviceProcess{.pid = 1123, .name = "/usr/lib/xorg/Xorg", .memory_bytes = 134 * kMebibyte, .instance_id = {}},
                            DeviceProcess{.pid = 1361, .name = "/usr/sbin/unity-greeter", .memory_bytes = kMebibyte, .instance_id = {}}));
}

TEST(Mthreads, SeveralGpus) {
    const Finding idle = probe("s4000");
    ASSERT_EQ(idle.devices.size(), 2u);
    EXPECT_EQ(idle.devices[1].index, 1u);
    EXPECT_EQ(idle.devices[1].chip, "mp_22");
    EXPECT_EQ(idle.devices[1].bus_address, "0000:09:00.0");
    const Finding busy = probe("s5000-busy");
    ASSERT_EQ(busy.devices.size(), 2u);
    EXPECT_EQ(busy.devices[0].chip, "mp_31");
    EXPECT_EQ(busy.devices[0].driver_version, "3.3.5-server");
    EXPECT_EQ(busy.devices[0].memory_free_bytes, (81920 - 66641) * kMebibyte);
    EXPECT_EQ(busy.devices[0].temperature_celsius, 52);
}

TEST(Mthreads, MoreUsedThanThereIs) {
    const Finding finding = probe("s4000-too-much-used");
    ASSERT_EQ(finding.devices.size(), 1u);
    EXPECT_DOUBLE_EQ(finding.devices[0].utilization, 0.88);
    EXPECT_THAT(finding.devices[0].problem, HasSubstr("43.3 GiB of its 32.0 GiB"));
    EXPECT_THAT(finding.devices[0].problem, HasSubstr("IOMMU"));
}

TEST(Mthreads, SaysWhyItFindsNone) {
    RecordedCase tools("mthreads/s4000");
    tools.outputs()["mthreads-gmi"] = Tools::Output{.status = 255, .text = "Error: failed to initialize mtml\n"};
    EXPECT_THAT(kMthreads.probe(tools).note, HasSubstr("ended with status 255 and said: Error: failed to initialize mtml"));
    tools.outputs().clear();
    EXPECT_THAT(kMthreads.probe(tools).note, HasSubstr("no mthreads-gmi"));
    EXPECT_FALSE(kMthreads.present(tools));
}

}  // namespace
}  // namespace gantry::devices
