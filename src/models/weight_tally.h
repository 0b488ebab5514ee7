#pragma once
// Adds up what a model's tensors take, by type and by the place that they have in the model. Internal to this folder.

#include <cstdint>
#include <map>
#include <string>

#include "domain/model.h"
#include "models/limits.h"

namespace gantry::models {

enum class Place { kEmbedding, kOutput, kLayer, kOther };

struct TensorPlace {
    Place place = Place::kOther;
    uint32_t layer = 0;   // of kLayer
};

class WeightTally {
public:
    // A tensor of `parameters` values in `bytes`. Layers from kLayersMax on count as "other".
    void add(TensorPlace place, const std::string& type, uint64_t parameters, uint64_t bytes);

    uint64_t parameters() const { return parameters_; }
    uint32_t layers_seen() const;                       // the highest layer and one
    WeightBytes by_place(uint32_t layers) const;        // layers beyond count as "other"
    const std::map<std::string, uint64_t>& bytes_of_type() const { return bytes_; }
    std::string most_parameters() const;                // the type of most values; of two as many, the first by name
    std::string most_floats() const;                    // "bfloat16", "float16", "float32": the one of most bytes; "": none

private:
    WeightBytes fixed_;                                 // without its layers
    std::map<uint32_t, uint64_t> layers_;
    std::map<std::string, uint64_t> bytes_;
    std::map<std::string, uint64_t> parameters_of_type_;
    uint64_t parameters_ = 0;
};

}  // namespace gantry::models
