#pragma once
// The files of a hub's model on one machine, as people see them. Plain values.

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"

namespace gantry {

enum class ModelFilesState { kWaiting, kDownloading, kReady, kFailed };
const char* to_string(ModelFilesState state);   // "waiting", "downloading", "ready", "failed"

struct ModelFileSet {
    std::string id{};
    std::string source{};                    // as domain/source.h writes it
    std::string commit{};                    // at the hub, when it was fetched; empty: not known yet
    ModelFilesState state = ModelFilesState::kWaiting;
    std::string reason{};                    // for a person: how far it is, or why it failed
    std::vector<std::string> files{};        // names here
    uint64_t bytes = 0;                      // of all files; 0: not yet known
    uint64_t bytes_done = 0;
    uint64_t bytes_per_second = 0;           // lately
    std::vector<std::string> used_by{};      // deployments, by name
    WallTime fetched_at{};                   // kReady
};

// What a search at a hub gave.
struct HubModel {
    std::string source{};                    // "hf:ORG/NAME"
    uint64_t downloads = 0;
    uint64_t likes = 0;
};

}  // namespace gantry
