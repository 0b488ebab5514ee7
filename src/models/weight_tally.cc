#include "models/weight_tally.h"

#include <array>
#include <utility>

namespace gantry::models {

void WeightTally::add(TensorPlace place, const std::string& type, uint64_t parameters, uint64_t bytes) {
    switch (place.place) {
        case Place::kEmbedding: fixed_.embedding += bytes; break;
        case Place::kOutput: fixed_.output += bytes; break;
        case Place::kLayer:
            if (place.layer < kLayersMax) {
                layers_[place.layer] += bytes;
                break;
            }
            [[fallthrough]];
        case Place::kOther: fixed_.other += bytes; break;
    }
    bytes_[type] += bytes;
    parameters_of_type_[type] += parameters;
    parameters_ += parameters;
}

uint32_t WeightTally::layers_seen() const { return layers_.empty() ? 0 : layers_.rbegin()->first + 1; }

WeightBytes WeightTally::by_place(uint32_t layers) const {
    WeightBytes out = fixed_;
    out.layers.resize(layers);
    for (const auto& [layer, bytes] : layers_) (layer < layers ? out.layers[layer] : out.other) += bytes;
    return out;
}

std::string WeightTally::most_parameters() const {
    std::string most;
    uint64_t count = 0;
    for (const auto& [type, parameters] : parameters_of_type_) {
        if (parameters > count) most = type, count = parameters;
    }
    return most;
}

std::string WeightTally::most_floats() const {
    constexpr std::array<std::pair<const char*, const char*>, 3> kFloats = {
        {{"BF16", "bfloat16"}, {"F16", "float16"}, {"F32", "float32"}}};
    std::string most;
    uint64_t count = 0;
    for (const auto& [type, name] : kFloats) {
        const auto found = bytes_.find(type);
        if (found != bytes_.end() && found->second > count) most = name, count = found->second;
    }
    return most;
}

}  // namespace gantry::models
