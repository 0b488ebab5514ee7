#include "devices/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gantry::devices {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Text, SplitsTables) {
    EXPECT_THAT(lines("a\r\nb\n\nc"), ElementsAre("a", "b", "", "c"));
    EXPECT_THAT(words("  0   310P3\t| "), ElementsAre("0", "310P3", "|"));
    EXPECT_THAT(columns("\tNPU ID     Chip ID  Chip Logic ID\tChip Name  "), ElementsAre("NPU ID", "Chip ID", "Chip Logic ID", "Chip Name"));
    EXPECT_THAT(cells("| 0     910B3   | OK     |   |"), ElementsAre("0     910B3", "OK", ""));
    EXPECT_THAT(cells("0  MTT S80  |0000:01:00.0 |0%"), ElementsAre("0  MTT S80", "0000:01:00.0", "0%"));
    EXPECT_THAT(cells("| 0     910B3   | OK   "), IsEmpty()) << "cut off";
    EXPECT_THAT(cells("+------+"), IsEmpty());
    EXPECT_THAT(cells("|"), IsEmpty());
    EXPECT_THAT(fields("271.1       41                0    / 0"), ElementsAre("271.1", "41", "0/0"));
    EXPECT_THAT(fields("55          0    / 0          65099/ 65536"), ElementsAre("55", "0/0", "65099/65536"));
    EXPECT_THAT(fields(""), IsEmpty());
}

TEST(Text, ReadsNumbers) {
    EXPECT_EQ(whole_number("0042"), 42u);
    EXPECT_EQ(whole_number("1234567890123456"), std::nullopt) << "no device, process or MiB has such a number";
    EXPECT_EQ(whole_number("12a"), std::nullopt);
    EXPECT_EQ(whole_number(""), std::nullopt);
    EXPECT_EQ(leading_number("45C"), 45);
    EXPECT_EQ(leading_number(" -3.5 W"), -3.5);
    EXPECT_EQ(leading_number("N/A"), std::nullopt);
    EXPECT_EQ(leading_number("nan"), std::nullopt);
    EXPECT_EQ(leading_number("-"), std::nullopt);
    EXPECT_EQ(word_after("| npu-smi 25.2.0   Version: 25.2.0      |", "Version:"), "25.2.0");
    EXPECT_EQ(word_after("| Version: |", "Version:"), "");
}

TEST(Text, ReadsMemory) {
    const auto mebibytes = [](const char* text) {
        const std::optional<MemoryUsage> usage = memory_usage(text);
        return usage ? std::pair(usage->used_bytes / kMebibyte, usage->total_bytes / kMebibyte) : std::pair(uint64_t{0}, uint64_t{0});
    };
    EXPECT_EQ(mebibytes("65099/ 65536"), std::pair(uint64_t{65099}, uint64_t{65536}));
    EXPECT_EQ(mebibytes("858/65536 MiB"), std::pair(uint64_t{858}, uint64_t{65536}));
    EXPECT_EQ(mebibytes("   967 MiB/  4096 MiB"), std::pair(uint64_t{967}, uint64_t{4096}));
    EXPECT_EQ(mebibytes("662MiB(16384MiB)"), std::pair(uint64_t{662}, uint64_t{16384}));
    EXPECT_EQ(mebibytes("1/2 GiB"), std::pair(uint64_t{1024}, uint64_t{2048}));
    for (const char* wrong : {"", "858", "858/", "x/5", "0 MiB/ xxxxx MiB", "662MiB(16384MiB", "5/999999999999999", "1 parsec/2"}) {
        EXPECT_EQ(memory_usage(wrong), std::nullopt) << wrong;
    }
    EXPECT_EQ(byte_size("60032"), 60032 * kMebibyte);
    EXPECT_EQ(byte_size("34359738368", 1), 34359738368u);
    EXPECT_EQ(byte_size("134 MiB x"), std::nullopt);
    EXPECT_EQ(size_text(uint64_t{3435973837}), "3.2 GiB");
    EXPECT_EQ(size_text(512 * kMebibyte), "512 MiB");
}

TEST(Text, MemoryThatCannotBeIsTheDevicesProblem) {
    Device device;
    set_memory(device, MemoryUsage{.used_bytes = 3u << 30, .total_bytes = 2u << 30}, "x-smi");
    EXPECT_EQ(device.memory_free_bytes, 0u);
    EXPECT_EQ(device.problem, "x-smi says that 3.0 GiB of its 2.0 GiB of memory are used, which can't be");
    Device unknown;
    set_memory(unknown, std::nullopt, "x-smi");
    EXPECT_EQ(unknown.problem, "x-smi does not say how much memory it has");
}

TEST(Text, WhatAPersonReadsIsOneLineOfAscii) {
    EXPECT_EQ(readable(" a\tb\x1b[31m\xff "), "a b?[31m?");
    EXPECT_EQ(readable("abcdef", 3), "abc");
    EXPECT_EQ(said("x-smi", Tools::Output{.status = 3, .text = "\n  no\nlicence"}), "x-smi ended with status 3 and said: no");
    EXPECT_EQ(said("x-smi", Tools::Output{.status = 0, .text = ""}), "x-smi said nothing");
    EXPECT_EQ(said("x-smi", unavailable("it did not end within 5 s")), "x-smi: it did not end within 5 s");
}

TEST(Text, ReadsPciAddresses) {
    EXPECT_EQ(bus_address("0000:C1:00.0"), "0000:c1:00.0");
    EXPECT_EQ(bus_address("00000000:8A:00.0"), "0000:8a:00.0");
    for (const char* wrong : {"", "NA", "C1:00.0", "0000:C1:00", "0000:C1:00.00", "../../../etc", "0000:../00.0"}) {
        EXPECT_EQ(bus_address(wrong), "") << wrong;
    }
}

TEST(Text, ReadsProcessesOfSeveralWords) {
    std::vector<Device> devices(2);
    devices[1].index = 1;
    add_process(devices, "1     /   48121  python3 serve.py      20400 MiB");
    add_process(devices, "0                    15652         python                       60032");
    for (const char* wrong : {"", "no process found", "1 2", "7 15652 python 60032", "0 15652 python much", "1 1 1"}) {
        add_process(devices, wrong);
    }
    ASSERT_EQ(devices[1].processes.size(), 2u);   // "1 1 1" names none
    EXPECT_EQ(devices[1].processes[0].pid, 48121);
    EXPECT_EQ(devices[1].processes[0].name, "python3 serve.py");
    EXPECT_EQ(devices[1].processes[0].memory_bytes, 20400 * kMebibyte);
    ASSERT_EQ(devices[0].processes.size(), 1u);
    EXPECT_EQ(devices[0].processes[0].memory_bytes, 60032 * kMebibyte);
}

TEST(Text, ReadsLinks) {
    const auto links = link_table("   GPU0 GPU2  NIC0  CPU Affinity\nGPU0 X NV12 PIX 0-3\nGPU2 NV12 X SYS 4-7\nNIC0 PIX SYS X", "GPU");
    ASSERT_EQ(links.size(), 2u);
    EXPECT_THAT(links.at(0), ElementsAre(DeviceLink{.to = 2, .kind = "NV12"}));
    EXPECT_THAT(links.at(2), ElementsAre(DeviceLink{.to = 0, .kind = "NV12"}));
    EXPECT_TRUE(link_table("GPU99999999999 X", "GPU").empty());
}

}  // namespace
}  // namespace gantry::devices
