#include "devices/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace gantry::devices {
namespace {

constexpr std::string_view kSpace = " \t\r\n\v\f";

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// Takes a number, and the unit behind it where there is one, from the front of `text`.
std::optional<uint64_t> take_bytes(std::string_view& text, uint64_t unit_bytes) {
    text = trimmed(text);
    size_t digits = 0;
    while (digits < text.size() && is_digit(text[digits])) {
        ++digits;
    }
    const std::optional<uint64_t> number = whole_number(text.substr(0, digits));
    if (!number) {
        return std::nullopt;
    }
    text = trimmed(text.substr(digits));
    size_t letters = 0;
    while (letters < text.size() && is_letter(text[letters])) {
        ++letters;
    }
    const std::string_view unit = text.substr(0, letters);
    text = trimmed(text.substr(letters));
    if (unit == "B") {
        unit_bytes = 1;
    } else if (unit == "KiB" || unit == "KB") {
        unit_bytes = 1u << 10;
    } else if (unit == "MiB" || unit == "MB") {
        unit_bytes = kMebibyte;
    } else if (unit == "GiB" || unit == "GB") {
        unit_bytes = 1u << 30;
    } else if (!unit.empty()) {
        return std::nullopt;
    }
    constexpr uint64_t kMost = uint64_t{1} << 53;   // 8 PiB, and a double holds it
    return *number <= kMost / unit_bytes ? std::optional(*number * unit_bytes) : std::nullopt;
}

// "NPU12": 12
std::optional<uint32_t> numbered(std::string_view word, std::string_view label) {
    if (word.size() <= label.size() || word.substr(0, label.size()) != label) {
        return std::nullopt;
    }
    const std::optional<uint64_t> number = whole_number(word.substr(label.size()));
    return number && *number < 4096 ? std::optional(static_cast<uint32_t>(*number)) : std::nullopt;
}

}  // namespace

