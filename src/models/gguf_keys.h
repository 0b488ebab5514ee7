#pragma once
// The keys of a GGUF file as a person sees them, for `gantry inspect`; what a model is comes from gguf_reader.h. Bounded as that is.
// Threads: plain functions.

#include <string>
#include <vector>

#include "base/result.h"

namespace gantry::models {

struct GgufKey {
    std::string key{};
    std::string type{};       // "string", "u32", "f32", "bool", "151936 x string"
    std::string value{};      // of an array: empty
};

inline constexpr size_t kGgufTextMax = 1u << 20;   // of one value: a chat template has some tens of KiB

// In the file's order. By the rules of open_model_file. kInvalidArgument "invalid model file: ...".
Result<std::vector<GgufKey>> read_gguf_keys(const std::string& path);

}  // namespace gantry::models
