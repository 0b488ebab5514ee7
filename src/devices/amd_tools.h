#pragma once
// What AMD's own tools tell of its GPUs: amd-smi, and rocm-smi, which it replaces. Where the kernel's folders can be seen (amd.cc) only
// the names are theirs; in a container that lacks them it is all there is.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "devices/prober.h"
#include "domain/device.h"

namespace gantry::devices {

struct AmdCard {
    Device device{};                   // all that the tool tells; `index` is the tool's number; no name: "AMD GPU"
    bool named = false;                // the tool told a name
    std::optional<uint64_t> node{};    // of the kernel's topology
};

struct AmdCards {
    std::vector<AmdCard> all;
    std::string problem;               // why there are none; empty: no tool is installed
};

// amd-smi is asked first, then rocm-smi. `names_only`: not for what the kernel's folders tell, which takes amd-smi seconds.
AmdCards amd_cards(Tools& tools, bool names_only);

// The problem of a device that counts such errors.
std::string uncorrected_errors(uint64_t count);

// Graphics of a processor, by their ISA ("gfx1151").
bool is_apu(std::string_view chip);
// By its name: nothing of the memory was carved out for it.
bool has_the_machines_memory(std::string_view name);

}  // namespace gantry::devices
