#pragma once
// The types that a GGUF file's tensors may have: names and sizes, after ggml's table (pinned llama.cpp, ggml/include/ggml.h).

#include <cstdint>
#include <string>

namespace gantry::models {

// A row is cut into blocks of `block_elements` values, each `block_bytes` long.
struct TensorType {
    const char* name = nullptr;   // "Q4_1"; null: no such type, or one that was removed
    uint32_t block_elements = 0;
    uint32_t block_bytes = 0;
};
inline constexpr uint32_t kTensorTypeCount = 43;
const TensorType& tensor_type(uint32_t id);   // of an unknown id: one without a name

// What people call a file whose weights mostly have the type `dominant`, its general.file_type being `file_type` (any value):
// "Q4_K" with 15 is "Q4_K_M". A file_type that does not fit the weights is not believed.
std::string quantization_name(const std::string& dominant, uint64_t file_type);

}  // namespace gantry::models
