// Iluvatar CoreX, as `ixsmi` shows it: nvidia-smi's table, two lines a GPU. A board of two chips (BI-V150, MR-V100 DUO) is two GPUs.
//   | 0    Iluvatar BI-V150    | 00000000:13:00.0     | 1500MHz   1600MHz    |
//   | 0%   32C   P0 N/A / N/A  | 116MiB / 32768MiB    | 0%        Default    |
// CUDA_VISIBLE_DEVICES takes the number: it is the index. Where the table is not understood, `ixsmi --query-gpu` is asked.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "devices/text.h"

namespace gantry::devices {
namespace {

struct Reading {
    std::string driver;
    std::string runtime;
    std::vector<Device> devices;
};

Device device_named(uint64_t index, std::string_view name) {
    Device device;
    device.vendor = "iluvatar";
    device.index = static_cast<uint32_t>(index);
    device.name = readable(name, 64);
    device.chip = device.name.starts_with("Iluvatar ") ? device.name.substr(9) : device.name;
    return device;
}

void read_second_line(Device& device, const std::vector<std::string_view>& parts) {
    const std::vector<std::string_view> left = words(parts[0]);    // fan, temperature, state, power
    const std::vector<std::string_view> right = words(parts[2]);
    if (contains(parts[0], "65535W")) {   // all ones: its controller does not answer
        device.problem = "ixsmi reads 65535 W of it: the card does not answer; `ixsmi -r` resets it, else restart the machine";
    } else {
        device.temperature_celsius = left.size() < 2 ? std::nullopt : leading_number(left[1]);
        device.utilization = share(right.empty() ? std::nullopt : leading_number(right[0]));
    }
    set_memory(device, memory_usage(parts[1]), "ixsmi");
}

Reading read_table(std::string_view text) {
    Reading reading;
    bool processes = false;
    bool half = false;
    for (const std::string_view line : lines(text)) {
        const std::vector<std::string_view> parts = cells(line);
        if (reading.driver.empty() && contains(line, "Driver Version:")) {
            reading.driver = readable(word_after(line, "Driver Version:"), 64);
            const std::string cuda = readable(word_after(line, "CUDA Version:"), 64);
            reading.runtime = cuda.empty() || cuda == "N/A" ? "" : "CUDA " + cuda;
        } else if (contains(line, "Processes:")) {
            processes = true;
        } else if (processes && !parts.empty()) {
            add_process(reading.devices, parts[0]);
        } else if (parts.size() >= 3 && contains(parts[1], ":")) {
            const std::vector<std::string_view> left = words(parts[0]);
            const std::optional<uint64_t> index = left.empty() ? std::nullopt : whole_number(left[0]);
            if (index && *index < 4096) {
                reading.devices.push_back(device_named(*index, parts[0].substr(left[0].size())));
                reading.devices.back().bus_address = bus_address(parts[1]);
                reading.devices.back().problem = "ixsmi's answer ends in the middle of this GPU";
                half = true;
            }
        } else if (half && parts.size() >= 3) {
            reading.devices.back().problem.clear();
            read_second_line(reading.devices.back(), parts);
            half = false;
        }
    }
    return reading;
}

std::vector<Device> read_query(std::string_view text) {   // 0, Iluvatar MR-V50, 16384 MiB, 116 MiB, 0 %, 30 C
    std::vector<Device> devices;
    for (const std::string_view line : lines(text)) {
        std::vector<std::string_view> values;
        for (size_t start = 0; start <= line.size();) {
            const size_t end = std::min(line.find(',', start), line.size());
            values.push_back(trimmed(line.substr(start, end - start)));
            start = end + 1;
        }
        const std::optional<uint64_t> index = whole_number(values[0]);
        if (values.size() < 6 || !index || *index > 4096) {
            continue;
        }
        Device device = device_named(*index, values[1]);
        device.utilization = share(leading_number(values[4]));
        device.temperature_celsius = leading_number(values[5]);
        set_memory(device, memory_usage(std::string(values[3]) + " / " + std::string(values[2])), "ixsmi");
        devices.push_back(std::move(device));
    }
    return devices;
}

Finding probe(Tools& tools) {
    const Result<Tools::Output> output = tools.run({"ixsmi"});
    Finding finding;
    Reading reading = output.ok() ? read_table(output->text) : Reading();
    if (reading.devices.empty() && output.ok()) {
        const Result<Tools::Output> query = tools.run({"ixsmi", "--format=csv,noheader",
                                                       "--query-gpu=index,name,memory.total,memory.used,utilization.gpu,temperature.gpu"});
        reading.devices = query.ok() ? read_query(query->text) : std::vector<Device>();
    }
    for (Device& device : reading.devices) {
        device.driver_version = reading.driver;
        device.runtime_version = reading.runtime;
        device.numa_node = numa_node(tools, device.bus_address);
    }
    finding.devices = std::move(reading.devices);
    if (!output.ok() && output.error().code == ErrorCode::kNotFound) {
        finding.note = "there are Iluvatar GPUs but no ixsmi; install CoreX's driver, or map /usr/local/corex into the container";
    } else if (output.ok() && contains(output->text, "loading shared libraries")) {
        finding.note = fmt::format("ixsmi does not find its libraries ({}); set LD_LIBRARY_PATH=/usr/local/corex/lib64",
                                   said("ixsmi", output));
    } else if (finding.devices.empty()) {
        finding.note = fmt::format("ixsmi names no GPU; {}. Is the driver loaded (`lsmod | grep iluvatar`)?", said("ixsmi", output));
    }
    return finding;
}

bool present(Tools& tools) { return has_device_file(tools, "iluvatar") || tools.has_program("ixsmi"); }

}  // namespace

const Prober kIluvatar{"iluvatar", present, "no /dev/iluvatar0, and ixsmi is not installed", probe};

}  // namespace gantry::devices
