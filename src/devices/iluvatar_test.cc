#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "devices/recorded_case_for_test.h"
#include "devices/text.h"

namespace gantry::devices {
namespace {

using testing::HasSubstr;

Finding probe(const std::string& name) {
    RecordedCase tools("iluvatar/" + name);
    return kIluvatar.probe(tools);
}

TEST(Iluvatar, EachChipOfABoardIsAGpu) {
    const Finding finding = probe("bi-v150");
    ASSERT_EQ(finding.devices.size(), 5u);
    const Device& device = finding.devices[4];
    EXPECT_EQ(device.vendor, "iluvatar");
    EXPECT_EQ(device.index, 15u);
    EXPECT_EQ(device.name, "Iluvatar BI-V150");
    EXPECT_EQ(device.chip, "BI-V150");
    EXPECT_EQ(device.memory_total_bytes, 32768 * kMebibyte);
    EXPECT_EQ(device.memory_free_bytes, (32768 - 116) * kMebibyte);
    EXPECT_EQ(device.temperature_celsius, 30);
    EXPECT_EQ(device.driver_version, "4.1.0");
    EXPECT_EQ(device.runtime_version, "CUDA 10.2");
    EXPECT_EQ(device.bus_address, "0000:67:00.0");
    EXPECT_EQ(device.problem, "");
    const Finding duo = probe("mr-v100-duo");
    ASSERT_EQ(duo.devices.size(), 2u);
    EXPECT_EQ(duo.devices[1].chip, "MR-V100 DUO");
    EXPECT_EQ(duo.devices[1].temperature_celsius, 36);
    EXPECT_EQ(probe("bi-v150s-in-container").devices[0].runtime_version, "");
}

TEST(Iluvatar, ACardThatDoesNotAnswer) {
    const Finding finding = probe("bi-v100-lost");
    ASSERT_EQ(finding.devices.size(), 5u);
    EXPECT_THAT(finding.devices[2].problem, HasSubstr("65535 W"));
    EXPECT_EQ(finding.devices[2].temperature_celsius, std::nullopt);
    EXPECT_EQ(finding.devices[2].utilization, 0);
    EXPECT_EQ(finding.devices[3].problem, "");
}

TEST(Iluvatar, TheQueryWhereTheTableIsNotUnderstood) {
    const Finding finding = probe("synthetic-table-recorded-query");
    ASSERT_EQ(finding.devices.size(), 2u);
    EXPECT_EQ(finding.devices[1].name, "Iluvatar MR-V100");
    EXPECT_EQ(finding.devices[1].memory_total_bytes, 32768 * kMebibyte);
    EXPECT_EQ(finding.devices[1].memory_free_bytes, (32768 - 27996) * kMebibyte);
    EXPECT_EQ(finding.devices[1].temperature_celsius, 36);
}

TEST(Iluvatar, SaysWhyItFindsNone) {
    RecordedCase tools("iluvatar/bi-v150");
    tools.outputs()["ixsmi"] = Tools::Output{.status = 127, .text = "ixsmi: error while loading shared libraries: libixml.so\n"};
    EXPECT_THAT(kIluvatar.probe(tools).note, HasSubstr("LD_LIBRARY_PATH=/usr/local/corex/lib64"));
    tools.outputs()["ixsmi"] = Tools::Output{.status = 0, .text = "No devices were found\n"};
    EXPECT_THAT(kIluvatar.probe(tools).note, HasSubstr("ixsmi said: No devices were found"));
    tools.outputs().clear();
    EXPECT_THAT(kIluvatar.probe(tools).note, HasSubstr("no ixsmi"));
    EXPECT_FALSE(kIluvatar.present(tools));
}

}  // namespace
}  // namespace gantry::devices
