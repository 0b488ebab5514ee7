// MetaX, as `mx-smi`, `mx-smi -L` and `mx-smi topo -m` show it: two lines a GPU, in three forms by version, told apart by the header.
//   2.1  | GPU         NAME         | Bus-id | GPU-Util |             2.2 with "GPU-State" below, 2.2.8 with "Persist-M" behind NAME
//   2.2.9  | Board       Name | GPU   Persist-M | Bus-id | GPU-Util      sGPU-M |
// A board may carry two GPUs. CUDA_VISIBLE_DEVICES (MACA's CUDA front takes it too) takes the GPU's number: it is the index.

#include <fmt/format.h>

#include <utility>

#include "devices/text.h"

namespace gantry::devices {
namespace {

struct Reading {
    std::string driver;
    std::string runtime;
    std::vector<Device> devices;
};

// "MetaX C500" and "MXC500": "C500"
std::string chip_of(std::string_view name) {
    const std::vector<std::string_view> found = words(name);
    const std::string_view last = found.empty() ? std::string_view() : found.back();
    return readable(last.substr(0, 2) == "MX" && last.size() > 2 ? last.substr(2) : last, 32);
}

class AnswerReader {
public:
    Reading read(std::string_view text) {
        for (const std::string_view line : lines(text)) {
            const std::vector<std::string_view> parts = cells(line);
            if (contains(line, "Driver Version:")) {
                reading_.driver = readable(word_after(line, "Driver Version:"), 64);
            } else if (contains(line, "MACA Version:")) {
                reading_.runtime = "MACA " + readable(word_after(line, "MACA Version:"), 64);
            } else if (contains(line, "Bus-id")) {
                read_header(parts);
            } else if (contains(line, "Process:")) {
                processes_ = true;
            } else if (processes_ && !parts.empty()) {
                add_process(reading_.devices, parts[0]);
            } else if (bus_cell_ > 0 && parts.size() > bus_cell_) {
                read_row(parts);
            }
        }
        return std::move(reading_);
    }

private:
    void read_header(const std::vector<std::string_view>& parts) {
        bus_cell_ = 0;
        for (size_t cell = 1; cell < parts.size(); ++cell) {
            bus_cell_ = contains(parts[cell], "Bus-id") ? cell : bus_cell_;
        }
        persistence_ = bus_cell_ > 0 && contains(parts[0], "ersist");
    }

    void read_row(const std::vector<std::string_view>& parts) {
        const std::string_view behind = parts.size() > bus_cell_ + 1 ? parts[bus_cell_ + 1] : std::string_view();
        const std::vector<std::string_view> right = words(behind);
        if (contains(parts[bus_cell_], ":")) {
            // The GPU's number stands in the cell before the address, its name in the first one, behind a number of its own.
            const std::vector<std::string_view> left = words(parts[0]);
            const std::vector<std::string_view> before = words(parts[bus_cell_ - 1]);
            const std::optional<uint64_t> index = before.empty() ? std::nullopt : whole_number(before[0]);
            if (!index || *index > 4096 || left.empty()) {
                return;
            }
            std::string_view name = trimmed(parts[0].substr(left[0].size()));
            if (persistence_ && left.size() > 2) {   // "MetaX N260             Off"
                name = trimmed(name.substr(0, name.size() - left.back().size()));
            }
            Device device;
            device.vendor = "metax";
            device.index = static_cast<uint32_t>(*index);
            device.name = contains(name, "MetaX") ? readable(name, 64) : "MetaX " + readable(name, 64);
            device.chip = chip_of(name);
            device.bus_address = bus_address(parts[bus_cell_]);
            device.utilization = share(right.empty() ? std::nullopt : leading_number(right[0]));
            device.problem = "mx-smi's answer ends in the middle of this GPU";
            reading_.devices.push_back(std::move(device));
            half_ = true;
        } else if (half_) {
            read_second_line(reading_.devices.back(), parts, behind);
            half_ = false;
        }
    }

