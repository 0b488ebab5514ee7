// Feeds the reader of transformers configurations with anything that is JSON. What it takes must be within the limits that later
// code relies on.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "models/config_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const auto json = gantry::parse_json(std::string_view(reinterpret_cast<const char*>(data), size));
    if (!json.ok() || !json->is_object()) return 0;
    const std::string pooling = gantry::models::pooling_of_module(json->get_object());
    if (pooling.size() > 4) std::abort();
    const auto config = gantry::models::read_config(json->get_object());
    if (!config.ok()) {
        if (config.error().message.empty() || config.error().message.size() > 4096) std::abort();
        return 0;
    }
    const gantry::ModelMeta& meta = config->meta;
    if (meta.layers > 4096 || meta.heads_kv > meta.heads || meta.architecture.size() > 128 || meta.modality.empty()) std::abort();
    if (meta.quantization.size() > 32 || config->rules.packed_bits > 32) std::abort();
    if (!meta.layer_memory.empty() && meta.layer_memory.size() != meta.layers) std::abort();
    if (meta.layer_memory.find_first_not_of("fwlsb-") != std::string::npos) std::abort();
    if (!meta.weights.layers.empty() && meta.weights.layers.size() != meta.layers) std::abort();
    if (meta.parameter_count > (1ull << 50) || meta.file_bytes != meta.weights.total()) std::abort();
    if (gantry::describe(meta).empty()) std::abort();
    return 0;
}
