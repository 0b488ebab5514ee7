// Moore Threads, as `mthreads-gmi` shows it: three lines a GPU, their cells separated by '|' without a frame.
//   0    MTT S5000            |00000000:18:00.0    |0%    0MiB(81920MiB)
//        Physical      P0     |16x(16x)            |48C   YES
// MUSA_VISIBLE_DEVICES (in a container MTHREADS_VISIBLE_DEVICES) takes the ID: it is the index.

#include <fmt/format.h>

#include <utility>

#include "devices/text.h"

namespace gantry::devices {
namespace {

// The architecture that kernels are built for: torch_musa's scripts name it by the card.
std::string architecture(std::string_view name) {
    for (const auto& [card, architecture] : {std::pair("S80", "mp_21"), std::pair("S3000", "mp_21"), std::pair("S4000", "mp_22"),
                                             std::pair("S90", "mp_22"), std::pair("S5000", "mp_31")}) {
        if (contains(name, card)) {
            return architecture;
        }
    }
    return "";
}

struct Reading {
    std::string driver;
    std::vector<Device> devices;
};

void read_first_line(Reading& reading, const std::vector<std::string_view>& parts) {
    const std::vector<std::string_view> left = words(parts[0]);
    const std::vector<std::string_view> right = words(parts[2]);
    const std::optional<uint64_t> index = left.empty() ? std::nullopt : whole_number(left[0]);
    if (!index || *index > 4096) {
        return;
    }
    Device device;
    device.vendor = "mthreads";
    device.index = static_cast<uint32_t>(*index);
    device.name = readable(parts[0].substr(left[0].size()), 64);
    device.chip = architecture(device.name);
    device.bus_address = bus_address(parts[1]);
    device.utilization = share(right.empty() ? std::nullopt : leading_number(right[0]));
    set_memory(device, right.size() < 2 ? std::nullopt : memory_usage(right[1]), "mthreads-gmi");
    if (device.memory_total_bytes != 0 && !device.problem.empty()) {
        device.problem += "; Moore Threads names the IOMMU as the cause: turn it on in the firmware and for the kernel";
    }
    reading.devices.push_back(std::move(device));
}

Reading read_answer(std::string_view text) {
    Reading reading;
    bool processes = false;
    int line_of_device = 0;
    for (const std::string_view line : lines(text)) {
        const std::vector<std::string_view> parts = cells(line);
        if (reading.driver.empty() && contains(line, "Driver Version:")) {
            reading.driver = readable(word_after(line, "Driver Version:"), 64);
        } else if (trimmed(line) == "Processes:") {
            processes = true;
        } else if (processes) {
            add_process(reading.devices, line);   // 0    1123      /usr/lib/xorg/Xorg                134MiB
        } else if (parts.size() >= 3 && contains(parts[1], ":")) {
            read_first_line(reading, parts);
            line_of_device = 1;
        } else if (parts.size() >= 3 && line_of_device == 1 && !reading.devices.empty()) {
            const std::vector<std::string_view> right = words(parts[2]);
            reading.devices.back().temperature_celsius = right.empty() ? std::nullopt : leading_number(right[0]);
            const std::string kind = parts[0].empty() ? "" : readable(columns(parts[0])[0], 32);
            reading.devices.back().details = kind == "Physical" ? "" : kind;   // else a part of one that is shared out
            line_of_device = 2;
        }
    }
    return reading;
}

Finding probe(Tools& tools) {
    const Result<Tools::Output> output = tools.run({"mthreads-gmi"});
    Finding finding;
    Reading reading = output.ok() ? read_answer(output->text) : Reading();
    for (Device& device : reading.devices) {
        device.driver_version = reading.driver;
        device.numa_node = numa_node(tools, device.bus_address);
    }
    finding.devices = std::move(reading.devices);
    if (!output.ok() && output.error().code == ErrorCode::kNotFound) {
        finding.note = "there are Moore Threads GPUs but no mthreads-gmi; install the driver, or start the container with "
                       "--runtime mthreads (MT Container Toolkit)";
    } else if (finding.devices.empty()) {
        finding.note = fmt::format("mthreads-gmi names no GPU; {}. Is the driver loaded (`lsmod | grep mtgpu`), and this user in the "
                                   "groups render and video?", said("mthreads-gmi", output));
    }
    return finding;
}

bool present(Tools& tools) { return has_device_file(tools, "mtgpu.") || tools.has_program("mthreads-gmi"); }

}  // namespace

const Prober kMthreads{"mthreads", present, "no /dev/mtgpu.0, and mthreads-gmi is not installed", probe};

}  // namespace gantry::devices
