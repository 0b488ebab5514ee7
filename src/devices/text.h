#pragma once
// To read what vendors' tools print, and to say what they said. Takes any bytes and gives nothing rather than nonsense: no function
// here fails. Views point into the text that was given.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "devices/prober.h"
#include "domain/device.h"

namespace gantry::devices {

inline constexpr uint64_t kMebibyte = 1u << 20;

std::vector<std::string_view> lines(std::string_view text);
std::string_view trimmed(std::string_view text);
bool contains(std::string_view text, std::string_view part);
std::vector<std::string_view> words(std::string_view text);     // separated by white space
std::vector<std::string_view> columns(std::string_view line);   // separated by two spaces or more, or a tab: "NPU ID    Chip ID"
std::vector<std::string_view> cells(std::string_view line);     // between '|', trimmed; none where a line that starts with '|' is cut off
std::vector<std::string> fields(std::string_view text);         // words, but "65099/ 65536" and "0    / 0" are one: "65099/65536"

std::optional<uint64_t> whole_number(std::string_view text);    // digits only, below 10^15
std::optional<double> leading_number(std::string_view text);    // "45C": 45, "0 %": 0; "N/A" and "-": nothing
std::string_view word_after(std::string_view text, std::string_view label);   // "Version: 25.2.0 |", "Version:": "25.2.0"

// "662MiB", "80 GiB", "60032": of the unit that is named, else of `unit_bytes`. These tools write MB where they mean MiB.
std::optional<uint64_t> byte_size(std::string_view text, uint64_t unit_bytes = kMebibyte);

struct MemoryUsage {
    uint64_t used_bytes = 0;
    uint64_t total_bytes = 0;
};
// "3445 / 65536", "858/65536 MiB", "967 MiB/  4096 MiB", "662MiB(16384MiB)"
std::optional<MemoryUsage> memory_usage(std::string_view text, uint64_t unit_bytes = kMebibyte);
// The device's figures; what can't be is its problem, in `tool`'s name.
void set_memory(Device& device, const std::optional<MemoryUsage>& usage, std::string_view tool);
double share(std::optional<double> percent);   // 0..1
// A line of a table of processes: the device's number, what may stand before the process's, its number, its name, its memory.
void add_process(std::vector<Device>& devices, std::string_view row);

std::string size_text(uint64_t bytes);                                  // "3.2 GiB"
std::string readable(std::string_view text, size_t characters = 200);   // ASCII of one line, for a person
// What a tool said that gave no devices: "npu-smi ended with status 1: …", with what `run` says where it could not be asked.
std::string said(std::string_view tool, const Result<Tools::Output>& output);

// A table of links: a row and a column a device ("NPU0", "GPU0" for `label` "NPU", "GPU"), the kind of link in the cell.
std::map<uint32_t, std::vector<DeviceLink>> link_table(std::string_view text, std::string_view label);

// "00000000:8A:00.0" as /sys has it: "0000:8a:00.0"; empty for what is no PCI address.
std::string bus_address(std::string_view text);
std::optional<uint32_t> numa_node(Tools& tools, const std::string& bus_address);
// Is there a file in /dev of this name, or of this name and a number?
bool has_device_file(Tools& tools, std::string_view name);

}  // namespace gantry::devices
