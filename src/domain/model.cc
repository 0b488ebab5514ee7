#include "domain/model.h"

#include <numeric>

namespace gantry {

uint64_t WeightBytes::total() const {
    return std::accumulate(layers.begin(), layers.end(), embedding + output + other);
}

}  // namespace gantry
