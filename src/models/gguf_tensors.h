#pragma once
// The descriptions of a GGUF model's tensors, held against the file's size. Internal to this folder.

#include <set>
#include <string>

#include "models/gguf_cursor.h"
#include "models/weight_tally.h"

namespace gantry::models {

// Names are kept for the check for duplicates: at most 24 MiB.
inline constexpr uint64_t kTensorsMax = 64 * 1024;

// Of all the parts of a model.
struct GgufTensors {
    std::set<std::string> names;
    WeightTally tally;
};

bool read_tensors(Cursor& cursor, uint64_t count, uint64_t alignment, uint64_t file_bytes, GgufTensors& tensors);

}  // namespace gantry::models
