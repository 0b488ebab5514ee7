#pragma once
// What is asked for, as the parts of a decision see it. Made once for each.

#include <optional>
#include <string>
#include <vector>

#include "backends/backends.h"
#include "domain/snapshot.h"

namespace gantry::placement {

// A device chosen by hand: "WORKER/VENDOR/INDEX", or "VENDOR/INDEX" of any worker.
struct Chosen {
    std::string worker;    // its name or id; empty: any
    DeviceName device;
    bool is(const Worker& on, const DeviceName& name) const {
        return device == name && (worker.empty() || worker == on.name || worker == on.id.text);
    }
};
std::optional<Chosen> parse_chosen(const std::string& text);

struct Asked {
    const Deployment& deployment;
    const backends::Backend& backend;
    const ModelMeta* meta = nullptr;      // null: nobody could read it
    std::vector<Chosen> by_hand{};

    bool names(const Worker& worker, const DeviceName& device) const;    // by hand
    bool wants_type(const std::string& vendor, const std::string& chip) const;   // it says so in device_types
};

// Why not; nothing: it passes.
using Reason = std::optional<std::string>;

}  // namespace gantry::placement
