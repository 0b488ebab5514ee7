#pragma once
// The files of a hub's model on one machine, as people see them. Plain values.

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"

namespace gantry {

enum class ModelFilesState { kWaiting, kDownloading, kPaused, kReady, kFailed };
const char* to_string(ModelFilesState state);   // "waiting", "downloading", "paused", "ready", "failed"

struct ModelFileSet {
    std::string id{};                        // of the source: the same on every machine
    WorkerId worker_id{};                    // on whose machine; empty: the server's, where no worker is
    std::string worker_name{};
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
