#include "devices/npu_smi.h"

#include <algorithm>

#include "devices/text.h"

namespace gantry::devices::npu_smi {
namespace {

using Names = std::vector<std::vector<std::string>>;   // of a header line, a list a cell

std::optional<uint32_t> small_number(std::string_view text) {
    const std::optional<uint64_t> number = whole_number(text);
    return number && *number < 1'000'000 ? std::optional(static_cast<uint32_t>(*number)) : std::nullopt;
}

Names names_in(const std::vector<std::string_view>& parts) {
    Names names;
    for (const std::string_view part : parts) {
        if (part == "NPU ID") {
            names.push_back({"NPU"});
            continue;
        }
        std::vector<std::string> in_cell;
        for (const std::string_view word : words(part)) {
            if (word == "Util(%)" && !in_cell.empty()) {
                in_cell.back() = "AICore(%)";   // the 950's "NPU Util(%)"
            } else {
                in_cell.emplace_back(word);
            }
        }
        names.push_back(std::move(in_cell));
    }
    return names;
}

Row row_of(const Names& names, const std::vector<std::string_view>& parts) {
    Row row;
    for (size_t cell = 0; cell < names.size() && cell < parts.size(); ++cell) {
        const std::vector<std::string> found = fields(parts[cell]);
        for (size_t i = 0; i < names[cell].size() && i < found.size(); ++i) {
            row[names[cell][i]] = found[i];
        }
        for (size_t i = names[cell].size(); i < found.size() && !names[cell].empty(); ++i) {
            row[names[cell].back()] += " " + found[i];   // the last one may be of several words
        }
    }
    return row;
}

// | NPU     Chip  | Process id | Process name | Process memory(MB) |
void add_process(Report& report, const std::vector<std::string_view>& parts) {
    const std::vector<std::string_view> where = words(parts[0]);
    const std::optional<uint32_t> npu = where.empty() ? std::nullopt : small_number(where[0]);
    const std::optional<uint32_t> chip = where.size() < 2 ? std::optional(0u) : small_number(where[1]);
    const std::optional<uint64_t> pid = whole_number(parts[1]);
    const std::optional<uint64_t> memory = whole_number(parts[3]);
    for (Chip& of : report.chips) {
        if (npu == of.npu && chip == of.chip && pid && memory && *memory < (1u << 24)) {
            of.processes.push_back({.pid = static_cast<int64_t>(*pid), .name = readable(parts[2], 64), .memory_bytes = *memory * kMebibyte,
                                    .instance_id = {}});
        }
    }
}

class ReportReader {
public:
    Report read(std::string_view text) {
        for (const std::string_view line : lines(text)) {
            const std::vector<std::string_view> parts = cells(line);
            if (report_.version.empty() && contains(line, "npu-smi") && contains(line, "Version:")) {
                report_.version = readable(word_after(line, "Version:"), 64);
            } else if (line.substr(0, 9) == "[WARNING]") {
                report_.warning = "npu-smi warns: " + readable(line.substr(9));
            } else if (contains(line, "Process id")) {
                finish_chip();
                processes_ = true;
            } else if (contains(line, "Health") && contains(line, "NPU")) {
                first_names_ = names_in(parts);
            } else if (contains(line, "Bus-Id")) {
                second_names_ = names_in(parts);
                report_.has_physical_ids = contains(line, "Phy-ID");
            } else if (processes_ && parts.size() >= 4) {
                add_process(report_, parts);
            } else if (!processes_ && parts.size() >= 3 && !first_names_.empty()) {
                add_row(parts);
            }
        }
        finish_chip();
        std::stable_sort(report_.chips.begin(), report_.chips.end(),
                         [](const Chip& a, const Chip& b) { return std::pair(a.npu, a.chip) < std::pair(b.npu, b.chip); });
        return std::move(report_);
    }

private:
    void add_row(const std::vector<std::string_view>& parts) {
        const size_t bus_cell = second_names_.size() < 2 ? 1 : second_names_.size() - 2;
        const std::string_view bus = bus_cell < parts.size() ? parts[bus_cell] : parts[1];
        if (contains(bus, ":") || (half_ && bus == "NA")) {
            if (half_) {
                half_->second = row_of(second_names_, parts);
                half_->chip = small_number(field(half_->second, "Chip")).value_or(0);
                finish_chip();
            }
            return;
        }
        finish_chip();
        Chip chip;
        chip.first = row_of(first_names_, parts);
        if (const std::optional<uint32_t> npu = small_number(field(chip.first, "NPU")); npu && !field(chip.first, "Health").empty()) {
            chip.npu = *npu;
            half_ = std::move(chip);
        }
    }

    void finish_chip() {
        if (half_) {
            report_.chips.push_back(std::move(*half_));
            half_.reset();
        }
    }

    Report report_;
    Names first_names_;
    Names second_names_;
    std::optional<Chip> half_;   // its first line is read
    bool processes_ = false;
};

}  // namespace

Report read_report(std::string_view text) { return ReportReader().read(text); }

// NPU ID    Chip ID    Chip Logic ID    [Chip Phy-ID]    Chip Name
Places read_places(std::string_view text) {
    Places places;
    std::vector<std::string_view> names;
    for (const std::string_view line : lines(text)) {
        const std::vector<std::string_view> values = columns(line);
        if (contains(line, "Chip Logic ID")) {
            names = values;
            continue;
        }
        Row row;
        for (size_t i = 0; i < names.size() && i < values.size(); ++i) {
            row[std::string(names[i])] = readable(values[i], 64);
        }
        const std::optional<uint32_t> npu = small_number(field(row, "NPU ID"));
        const std::optional<uint32_t> chip = small_number(field(row, "Chip ID"));
        const std::optional<uint32_t> logic_id = small_number(field(row, "Chip Logic ID"));
        if (npu && chip && logic_id) {   // the card's own controller, "Mcu", has none: "-"
            places[{*npu, *chip}] = Place{*logic_id, field(row, "Chip Name")};
        }
    }
    return places;
}

std::string field(const Row& row, std::string_view name) {
    const auto found = row.find(name);
    return found == row.end() ? "" : found->second;
}

}  // namespace gantry::devices::npu_smi
