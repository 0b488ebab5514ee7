#pragma once
// Reads the SQLite file of a GPUStack server, for `gantry import gpustack`: models, users, and since its version 2.1 routes. By names of columns,
// since each of its versions has others (gpustack/migrations of github.com/gpustack/gpustack); what a file lacks is empty. Read only: the file is
// opened as it is, and not even its journal is touched. Values are as hostile as any. Threads: a plain function.

#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace gantry::store {

using GpuStackRow = std::map<std::string, std::string>;   // by column; of what is NULL there is no entry

struct GpuStack {
    std::vector<GpuStackRow> models{};
    std::vector<GpuStackRow> users{};
    std::vector<GpuStackRow> routes{};    // model_routes
    std::vector<GpuStackRow> targets{};   // model_route_targets
    size_t api_keys = 0;                  // whose secrets are hashes of another kind: nobody can carry them over
};

inline constexpr size_t kGpuStackRowsMax = 10'000;

// kNotFound; kInvalidArgument: it is no such file, or a table has more than kGpuStackRowsMax rows.
Result<GpuStack> read_gpustack(const std::string& path);

}  // namespace gantry::store
