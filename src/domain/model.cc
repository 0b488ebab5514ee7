#include "domain/model.h"

#include <fmt/format.h>

#include <numeric>

namespace gantry {
namespace {

// "494M", "7.6B", "671B": as models are named.
std::string short_count(uint64_t count) {
    const auto value = static_cast<double>(count);
    if (count >= 99'500'000'000) return fmt::format("{:.0f}B", value / 1e9);
    if (count >= 999'500'000) return fmt::format("{:.1f}B", value / 1e9);
    return count >= 1'000'000 ? fmt::format("{:.0f}M", value / 1e6) : fmt::format("{}", count);
}

std::string grouped(uint64_t number) {
    std::string digits = fmt::format("{}", number);
    for (size_t at = digits.size(); at > 3;) digits.insert(at -= 3, 1, ',');
    return digits;
}

}  // namespace

uint64_t WeightBytes::total() const {
    return std::accumulate(layers.begin(), layers.end(), embedding + output + other);
}

std::string describe(const ModelMeta& meta) {
    std::string out;
    const auto add = [&](const std::string& part) { out += (out.empty() ? "" : ", ") + part; };
    add(meta.architecture.empty() ? "unknown architecture" : meta.architecture);
    if (!meta.modality.empty() && meta.modality != "text") add(meta.modality);
    if (meta.parameter_count > 0) add(short_count(meta.parameter_count) + " parameters");
    const std::string& weights = meta.quantization.empty() ? meta.dtype : meta.quantization;
    if (!weights.empty()) add(weights);
    if (meta.layers > 0) add(fmt::format("{} layer{}", meta.layers, meta.layers == 1 ? "" : "s"));
    if (meta.context_length > 0) add("context " + grouped(meta.context_length));
    add(meta.format == "gguf" ? "GGUF" : meta.format.empty() ? "unknown format" : meta.format);
    return out;
}

}  // namespace gantry
