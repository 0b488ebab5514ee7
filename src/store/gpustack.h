#pragma once
// Reads the database of a GPUStack server, for `gantry import gpustack`: models, users, and since its version 2.1 routes. By names of columns,
// since each of its versions has others (gpustack/migrations of github.com/gpustack/gpustack); what a database lacks is empty. Read only: a
// SQLite file is opened as it is, and not even its journal is touched; of PostgreSQL it is one transaction that reads. Values are as hostile
// as any. Threads: plain functions.

#include <functional>
#include <map>
#include <optional>
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

inline constexpr size_t kGpuStackTextMax = 1 << 20;   // bytes of a value; longer ones are left out

// `database`: the path of a SQLite file, or postgresql://USER@HOST/NAME (libpq's URLs; the password better in PGPASSWORD or ~/.pgpass, since
// others of the machine see command lines). kNotFound; kUnavailable: the server can't be reached; kInvalidArgument: it is no such database, or a
// table has more than kGpuStackRowsMax rows.
Result<GpuStack> read_gpustack(const std::string& database);

// Private to this folder: the same by whoever reads one table's rows, those that were deleted left out; nullopt: there is no such table.
using GpuStackRows = std::function<Result<std::optional<std::vector<GpuStackRow>>>(const char* table)>;
Result<GpuStack> gpustack_of(const GpuStackRows& rows_of);
Result<GpuStack> read_gpustack_of_postgresql(const std::string& url);

}  // namespace gantry::store
