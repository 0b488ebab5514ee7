#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "devices/recorded_case_for_test.h"
#include "devices/text.h"

namespace gantry::devices {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Finding probe(const std::string& name) {
    RecordedCase tools("cambricon/" + name);
    return kCambricon.probe(tools);
}

TEST(Cambricon, TheTableOfVersion5) {
    const Finding finding = probe("mlu370-x4");
    ASSERT_EQ(finding.devices.size(), 2u);
    const Device& device = finding.devices[1];
    EXPECT_EQ(device.vendor, "cambricon");
    EXPECT_EQ(device.index, 1u);
    EXPECT_EQ(device.name, "Cambricon MLU370-X4");
    EXPECT_EQ(device.chip, "MLU370");
    EXPECT_EQ(device.memory_total_bytes, 23308 * kMebibyte);
    EXPECT_EQ(device.memory_free_bytes, 23308 * kMebibyte);
    EXPECT_EQ(device.temperature_celsius, 41);
    EXPECT_EQ(device.driver_version, "v5.10.10");
    EXPECT_EQ(device.bus_address, "0000:36:00.0");
    EXPECT_EQ(device.partition, "");
    EXPECT_EQ(device.problem, "");
}

TEST(Cambricon, TheTableOfVersion1HasTheDriverInItsRows) {
    const Finding finding = probe("mlu220");
    ASSERT_EQ(finding.devices.size(), 1u);
    EXPECT_EQ(finding.devices[0].chip, "MLU220");
    EXPECT_EQ(finding.devices[0].memory_total_bytes, 4096 * kMebibyte);
    EXPECT_EQ(finding.devices[0].memory_free_bytes, (4096 - 967) * kMebibyte);
    EXPECT_EQ(finding.devices[0].driver_version, "v4.6.9");
    EXPECT_EQ(finding.devices[0].bus_address, "");
    RecordedCase tools("cambricon/mlu220");
    std::string& text = tools.outputs()["cnmon"].text;
    text.replace(text.find("| On  "), 6, "| Off ");
    EXPECT_THAT(kCambricon.probe(tools).devices[0].problem, HasSubstr("not initialised"));
}

TEST(Cambricon, ASizeThatIsNone) {
    const Finding finding = probe("names-withheld");
    ASSERT_EQ(finding.devices.size(), 2u);
    EXPECT_EQ(finding.devices[1].index, 7u);
    EXPECT_EQ(finding.devices[1].problem, "cnmon does not say how much memory it has");
}

TEST(Cambricon, WhoHoldsItsMemory) {
    const Finding finding = probe("synthetic-busy");
    ASSERT_EQ(finding.devices.size(), 2u);
    EXPECT_DOUBLE_EQ(finding.devices[1].utilization, 0.87);
    EXPECT_THAT(finding.devices[1].processes,
                ElementsAre(DeviceProcess{.pid = 48121, .name = "python3 serve.py", .memory_bytes = 20400 * kMebibyte, .instance_id = {}}));
    EXPECT_TRUE(finding.devices[0].processes.empty());
}

TEST(Cambricon, SaysWhyItFindsNone) {
    RecordedCase tools("cambricon/mlu370-x4");
    tools.outputs()["cnmon"] = Tools::Output{.status = 1, .text = "No card found\n"};
    EXPECT_THAT(kCambricon.probe(tools).note, HasSubstr("cnmon ended with status 1 and said: No card found"));
    tools.outputs().clear();
    EXPECT_THAT(kCambricon.probe(tools).note, HasSubstr("no cnmon"));
    EXPECT_FALSE(kCambricon.present(tools));
}

}  // namespace
}  // namespace gantry::devices
