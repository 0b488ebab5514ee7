#pragma once
// The steps of read_config. Internal to this folder.

#include <string>

#include "domain/model.h"
#include "models/config_fields.h"

namespace gantry::models {

// How the linear layers' weights are stored.
struct Quantization {
    std::string method;             // "" : not quantized
    uint32_t bits = 0;              // of a weight; 0: unknown
    uint64_t thousandth_bits = 0;   // of a weight with its share of scales and zeros; 0: unknown
    bool experts_only = false;
};
Quantization quantization_of(Fields& fields);

// The architecture's family: "qwen2" of "qwen2", "qwen2_vl" and "qwen2_vl_text".
std::string family_of(const std::string& model_type);

// A model that sees the whole text at once and keeps nothing of it.
bool is_encoder(const std::string& model_type);

// layer_memory and what belongs to it. The sizes are set.
void read_config_layers(Fields& fields, const std::string& model_type, ModelMeta& meta);

// Parameters and bytes of the weights, computed from the shape; left 0 for families that are not known.
void compute_parameters(Fields& fields, const std::string& family, const Quantization& quantization, ModelMeta& meta);

}  // namespace gantry::models