std::vector<std::string_view> lines(std::string_view text) {
    std::vector<std::string_view> found;
    while (!text.empty()) {
        const size_t end = std::min(text.find('\n'), text.size());
        std::string_view line = text.substr(0, end);
        if (!line.empty() && line.back() == '\r') {
            line.remove_suffix(1);
        }
        found.push_back(line);
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return found;
}

std::string_view trimmed(std::string_view text) {
    const size_t start = text.find_first_not_of(kSpace);
    return start == std::string_view::npos ? std::string_view() : text.substr(start, text.find_last_not_of(kSpace) - start + 1);
}

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

std::vector<std::string_view> words(std::string_view text) {
    std::vector<std::string_view> found;
    for (text = trimmed(text); !text.empty(); text = trimmed(text)) {
        const size_t end = std::min(text.find_first_of(kSpace), text.size());
        found.push_back(text.substr(0, end));
        text.remove_prefix(end);
    }
    return found;
}

std::vector<std::string_view> columns(std::string_view line) {
    std::vector<std::string_view> found;
    for (line = trimmed(line); !line.empty(); line = trimmed(line)) {
        const size_t end = std::min({line.find("  "), line.find('\t'), line.size()});
        found.push_back(trimmed(line.substr(0, end)));
        line.remove_prefix(end);
    }
    return found;
}

std::vector<std::string_view> cells(std::string_view line) {
    std::vector<std::string_view> found;
    line = trimmed(line);
    const bool framed = !line.empty() && line.front() == '|';
    if (!contains(line, "|") || (framed && (line.size() == 1 || line.back() != '|'))) {
        return found;
    }
    line.remove_prefix(framed ? 1 : 0);
    while (!line.empty()) {   // what stands behind the last '|' is a cell if it is anything
        const size_t end = std::min(line.find('|'), line.size());
        found.push_back(trimmed(line.substr(0, end)));
        line.remove_prefix(std::min(end + 1, line.size()));
    }
    return found;
}

std::vector<std::string> fields(std::string_view text) {
    std::vector<std::string> found;
    bool open = false;   // the last one waits for what stands behind its '/'
    for (const std::string_view word : words(text)) {
        if (!found.empty() && (open || word.front() == '/')) {
            found.back() += word;
        } else {
            found.emplace_back(word);
        }
        open = word.back() == '/';
    }
    return found;
}

std::optional<uint64_t> whole_number(std::string_view text) {
    if (text.empty() || text.size() > 15 || !std::all_of(text.begin(), text.end(), is_digit)) {
        return std::nullopt;
    }
    uint64_t number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

std::optional<double> leading_number(std::string_view text) {
    text = trimmed(text);
    const size_t sign = !text.empty() && text.front() == '-' ? 1 : 0;
    if (text.size() <= sign || !is_digit(text[sign])) {
        return std::nullopt;   // from_chars would take "inf" and "nan"
    }
    double number = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    return parsed.ec == std::errc() && std::isfinite(number) ? std::optional(number) : std::nullopt;
}

std::string_view word_after(std::string_view text, std::string_view label) {
    const size_t start = text.find(label);
    if (start == std::string_view::npos) {
        return {};
    }
    const std::vector<std::string_view> found = words(text.substr(start + label.size()));
    return found.empty() || found.front() == "|" ? std::string_view() : found.front();
}

std::optional<MemoryUsage> memory_usage(std::string_view text, uint64_t unit_bytes) {
    const std::string_view behind = text.substr(0, text.find_last_not_of(") \t") + 1);
    // The unit may stand behind the second figure only: "858/65536 MiB".
    if (behind.size() >= 3 && behind.substr(behind.size() - 3) == "GiB") {
        unit_bytes = 1u << 30;
    }
    const std::optional<uint64_t> used = take_bytes(text, unit_bytes);
    if (!used || text.empty() || (text.front() != '/' && text.front() != '(')) {
        return std::nullopt;
    }
    const bool in_brackets = text.front() == '(';
    text.remove_prefix(1);
    const std::optional<uint64_t> total = take_bytes(text, unit_bytes);
    if (!total || text != (in_brackets ? ")" : "")) {
        return std::nullopt;
    }
    return MemoryUsage{.used_bytes = *used, .total_bytes = *total};
}

void set_memory(Device& device, const std::optional<MemoryUsage>& usage, std::string_view tool) {
    if (!usage || usage->total_bytes == 0) {
        if (device.problem.empty()) {
            device.problem = fmt::format("{} does not say how much memory it has", tool);
        }
        return;
    }
    device.memory_total_bytes = usage->total_bytes;
    device.memory_free_bytes = usage->total_bytes - std::min(usage->used_bytes, usage->total_bytes);
    if (usage->used_bytes > usage->total_bytes && device.problem.empty()) {
        device.problem = fmt::format("{} says that {} of its {} of memory are used, which can't be", tool,
                                     size_text(usage->used_bytes), size_text(usage->total_bytes));
    }
}

std::optional<uint64_t> byte_size(std::string_view text, uint64_t unit_bytes) {
    const std::optional<uint64_t> bytes = take_bytes(text, unit_bytes);
    return text.empty() ? bytes : std::nullopt;
}

void add_process(std::vector<Device>& devices, std::string_view row) {
    const std::vector<std::string_view> found = words(row);
    size_t pid_at = 1;
    while (pid_at < found.size() && !whole_number(found[pid_at])) {
        ++pid_at;
    }
    if (found.size() < pid_at + 2) {
        return;
    }
    size_t name_end = found.size() - 1;
    std::optional<uint64_t> memory = byte_size(found.back());
    if (!memory && name_end > pid_at + 1) {   // "134 MiB"
        --name_end;
        memory = byte_size(std::string(found[name_end]) + std::string(found.back()));
    }
    std::string name;
    for (size_t i = pid_at + 1; i < name_end; ++i) {
        name += (name.empty() ? "" : " ") + std::string(found[i]);
    }
    const std::optional<uint64_t> index = whole_number(found[0]);
    for (Device& device : devices) {
        if (index == device.index && memory) {
            device.processes.push_back({.pid = static_cast<int64_t>(*whole_number(found[pid_at])), .name = readable(name, 64),
                                        .memory_bytes = *memory, .instance_id = {}});
        }
    }
}

double share(std::optional<double> percent) { return percent ? std::clamp(*percent / 100, 0.0, 1.0) : 0; }

std::string size_text(uint64_t bytes) {
    constexpr double kGibibyte = 1u << 30;
    return bytes >= kMebibyte * 1024 ? fmt::format("{:.1f} GiB", static_cast<double>(bytes) / kGibibyte)
                                     : fmt::format("{} MiB", bytes / kMebibyte);
}

std::string readable(std::string_view text, size_t characters) {
    std::string clean;
    for (const char c : trimmed(text).substr(0, characters)) {
        clean += c >= 0x20 && c < 0x7f ? c : c == '\t' ? ' ' : '?';
    }
    return clean;
}

std::string said(std::string_view tool, const Result<Tools::Output>& output) {
    if (!output.ok()) {
        return fmt::format("{}: {}", tool, readable(output.error().message));
    }
    std::string_view first;
    for (const std::string_view line : lines(output->text)) {
        if (!trimmed(line).empty()) {
            first = line;
            break;
        }
    }
    const std::string end = output->status == 0 ? "" : fmt::format(" ended with status {} and", output->status);
    return trimmed(first).empty() ? fmt::format("{}{} said nothing", tool, end)
                                  : fmt::format("{}{} said: {}", tool, end, readable(first));
}

std::map<uint32_t, std::vector<DeviceLink>> link_table(std::string_view text, std::string_view label) {
    std::map<uint32_t, std::vector<DeviceLink>> links;
    std::vector<uint32_t> heads;
    for (const std::string_view line : lines(text)) {
        const std::vector<std::string_view> row = words(line);
        const std::optional<uint32_t> from = row.empty() ? std::nullopt : numbered(row[0], label);
        if (!from) {
            continue;
        }
        if (heads.empty()) {
            for (const std::string_view word : row) {
                if (const std::optional<uint32_t> head = numbered(word, label)) {
                    heads.push_back(*head);
                }
            }
            continue;
        }
        for (size_t i = 0; i < heads.size() && i + 1 < row.size(); ++i) {
            if (heads[i] != *from && row[i + 1] != "X") {
                links[*from].push_back(DeviceLink{.to = heads[i], .kind = readable(row[i + 1], 16)});
            }
        }
    }
    return links;
}

std::string bus_address(std::string_view text) {
    text = trimmed(text);
    const size_t colon = text.find(':');
    if (colon == std::string_view::npos || colon < 4 || text.size() - colon != 8) {
        return {};
    }
    std::string address(text.substr(colon - 4));   // a domain of eight digits has four zeros first
    for (char& c : address) {
        c = c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
    }
    for (size_t i = 0; i < address.size(); ++i) {   // 0000:c1:00.0
        const char expected = i == 4 || i == 7 ? ':' : i == 10 ? '.' : '0';
        const bool hexadecimal = is_digit(address[i]) || (address[i] >= 'a' && address[i] <= 'f');
        if (expected == '0' ? !hexadecimal : address[i] != expected) {
            return {};
        }
    }
    return address;
}

std::optional<uint32_t> numa_node(Tools& tools, const std::string& bus_address) {
    if (bus_address.empty()) {
        return std::nullopt;
    }
    const Result<std::string> text = tools.read("/sys/bus/pci/devices/" + bus_address + "/numa_node");
    const std::optional<uint64_t> node = text.ok() ? whole_number(trimmed(*text)) : std::nullopt;   // "-1": there is none
    return node && *node < 4096 ? std::optional(static_cast<uint32_t>(*node)) : std::nullopt;
}

bool has_device_file(Tools& tools, std::string_view name) {
    for (const std::string& file : tools.list("/dev")) {
        if (file == name || numbered(file, name)) {
            return true;
        }
    }
    return false;
}

}  // namespace gantry::devices
