#pragma once
// What this machine has. A prober a vendor, a file each; here: the CPU. Threads: any; may read /proc and /sys.

#include <string>
#include <vector>

#include "domain/device.h"

namespace gantry::devices {

struct ProbeOutcome {
    std::vector<Device> devices;
    std::vector<std::string> notes;   // "nvidia: libnvidia-ml.so.1 is not installed": why a prober found nothing
};
ProbeOutcome probe();

}  // namespace gantry::devices