    void read_second_line(Device& device, const std::vector<std::string_view>& parts, std::string_view state) {
        for (size_t cell = 0; cell < bus_cell_; ++cell) {
            for (const std::string_view word : words(parts[cell])) {
                if (word.size() > 1 && word.back() == 'C' && whole_number(word.substr(0, word.size() - 1))) {
                    device.temperature_celsius = leading_number(word);
                }
            }
        }
        device.problem = state.empty() || state == "Available"
                             ? "" : fmt::format("mx-smi says {} of its state; `mx-smi --show-unavailable-reason` says why", readable(state, 64));
        set_memory(device, memory_usage(parts[bus_cell_]), "mx-smi");
    }

    Reading reading_;
    size_t bus_cell_ = 0;        // 0: no header yet
    bool persistence_ = false;   // the first cell ends with the persistence mode
    bool half_ = false;
    bool processes_ = false;
};

// GPU#0    MXC500      0000:08:00.0   Available (UUID: GPU-e702f06b-bbd6-bc06-5196-90a5554a24ba)
void add_identities(Tools& tools, std::vector<Device>& devices) {
    const Result<Tools::Output> output = tools.run({"mx-smi", "-L"});
    for (const std::string_view line : output.ok() ? lines(output->text) : std::vector<std::string_view>()) {
        const std::vector<std::string_view> found = words(line);
        const std::optional<uint64_t> index = found.empty() || found[0].substr(0, 4) != "GPU#" ? std::nullopt : whole_number(found[0].substr(4));
        const std::string_view uuid = word_after(line, "UUID:");
        for (Device& device : devices) {
            if (index == device.index) {
                device.uuid = readable(uuid.substr(0, uuid.find(')')), 64);
            }
        }
        if (const size_t at = line.find("Not Available"); at != std::string_view::npos && index && *index < 4096) {
            Device lost;
            lost.vendor = "metax";
            lost.index = static_cast<uint32_t>(*index);
            lost.name = "MetaX GPU";
            Device* known = nullptr;
            for (Device& device : devices) {
                known = device.index == lost.index ? &device : known;
            }
            Device& device = known != nullptr ? *known : devices.emplace_back(std::move(lost));
            device.problem = fmt::format("mx-smi says: {}", readable(line.substr(at), 120));
        }
    }
}

void add_links(Tools& tools, std::vector<Device>& devices) {
    const Result<Tools::Output> output = devices.size() > 1 ? tools.run({"mx-smi", "topo", "-m"}) : Result<Tools::Output>(not_found(""));
    if (output.ok()) {
        std::map<uint32_t, std::vector<DeviceLink>> links = link_table(output->text, "GPU");
        for (Device& device : devices) {
            device.links = links[device.index];
        }
    }
}

Finding probe(Tools& tools) {
    const Result<Tools::Output> output = tools.run({"mx-smi"});
    Finding finding;
    Reading reading = output.ok() ? AnswerReader().read(output->text) : Reading();
    if (output.ok()) {
        add_identities(tools, reading.devices);
    }
    for (Device& device : reading.devices) {
        device.driver_version = reading.driver;
        device.runtime_version = reading.runtime;
        device.numa_node = numa_node(tools, device.bus_address);
    }
    add_links(tools, reading.devices);
    finding.devices = std::move(reading.devices);
    if (!output.ok() && output.error().code == ErrorCode::kNotFound) {
        finding.note = "there are MetaX GPUs but no mx-smi; install the driver, or map /opt/mxdriver into the container";
    } else if (finding.devices.empty()) {
        finding.note = fmt::format("mx-smi names no GPU; {}. Is the driver loaded (`lsmod | grep metax`), and are /dev/mxcd and /dev/dri there?",
                                   said("mx-smi", output));
    }
    return finding;
}

bool present(Tools& tools) { return has_device_file(tools, "mxcd") || tools.has_program("mx-smi"); }

}  // namespace

const Prober kMetax{"metax", present, "no /dev/mxcd, and mx-smi is not installed", probe};

}  // namespace gantry::devices
