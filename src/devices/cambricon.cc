// Cambricon MLU, as `cnmon` shows it: two lines a card. `cnmon info -j` would write a file into the working directory, so it is not used.
//   5.x  | Card  VF  Name       Firmware |               Bus-Id | Util        Ecc-Error |
//        | 0     /   MLU370-X8    v1.1.6 |         0000:39:00.0 | 0%                N/A |
//        |  0%   32C        106 W/ 250 W |     0 MiB/ 23374 MiB | N/A           Default |
//   1.x, 4.x: the second cell has "Inited Driver" and no address: | On            v4.6.9 |
// MLU_VISIBLE_DEVICES takes the card's number: it is the index.

#include <fmt/format.h>

#include <utility>

#include "devices/text.h"

namespace gantry::devices {
namespace {

struct Reading {
    std::string driver;
    std::vector<Device> devices;
};

// "0     /   MLU370-X8    v1.1.6": card, virtual function, name, firmware
bool read_first_line(Reading& reading, const std::vector<std::string_view>& parts) {
    const std::vector<std::string_view> left = words(parts[0]);
    const std::optional<uint64_t> index = left.size() < 3 ? std::nullopt : whole_number(left[0]);
    if (!index || *index > 4096) {
        return false;
    }
    Device device;
    device.vendor = "cambricon";
    device.index = static_cast<uint32_t>(*index);
    device.name = "Cambricon " + readable(left[2], 64);
    device.chip = readable(left[2].substr(0, left[2].find('-')), 32);
    device.partition = left[1] == "/" ? "" : fmt::format("card {} function {}", *index, readable(left[1], 16));
    device.bus_address = bus_address(parts[1]);
    const std::vector<std::string_view> middle = words(parts[1]);
    if (middle.size() == 2 && reading.driver.empty()) {
        reading.driver = readable(middle[1], 64);
    }
    device.problem = !middle.empty() && middle[0] == "Off" ? "cnmon says that it is not initialised: is the driver loaded?"
                                                           : "cnmon's answer ends in the middle of this card";
    const std::vector<std::string_view> right = words(parts[2]);
    device.utilization = share(right.empty() ? std::nullopt : leading_number(right[0]));
    reading.devices.push_back(std::move(device));
    return true;
}

void read_second_line(Device& device, const std::vector<std::string_view>& parts) {
    const std::vector<std::string_view> left = words(parts[0]);   // fan, temperature, power
    device.temperature_celsius = left.size() < 2 ? std::nullopt : leading_number(left[1]);
    if (contains(device.problem, "in the middle")) {
        device.problem.clear();
    }
    set_memory(device, memory_usage(parts[1]), "cnmon");
}

Reading read_answer(std::string_view text) {
    Reading reading;
    bool processes = false;
    bool half = false;
    for (const std::string_view line : lines(text)) {
        const std::vector<std::string_view> parts = cells(line);
        if (contains(line, "CNMON") && contains(line, "Driver ")) {
            reading.driver = readable(word_after(line, "Driver "), 64);
        } else if (contains(line, "Processes:")) {
            processes = true;
        } else if (processes && !parts.empty()) {
            add_process(reading.devices, parts[0]);   // 0     /   12345   python3     1024 MiB
        } else if (parts.size() < 3) {
            continue;
        } else if (half) {
            read_second_line(reading.devices.back(), parts);
            half = false;
        } else {
            half = read_first_line(reading, parts);
        }
    }
    return reading;
}

Finding probe(Tools& tools) {
    const Result<Tools::Output> output = tools.run({"cnmon"});
    Finding finding;
    Reading reading = output.ok() ? read_answer(output->text) : Reading();
    for (Device& device : reading.devices) {
        device.driver_version = reading.driver;
        device.numa_node = numa_node(tools, device.bus_address);
    }
    finding.devices = std::move(reading.devices);
    if (!output.ok() && output.error().code == ErrorCode::kNotFound) {
        finding.note = "there are Cambricon cards but no cnmon; install the driver, or map /usr/bin/cnmon into the container";
    } else if (finding.devices.empty()) {
        finding.note = fmt::format("cnmon names no card; {}. Is the driver loaded (`lsmod | grep cambricon`), and are /dev/cambricon_ctl "
                                   "and /dev/cambricon_dev0… there?", said("cnmon", output));
    }
    return finding;
}

bool present(Tools& tools) { return has_device_file(tools, "cambricon_dev") || tools.has_program("cnmon"); }

}  // namespace

const Prober kCambricon{"cambricon", present, "no /dev/cambricon_dev0, and cnmon is not installed", probe};

}  // namespace gantry::devices
