#include "control/quantization.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "base/assert.h"

namespace gantry::control {
namespace {

constexpr const char* kUsual = "Q4_K_M";

enum class Rank { kNone, kMayFit, kShort, kInMemory, kOnDevices };

Rank rank_of(const Decision& decision, uint32_t context_good) {
    if (!decision.placement) return Rank::kNone;
    if (decision.verdict == Verdict::kUnknown) return Rank::kMayFit;
    const Placement& placement = *decision.placement;
    if (placement.context_tokens > 0 && placement.context_tokens < context_good) return Rank::kShort;
    const bool devices = !placement.claims.empty() && placement.claims.front().device.vendor != "cpu" &&
                         placement.layers_on_devices >= placement.layers;
    return devices ? Rank::kOnDevices : Rank::kInMemory;
}

bool is_wide(const std::string& type) { return type == "F16" || type == "BF16" || type == "F32" || type == "FP16" || type == "FP32"; }

// "Q4_K_M" -> "Q4_K", "IQ2_XXS" -> itself: the tensors' type that gives it its name.
std::string type_of(const std::string& quantization) {
    const size_t k = quantization.find("_K_");
    return k == std::string::npos ? quantization : quantization.substr(0, k + 2);
}

std::string why(const QuantizationOption& taken, Rank rank, bool usual) {
    switch (rank) {
        case Rank::kOnDevices:
            return is_wide(taken.quantization) ? "all of it fits on accelerators, and there is none in fewer bits that does"
                                               : "the largest in fewer than 16 bits that fits wholly on accelerators";
        case Rank::kInMemory:
            return usual ? "the usual one, since part of it or all is computed in memory"
                         : "the nearest to the usual one in size that has room for a good context";
        case Rank::kShort: return "none has room for a longer context";
        case Rank::kMayFit: return "whether any fits is not known";
        case Rank::kNone: return "none fits here, and this is the usual one";
    }
    return {};
}

}  // namespace

size_t usual_quantization(const std::vector<QuantizationOption>& options) {
    GANTRY_ASSERT(!options.empty(), "there is something to choose from");
    const auto named = std::find_if(options.begin(), options.end(), [](const auto& o) { return o.quantization == kUsual; });
    const auto smallest = std::min_element(options.begin(), options.end(), [](const auto& a, const auto& b) { return a.bytes < b.bytes; });
    return static_cast<size_t>((named != options.end() ? named : smallest) - options.begin());
}

QuantizationPick pick_quantization(const std::vector<QuantizationOption>& options, uint32_t context_good) {
    const size_t usual = usual_quantization(options);
    const auto distance = [&](uint64_t bytes) {
        const uint64_t at = options[usual].bytes;
        return bytes > at ? bytes - at : at - bytes;
    };
    // Of two the one whose key is greater.
    const auto key = [&](size_t i) {
        const QuantizationOption& o = options[i];
        const Rank rank = rank_of(o.decision, context_good);
        const bool large = rank == Rank::kOnDevices;
        return std::tuple(rank, large && !is_wide(o.quantization), large ? o.bytes : UINT64_MAX - distance(o.bytes));
    };
    size_t best = usual;
    for (size_t i = 0; i < options.size(); ++i) {
        if (key(i) > key(best)) best = i;
    }
    const QuantizationOption& taken = options[best];
    QuantizationPick pick{best, fmt::format("{} of {} quantizations: {}", taken.quantization, options.size(),
                                            why(taken, rank_of(taken.decision, context_good), best == usual))};
    if (best != usual && key(usual) < key(best) && rank_of(options[usual].decision, context_good) == Rank::kNone) {
        pick.reason += fmt::format("; {} does not fit", options[usual].quantization);
    }
    return pick;
}

ModelMeta requantized(ModelMeta meta, const std::string& quantization, uint64_t bytes) {
    const uint64_t tower = meta.modality == "vision" ? std::min(meta.weights.other, meta.file_bytes) : 0;
    const uint64_t before = meta.file_bytes - tower;
    if (before == 0) return meta;
    const double factor = static_cast<double>(bytes) / static_cast<double>(before);
    const auto scale = [factor](uint64_t& n) { n = static_cast<uint64_t>(static_cast<double>(n) * factor); };
    scale(meta.weights.embedding);
    scale(meta.weights.output);
    for (uint64_t& layer : meta.weights.layers) scale(layer);
    meta.file_bytes = bytes + tower;
    meta.quantization = quantization;
    meta.bytes_of_type = {{type_of(quantization), bytes}};
    return meta;
}

}  // namespace gantry::control
