// How a transformers model's weights are quantized, and what a weight then takes.

#include <algorithm>

#include "base/ascii.h"
#include "models/config_parts.h"
#include "models/limits.h"

namespace gantry::models {
namespace {

// Of compressed-tensors: the weights of its first group.
const json::object* weights_of(const Fields& quantization) {
    const json::object* const groups = quantization.object("config_groups");
    const json::object* const group = groups != nullptr && !groups->empty() ? groups->begin()->value().if_object() : nullptr;
    return group != nullptr ? Fields(*group).object("weights") : nullptr;
}

}  // namespace

Quantization quantization_of(Fields& fields) {
    Quantization out;
    const json::object* found = fields.object("quantization_config");
    if (found == nullptr) found = fields.object("compression_config");
    if (found == nullptr) {
        out.method = lowered(fields.text("quantize"));   // MindIE's: "w8a8"
        if (out.method.size() > 32) out.method.clear();
        if (out.method.starts_with("w8")) out.bits = 8, out.thousandth_bits = 8000;
        return out;
    }
    Fields quantization(*found);
    out.method = lowered(quantization.text("quant_method"));
    if (out.method.empty() || out.method.size() > 32) out.method = "quantized";
    uint64_t bits = quantization.number({"bits", "w_bit", "weight_bits"}, 32);
    uint64_t group = quantization.number({"group_size", "q_group_size"}, kWidthMax, 128);
    if (out.method == "compressed-tensors") {
        if (const json::object* const weights = weights_of(quantization)) {
            Fields of_weights(*weights);
            bits = of_weights.number({"num_bits"}, 32);
            group = of_weights.number({"group_size"}, kWidthMax, 0);
            if (!of_weights.problem().empty()) fields.fail(of_weights.problem());
        }
    }
    if (out.method == "bitsandbytes") {
        bits = quantization.flag("load_in_4bit") ? 4 : 8;
        group = 64;
    }
    if (out.method == "mxfp4") bits = 4, group = 32, out.experts_only = true;
    if (out.method == "fp8" || out.method == "fbgemm_fp8") bits = 8, group = 0;
    if (!quantization.problem().empty()) fields.fail(quantization.problem());
    out.bits = static_cast<uint32_t>(bits);
    // Beside the weight its share of a group's scale (16 bits, of mxfp4 8) and zero (as wide as a weight).
    const uint64_t of_group = out.method == "mxfp4" ? 8 : bits < 8 ? 16 + bits : 16;
    out.thousandth_bits = bits * 1000 + (bits > 0 && group > 0 ? of_group * 1000 / group : 0);
    return out;
}

}  // namespace gantry::models
