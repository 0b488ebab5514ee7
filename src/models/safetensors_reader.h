#pragma once
// Our own bounded reader of a safetensors header (github.com/huggingface/safetensors, "Format"): eight bytes of length, a JSON
// object of that length that names each tensor's type, shape and place, then the data. As hostile as any model file: every tensor
// must lie where the one before it ends, and the last end with the file. Threads: plain functions.

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "models/model_file.h"
#include "models/weight_tally.h"

namespace gantry::models {

// The format allows 100 MB; more than this no model needs (a name and its numbers take some 150 bytes), and parsing takes several
// times the memory.
inline constexpr uint64_t kSafetensorsHeaderMax = 32ull << 20;

// What a model's configuration says of how its files are to be read.
struct WeightRules {
    uint32_t packed_bits = 0;      // quantized weights of so many bits are packed into larger integers; 0: no quantization
    bool encoder_apart = false;    // layers of an encoder are none of the model's own (transcription)
};

// Adds the tensors of a file to `tally`. kInvalidArgument as in gguf_reader.h.
Status read_safetensors(const ByteSource& source, const WeightRules& rules, WeightTally& tally);

// Where a tensor of a transformers model belongs, by the parts of its name. For tests.
TensorPlace place_of_weight(std::string_view name, const WeightRules& rules);

}  // namespace gantry::models
