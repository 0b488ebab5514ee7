#pragma once
// Reads what a transformers configuration (config.json) says of a model. Data only: code that a repository brings (auto_map) is
// noted and never run. Threads: plain functions.
//
// - Of a model of text and pictures the text model's shape is read (text_config, llm_config, ...).
// - The context is max_position_embeddings. A rope_scaling beside it does not lengthen it: makers who count the scaling in write
//   the longer number there (DeepSeek-V3), and where they don't (Qwen2.5), engines take the shorter one by default as well.
// - A window is read only where the model's code uses it: Qwen's `use_sliding_window` off is none, a window no shorter than the
//   context is none.
// - Parameters and bytes of the weights are computed from the shape for the families in config_parameters.h; they are 0, unknown,
//   for all others and for models with a tower beside the text. The weights' files say better (model_reader.h).

#include <string>

#include "base/json.h"
#include "base/result.h"
#include "domain/model.h"
#include "models/safetensors_reader.h"

namespace gantry::models {

struct Config {
    ModelMeta meta;
    WeightRules rules;
};

// kInvalidArgument as in gguf_reader.h.
Result<Config> read_config(const json::object& config);

// How sentence-transformers pools (1_Pooling/config.json): "mean", "cls", "last"; "" where it is none of these.
std::string pooling_of_module(const json::object& pooling);

}  // namespace gantry::models
