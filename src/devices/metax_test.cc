#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "devices/recorded_case_for_test.h"
#include "devices/text.h"

namespace gantry::devices {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

Finding probe(const std::string& name) {
    RecordedCase tools("metax/" + name);
    return kMetax.probe(tools);
}

TEST(Metax, TheTableOf21) {
    const Finding finding = probe("c550");
    ASSERT_EQ(finding.devices.size(), 3u);
    const Device& device = finding.devices[2];
    EXPECT_EQ(device.vendor, "metax");
    EXPECT_EQ(device.index, 7u);
    EXPECT_EQ(device.name, "MetaX MXC550");
    EXPECT_EQ(device.chip, "C550");
    EXPECT_EQ(device.memory_total_bytes, 65536 * kMebibyte);
    EXPECT_EQ(device.memory_free_bytes, (65536 - 810) * kMebibyte);
    EXPECT_EQ(device.temperature_celsius, 30);
    EXPECT_EQ(device.driver_version, "2.5.014");
    EXPECT_EQ(device.runtime_version, "MACA 2.23.0.1018");
    EXPECT_EQ(device.bus_address, "0000:da:00.0");
    EXPECT_EQ(device.problem, "");
    EXPECT_EQ(probe("c500-2.2.4").devices[0].chip, "C500");
    EXPECT_EQ(probe("c500-2.2.4").devices[0].problem, "");
}

TEST(Metax, TheTableOf22WithBoardsAndLinks) {
    const Finding finding = probe("c500-boards");
    ASSERT_EQ(finding.devices.size(), 8u);
    EXPECT_EQ(finding.devices[3].name, "MetaX C500");
    EXPECT_EQ(finding.devices[3].index, 3u);
    EXPECT_EQ(finding.devices[3].temperature_celsius, 35);
    EXPECT_EQ(finding.devices[3].bus_address, "0000:12:00.0");
    EXPECT_EQ(finding.devices[3].links.size(), 7u);
    EXPECT_THAT(finding.devices[3].links, Contains(DeviceLink{.to = 0, .kind = "MX"}));
    EXPECT_THAT(finding.devices[3].links, Contains(DeviceLink{.to = 4, .kind = "NODE"}));
}

TEST(Metax, WhoHoldsItsMemory) {
    const Finding finding = probe("c500-busy");
    ASSERT_EQ(finding.devices.size(), 4u);
    EXPECT_THAT(finding.devices[3].processes,
                ElementsAre(DeviceProcess{.pid = 23034, .name = "ray::RayWorkerW", .memory_bytes = 59584 * kMebibyte, .instance_id = {}}));
}

TEST(Metax, GpusThatAreNotAvailable) {
    const Finding finding = probe("synthetic-lost");
    ASSERT_EQ(finding.devices.size(), 2u);
    EXPECT_EQ(finding.devices[0].uuid, "GPU-e702f06b-bbd6-bc06-5196-90a5554a24ba");
    EXPECT_THAT(finding.devices[0].problem, HasSubstr("mx-smi says Unavailable of its state"));
    EXPECT_EQ(finding.devices[1].index, 1u);
    EXPECT_EQ(finding.devices[1].problem, "mx-smi says: Not Available(MetaX Sysfs File Unaccessible)");
}

TEST(Metax, SaysWhyItFindsNone) {
    RecordedCase tools("metax/c550");
    tools.outputs()["mx-smi"] = Tools::Output{.status = 1, .text = "No MetaX GPU found\n"};
    EXPECT_THAT(kMetax.probe(tools).note, HasSubstr("mx-smi ended with status 1 and said: No MetaX GPU found"));
    tools.outputs().clear();
    EXPECT_THAT(kMetax.probe(tools).note, HasSubstr("no mx-smi"));
    EXPECT_FALSE(kMetax.present(tools));
}

}  // namespace
}  // namespace gantry::devices
