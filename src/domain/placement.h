#pragma once
// Where an instance is: the devices that it may use and how much of each is booked for it. Decided by placement, kept with the
// instance, given to the backend that starts it.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/ids.h"

namespace gantry {

// Which device, as people write it: "nvidia/0", "cpu/0".
struct DeviceName {
    std::string vendor{};
    uint32_t index = 0;

    auto operator<=>(const DeviceName&) const = default;
};
std::string to_string(const DeviceName& name);

// What is booked on one device. The machine's memory is the device cpu/0.
struct DeviceClaim {
    WorkerId worker_id;
    DeviceName device;
    uint64_t bytes = 0;
    uint32_t layers = 0;        // of the model, where a backend splits it by layers
    double memory_fraction = 0; // of the device's whole memory, where a backend takes its share as one (vLLM, SGLang); else 0

    bool operator==(const DeviceClaim&) const = default;
};

struct Placement {
    std::vector<DeviceClaim> claims{};   // accelerators in the order of their ranks, then cpu/0; the first one's worker leads
    uint32_t ranks = 1;                  // devices that compute together; 1 on a CPU, but where several workers' compute together
    uint32_t context_tokens = 0;         // what one sequence may use; 0: the backend decides by itself
    uint32_t sequences = 0;              // for which there is room at that length; 0: the backend decides
    uint32_t layers = 0;                 // of the model
    uint32_t layers_on_devices = 0;      // less than `layers`: the rest stays in memory (partial offload); 0 on a CPU
    uint64_t kv_bytes = 0;               // of the claims, what is for keys and values, all ranks together; 0: nobody counted them
    uint64_t estimate_bytes = 0;         // before calibration and rounding, over all devices: what measured peaks are held against

    bool empty() const { return claims.empty(); }
    WorkerId leader() const { return claims.empty() ? WorkerId{} : claims.front().worker_id; }
    // Whose devices it uses, each once: the leading one, then the others in the order of their ranks.
    std::vector<WorkerId> workers() const;
    bool spans_workers() const;
    Placement on(const WorkerId& worker) const;   // with the claims on that one alone
    bool operator==(const Placement&) const = default;
};

enum class PlacementStrategy {
    kSpread,    // to the devices with the most room: instances keep out of each other's way
    kBinpack,   // to the devices with the least room that suffices: large devices stay free for large models
};
const char* to_string(PlacementStrategy strategy);
bool from_text(const std::string& text, PlacementStrategy& strategy);   // false: there is none of that name

// What a deployment says about where its instances may go. Empty: anywhere.
struct PlacementOptions {
    PlacementStrategy strategy = PlacementStrategy::kSpread;
    std::vector<std::string> devices{};                   // by hand: "WORKER/VENDOR/INDEX", or "VENDOR/INDEX" of any worker
    uint32_t device_count = 0;                            // for each instance; 0: one, and more only where one does not do
    std::vector<std::string> device_types{};              // vendors or chips: "nvidia", "910B", "cpu"
    std::map<std::string, std::string> worker_labels{};   // a worker must have them all
    bool cpu_offload = true;                              // layers that find no room on devices may stay in memory
    bool across_workers = false;                          // one instance may use devices of several workers

    bool operator==(const PlacementOptions&) const = default;
};

}  // namespace gantry
