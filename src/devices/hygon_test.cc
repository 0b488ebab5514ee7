#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "devices/recorded_case_for_test.h"
#include "devices/text.h"

namespace gantry::devices {
namespace {

using testing::HasSubstr;

Finding probe(const std::string& name) {
    RecordedCase tools("hygon/" + name);
    return kHygon.probe(tools);
}

TEST(Hygon, JsonAndRocminfo) {
    const Finding finding = probe("k100-ai");
    ASSERT_EQ(finding.devices.size(), 1u);
    const Device& device = finding.devices[0];
    EXPECT_EQ(device.vendor, "hygon");
    EXPECT_EQ(device.index, 0u);
    EXPECT_EQ(device.name, "Hygon DCU xxxx");
    EXPECT_EQ(device.chip, "gfx928");
    EXPECT_EQ(device.uuid, "7100fa8866904061");
    EXPECT_EQ(device.memory_total_bytes, 65520 * kMebibyte);
    EXPECT_EQ(device.memory_free_bytes, 65518 * kMebibyte);
    EXPECT_EQ(device.temperature_celsius, 41);
    EXPECT_EQ(device.utilization, 0);
    EXPECT_EQ(device.problem, "");
}

TEST(Hygon, JsonThatIsNone) {
    const Finding finding = probe("bw-json-without-commas");
    ASSERT_EQ(finding.devices.size(), 2u);
    EXPECT_EQ(finding.devices[1].name, "Hygon BW");
    EXPECT_EQ(finding.devices[1].index, 1u);
    EXPECT_EQ(finding.devices[1].memory_total_bytes, 65520 * kMebibyte);
    EXPECT_EQ(finding.devices[1].memory_free_bytes, (65520 - 64104) * kMebibyte);
    EXPECT_EQ(finding.devices[1].temperature_celsius, 52);
    EXPECT_EQ(finding.devices[1].problem, "");
}

TEST(Hygon, ATableHasNoSizes) {
    for (const char* name : {"z100l-table", "k100-busy-table"}) {
        const Finding finding = probe(name);
        ASSERT_EQ(finding.devices.size(), 8u) << name;
        EXPECT_THAT(finding.devices[7].problem, HasSubstr("not how much memory it has")) << name;
    }
    const Finding busy = probe("k100-busy-table");
    EXPECT_EQ(busy.devices[0].temperature_celsius, 67);
    EXPECT_DOUBLE_EQ(busy.devices[0].utilization, 0.74);
    EXPECT_EQ(busy.devices[0].details, "87% of its memory is used");
    EXPECT_EQ(probe("z100l-table").devices[0].details, "37% of its memory is used") << "the older rocm-smi's columns";
}

TEST(Hygon, SaysWhyItFindsNone) {
    RecordedCase tools("hygon/k100-busy-table");
    tools.outputs()["hy-smi"] = Tools::Output{.status = 1, .text = "No DCUs available\n"};
    EXPECT_THAT(kHygon.probe(tools).note, HasSubstr("hy-smi names no DCU; hy-smi ended with status 1 and said: No DCUs available"));
    tools.outputs().clear();
    EXPECT_THAT(kHygon.probe(tools).note, HasSubstr("no hy-smi"));
    EXPECT_FALSE(kHygon.present(tools));
}

}  // namespace
}  // namespace gantry::devices
