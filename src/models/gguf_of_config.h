#pragma once
// What a GGUF file of a model would say, from the model's config.json and the name of a quantization, before there is any file to
// read: the same shape, and bytes by tensor type and place as llama.cpp's quantizer chooses them (pinned tree, src/llama-quant.cpp,
// llama_tensor_get_type). gguf_of_config_test.cc holds it against sizes of published files: within one in a hundred. Threads: plain
// functions.

#include <string>

#include "base/json.h"
#include "base/result.h"
#include "domain/model.h"

namespace gantry::models {

// Of the families llama, mistral, qwen2, qwen3, qwen3_moe, gemma3_text, glm4, bert and xlm-roberta, quantized as "Q4_0", "Q4_K_M",
// "Q5_K_M", "Q6_K", "Q8_0", "F16" or "BF16". kInvalidArgument: read_config()'s, or another family or quantization; then nothing is known.
Result<ModelMeta> gguf_of_config(const json::object& config, const std::string& quantization);

}  // namespace gantry::models
