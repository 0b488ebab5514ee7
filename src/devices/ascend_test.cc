#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "devices/recorded_case_for_test.h"
#include "devices/text.h"

namespace gantry::devices {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr uint64_t kGibibyte = 1u << 30;

Finding probe(const std::string& name) {
    RecordedCase tools("ascend/" + name);
    return kAscend.probe(tools);
}

TEST(Ascend, CardsOf910B) {
    const Finding finding = probe("910b3-half-busy");
    ASSERT_EQ(finding.devices.size(), 8u);
    EXPECT_EQ(finding.note, "");
    const Device& busy = finding.devices[3];
    EXPECT_EQ(busy.vendor, "ascend");
    EXPECT_EQ(busy.index, 3u);
    EXPECT_EQ(busy.name, "Ascend 910B3");
    EXPECT_EQ(busy.chip, "910B");
    EXPECT_EQ(busy.memory_total_bytes, 64 * kGibibyte);
    EXPECT_EQ(busy.memory_free_bytes, (65536 - 59990) * kMebibyte);
    EXPECT_EQ(busy.temperature_celsius, 46);
    EXPECT_EQ(busy.utilization, 0);
    EXPECT_EQ(busy.driver_version, "23.0.7");
    EXPECT_EQ(busy.runtime_version, "CANN 8.1.RC1");
    EXPECT_EQ(busy.bus_address, "0000:82:00.0");
    EXPECT_EQ(busy.problem, "");
    ASSERT_EQ(busy.processes.size(), 1u);
    EXPECT_EQ(busy.processes[0], (DeviceProcess{.pid = 49946, .name = "", .memory_bytes = 56681 * kMebibyte, .instance_id = {}}));
    // The 3.3 GiB that an idle card's own software takes are nobody's.
    EXPECT_EQ(busy.details, "npu-smi: NPU 3, chip 0");
    EXPECT_EQ(finding.devices[4].details, "npu-smi: NPU 4, chip 0");
    EXPECT_THAT(finding.devices[4].processes, IsEmpty());
}

TEST(Ascend, BothDiesOfA910CAreDevices) {
    const Finding finding = probe("910c-busy");
    ASSERT_EQ(finding.devices.size(), 16u);
    const Device& second = finding.devices[3];
    EXPECT_EQ(second.name, "Ascend 910C");
    EXPECT_EQ(second.chip, "910C");
    EXPECT_EQ(second.index, 3u);
    EXPECT_EQ(second.bus_address, "0000:9b:00.0");
    EXPECT_DOUBLE_EQ(second.utilization, 0.07);
    EXPECT_EQ(second.temperature_celsius, 45);
    ASSERT_EQ(second.processes.size(), 1u);
    EXPECT_EQ(second.processes[0].pid, 930242);
    EXPECT_EQ(second.details, "npu-smi: NPU 1, chip 1");
    // npu-smi left the process out that holds most of it.
    EXPECT_EQ(finding.devices[0].processes.size(), 8u);
    EXPECT_THAT(finding.devices[0].details, HasSubstr("59.1 GiB of its memory are held by what npu-smi does not list here: another container"));
}

TEST(Ascend, ChipsOf310PHaveNoHbm) {
    const Finding finding = probe("310p3-critical");
    ASSERT_EQ(finding.devices.size(), 8u);
    EXPECT_EQ(finding.devices[1].name, "Ascend 310P3");
    EXPECT_EQ(finding.devices[1].chip, "310P");
    EXPECT_EQ(finding.devices[1].memory_total_bytes, 46717 * kMebibyte);
    EXPECT_EQ(finding.devices[1].memory_free_bytes, (46717 - 1379) * kMebibyte);
    EXPECT_EQ(finding.devices[1].problem, "");
    EXPECT_EQ(finding.devices[4].problem, "npu-smi says Critical of its health; `npu-smi info -t health -i 4 -c 0` says why");
    EXPECT_EQ(finding.devices[7].details, "npu-smi: NPU 5, chip 1");
    const Finding in_container = probe("310p3-in-container");
    ASSERT_EQ(in_container.devices.size(), 2u);
    EXPECT_EQ(in_container.devices[1].index, 1u) << "counted: npu-smi's own number is 1792";
    EXPECT_EQ(in_container.devices[1].details, "npu-smi: NPU 1792, chip 1");
}

TEST(Ascend, FirstGenerationsHaveHbmBesideTheirMemory) {
    const Finding finding = probe("910a-warning");
    ASSERT_EQ(finding.devices.size(), 8u);
    EXPECT_EQ(finding.devices[0].name, "Ascend 910A") << "the table's name is withheld, the mapping's is not";
    EXPECT_EQ(finding.devices[0].chip, "910A");
    EXPECT_EQ(finding.devices[0].memory_total_bytes, 32 * kGibibyte);
    EXPECT_EQ(finding.devices[0].processes.size(), 4u);
    EXPECT_EQ(finding.devices[0].processes[0].name, "hlt_host_devmm_");
    EXPECT_THAT(finding.devices[3].problem, HasSubstr("Warning"));
    EXPECT_THAT(probe("910a-idle").devices[1], testing::Field(&Device::driver_version, "22.0.3.1"));
}

TEST(Ascend, TheLogicIdIsTheIndexAndTheControllerIsNoDevice) {
    for (const char* name : {"310-four-chips", "310-mcu"}) {
        const Finding finding = probe(name);
        ASSERT_EQ(finding.devices.size(), 4u) << name;
        for (uint32_t i = 0; i < 4; ++i) {
            EXPECT_EQ(finding.devices[i].index, i);
            EXPECT_EQ(finding.devices[i].chip, "310");
            EXPECT_EQ(finding.devices[i].memory_total_bytes, 8 * kGibibyte);
        }
    }
    RecordedCase tools("ascend/910a-idle");   // -m may know another order than the table
    const std::string head = "NPU ID    Chip ID    Chip Logic ID    Chip Name\n0    0    1    Ascend 910A\n";
    tools.outputs()["npu-smi_info_-m"].text = head + "1    0    0    Ascend 910A\n";
    const Finding finding = kAscend.probe(tools);
    ASSERT_EQ(finding.devices.size(), 2u);
    EXPECT_EQ(finding.devices[0].index, 0u);
    EXPECT_EQ(finding.devices[0].bus_address, "0000:db:00.0");
    tools.outputs()["npu-smi_info_-m"].text = head + "1    0    1    Ascend 910A\n";
    EXPECT_EQ(kAscend.probe(tools).devices[0].bus_address, "0000:61:00.0") << "two of one number: counted instead";
}

TEST(Ascend, InAContainer) {
    const Finding finding = probe("910b4-in-container");
    ASSERT_EQ(finding.devices.size(), 1u);
    EXPECT_EQ(finding.devices[0].memory_total_bytes, 32 * kGibibyte);
    EXPECT_EQ(finding.devices[0].runtime_version, "CANN 8.0.RC3");
    RecordedCase tools("ascend/910b4-in-container");
    std::string& text = tools.outputs()["npu-smi_info"].text;
    text.replace(text.find("2773 /"), 6, "29773/");
    text += "[WARNING]The driver package may not be completely installed, which may cause function abnormal. Please reinstall it.\n";
    EXPECT_THAT(kAscend.probe(tools).note, HasSubstr("npu-smi warns: The driver package may not be completely installed"));
    EXPECT_THAT(kAscend.probe(tools).devices[0].details, HasSubstr("; 29.1 GiB of its memory are held by what npu-smi does not list here"));
}

TEST(Ascend, Links) {
    const Finding finding = probe("910b1-links");
    ASSERT_EQ(finding.devices.size(), 3u);
    EXPECT_THAT(finding.devices[2].links, testing::ElementsAre(DeviceLink{.to = 0, .kind = "HCCS"}, DeviceLink{.to = 1, .kind = "HCCS"}))
        << "NPU 7 is the third here; what is not here is left out";
}

TEST(Ascend, SaysThatAnotherContainerHoldsTheNpusAndWhatToDo) {
    const Finding finding = probe("used-by-another-container");
    const auto says = AllOf(HasSubstr("another container or process holds the NPUs"), HasSubstr("-8020"), HasSubstr("/proc/uda/namespace_node"),
                            HasSubstr("--privileged"));
    EXPECT_THAT(finding.note, says);
    ASSERT_EQ(finding.devices.size(), 2u) << "of /dev/davinci4 and 5";
    EXPECT_EQ(finding.devices[1].index, 1u);
    EXPECT_EQ(finding.devices[1].details, "/dev/davinci5");
    EXPECT_EQ(finding.devices[1].driver_version, "24.1.rc1");
    EXPECT_THAT(finding.devices[1].problem, says);
}

TEST(Ascend, SaysWhyItFindsNone) {
    EXPECT_THAT(probe("not-permitted").note, AllOf(HasSubstr("-8005"), HasSubstr("HwHiAiUser")));
    RecordedCase tools("ascend/not-permitted");
    const auto note = [&](std::string text) {
        tools.outputs()["npu-smi_info"].text = std::move(text);
        const Finding finding = kAscend.probe(tools);
        EXPECT_THAT(finding.devices, IsEmpty());
        return finding.note;
    };
    EXPECT_THAT(note("dcmi module initialize failed. ret is -8008\n"), HasSubstr("lspci -d 19e5:"));
    EXPECT_THAT(note("DrvMngGetConsoleLogLevel failed. (ret=4)\nnpu get board type failed. ret is -9005\n"), HasSubstr("/usr/local/dcmi"));
    EXPECT_THAT(note("npu-smi: error while loading shared libraries: libdrvdsmi_host.so"), HasSubstr("libdrvdsmi_host.so"));
    EXPECT_EQ(note("Segmentation fault\n"), "npu-smi names no NPU; npu-smi said: Segmentation fault");
    EXPECT_EQ(note(""), "npu-smi names no NPU; npu-smi said nothing");
    EXPECT_THAT(note(std::string("\x00|\xff|\n|||||\n+=|=+\n", 18)), HasSubstr("names no NPU"));
    tools.outputs().clear();
    EXPECT_THAT(kAscend.probe(tools).note, HasSubstr("no npu-smi"));
    EXPECT_FALSE(kAscend.present(tools));
    EXPECT_STREQ(kAscend.absent, "no /dev/davinci0, and npu-smi is not installed");
    RecordedCase with_files("ascend/used-by-another-container");
    with_files.outputs().clear();
    EXPECT_TRUE(kAscend.present(with_files));
}

// The 950's form, after Huawei's source: one chip an NPU, more cells, and "NPU Util(%)".
TEST(Ascend, TheFormOfThe950) {
    RecordedCase tools("ascend/not-permitted");
    tools.outputs()["npu-smi_info"].text =
        "| npu-smi 26.0.rc2                         Version: 26.0.rc2                              |\n"
        "| NPU ID | Name             | Health        | Power(W)    Temp(C)           Hugepages-Usage(page) |\n"
        "|        |                  | Bus-Id        | NPU Util(%) Memory-Usage(MB)  HBM-Usage(MB)         |\n"
        "| 3      | Ascend950PR      | OK            | 210.1       41                0     / 0             |\n"
        "|        |                  | 0000:C1:00.0  | 12          0    / 0          2048  / 114688        |\n";
    const Finding finding = kAscend.probe(tools);
    ASSERT_EQ(finding.devices.size(), 1u);
    EXPECT_EQ(finding.devices[0].chip, "950");
    EXPECT_EQ(finding.devices[0].problem, "");
    EXPECT_EQ(finding.devices[0].memory_total_bytes, 112 * kGibibyte);
    EXPECT_DOUBLE_EQ(finding.devices[0].utilization, 0.12);
    EXPECT_THAT(finding.devices[0].details, Not(HasSubstr("held by")));
}

}  // namespace
}  // namespace gantry::devices
