#pragma once
// What npu-smi, the tool of Huawei's Ascend driver, prints: its table of chips, of processes and of the chips' numbers. What it calls an
// NPU is a card of one chip or two. The tables differ by driver (20 to 26) and by chip, so cells are read by the names in the two header
// lines above them:
//   910A, 910B   | NPU   Name | Health | Power(W) Temp(C) Hugepages-Usage(page) |
//                | Chip       | Bus-Id | AICore(%) Memory-Usage(MB) HBM-Usage(MB) |
//   910C         | Chip Phy-ID | …        two chips a card, both named "Ascend910"
//   310, 310P    | Chip Device | Bus-Id | AICore(%) Memory-Usage(MB) |      one or more chips a card, no HBM
//   950          | NPU ID | Name | Health | …   and below   |    |    | Bus-Id | NPU Util(%) Memory-Usage(MB) …
// The forms are those of tests/data/devices/ascend, the 950's and the words of Health those of npu-smi's source, which is public. Pure.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "domain/device.h"

namespace gantry::devices::npu_smi {

using Row = std::map<std::string, std::string, std::less<>>;     // name in the header -> what stands there

struct Chip {
    uint32_t npu = 0;
    uint32_t chip = 0;
    Row first;       // of the NPU's line
    Row second;      // of the chip's line; empty: the answer ends before it
    std::vector<DeviceProcess> processes;
};

struct Report {
    std::string version;
    std::string warning;             // npu-smi's own, below the tables
    bool has_physical_ids = false;   // only printed for the 910C, whose chips have no name of their own
    std::vector<Chip> chips;         // by NPU and chip
};

struct Place {
    uint32_t logic_id = 0;           // what ASCEND_RT_VISIBLE_DEVICES takes
    std::string name;
};
using Places = std::map<std::pair<uint32_t, uint32_t>, Place>;   // by NPU and chip

Report read_report(std::string_view text);   // `npu-smi info`
Places read_places(std::string_view text);   // `npu-smi info -m`
std::string field(const Row& row, std::string_view name);   // empty: there is none

}  // namespace gantry::devices::npu_smi
