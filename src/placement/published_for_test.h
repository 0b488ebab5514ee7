#pragma once
// Figures that others published of models' memory (tests/data/placement/published.json), beside ours: for the test and for the page.

#include <fmt/format.h>

#include <fstream>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

#include "base/json.h"
#include "placement/estimate.h"

namespace gantry::placement {

struct Compared {
    std::string model, source, what, reason;
    double ours_mib = 0, published_mib = 0, within = 0;
    double difference() const { return ours_mib / published_mib - 1; }
};

inline constexpr double kMiB = 1 << 20;

inline ModelMeta published_meta(const json::object& from) {
    const auto number = [&from](const char* name) { return from.contains(name) ? from.at(name).to_number<double>() : 0; };
    const auto whole = [&](const char* name) { return static_cast<uint32_t>(number(name)); };
    ModelMeta meta;
    meta.format = "gguf";
    meta.architecture = from.at("architecture").as_string();
    meta.layers = whole("layers");
    meta.embedding_length = whole("embedding_length");
    meta.feed_forward_length = whole("feed_forward_length");
    meta.heads = whole("heads");
    meta.heads_kv = whole("heads_kv");
    meta.vocabulary = whole("vocabulary");
    meta.key_length = whole("key_length");
    meta.value_length = whole("value_length");
    meta.experts = whole("experts");
    meta.experts_used = whole("experts_used");
    meta.kv_lora_rank = whole("kv_lora_rank");
    meta.rope_head_length = whole("rope_head_length");
    meta.sliding_window = whole("sliding_window");
    if (from.contains("layer_memory")) meta.layer_memory = from.at("layer_memory").as_string();
    if (from.contains("layer_heads_kv")) meta.layer_heads_kv = json::value_to<std::vector<uint32_t>>(from.at("layer_heads_kv"));
    meta.file_bytes = static_cast<uint64_t>(number("file_mib") * kMiB);
    meta.weights.embedding = static_cast<uint64_t>(number("embedding_mib") * kMiB);
    meta.weights.output = static_cast<uint64_t>(number("output_mib") * kMiB);
    if (number("layer_mib") > 0) meta.weights.layers.assign(meta.layers, static_cast<uint64_t>(number("layer_mib") * kMiB));
    return meta;
}

inline Shape published_shape(const json::object& from) {
    Shape shape;
    shape.backend = *backend_kind_from(std::string(from.at("backend").as_string()));
    shape.vendor = from.at("vendor").as_string();
    shape.ranks = from.at("ranks").to_number<uint32_t>();
    shape.layers_on_devices = from.at("layers_on_devices").to_number<uint32_t>();
    shape.context_tokens = from.at("context").to_number<uint32_t>();
    shape.sequences = from.at("sequences").to_number<uint32_t>();
    shape.options.kv_type = from.at("kv_type").as_string();
    shape.options.extra_args = json::value_to<std::vector<std::string>>(from.at("flags"));
    return shape;
}

// What our estimate says under the published figure's name: "kv_mib", "device_kv_mib", "rank_weights_gib", ...
inline double ours_mib(const Estimate& estimate, const Shape& shape, const std::string& name) {
    const auto term = [&](const char* wanted, bool device, bool memory) {
        uint64_t bytes = 0;
        for (const Term& t : estimate.terms) {
            bytes += t.name == wanted && (t.where == Where::kDevice ? device : memory) ? t.bytes : 0;
        }
        return static_cast<double>(bytes) / kMiB;
    };
    if (name == "device_gib") return static_cast<double>(std::accumulate(estimate.rank_bytes.begin(), estimate.rank_bytes.end(), uint64_t{0})) / kMiB;
    if (name == "kv_mib" || name == "kv_gib") return term("kv_cache", true, true);
    if (name == "device_kv_mib") return term("kv_cache", true, false);
    if (name == "host_kv_mib") return term("kv_cache", false, true);
    if (name == "compute_mib") return term("compute", true, false);
    if (name == "weights_mib") return term("weights", true, false);
    if (name == "rank_weights_gib") return term("weights", true, false) / shape.ranks;
    if (name == "rank_compute_gib" || name == "rank_compute_mib") return term("compute", true, false) / shape.ranks;
    return 0;
}

inline std::vector<Compared> compare_published(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    const json::value all = parse_json(text.str()).value();
    std::vector<Compared> out;
    for (const json::value& value : all.at("models").as_array()) {
        const json::object& entry = value.as_object();
        const Shape shape = published_shape(entry);
        const Estimate estimate = placement::estimate(published_meta(entry.at("meta").as_object()), shape);
        for (const auto& [key, figure] : entry.at("published").as_object()) {
            const std::string name(key);
            const double unit = name.ends_with("_gib") ? 1024 : 1;
            out.push_back({.model = std::string(entry.at("model").as_string()), .source = std::string(entry.at("source").as_string()), .what = name,
                           .reason = std::string(entry.at("reason").as_string()), .ours_mib = ours_mib(estimate, shape, name),
                           .published_mib = figure.to_number<double>() * unit, .within = entry.at("within").to_number<double>()});
        }
    }
    return out;
}

}  // namespace gantry::placement
