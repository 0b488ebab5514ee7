#pragma once
// Which of a repository's quantizations suits these workers best, where a source leaves it open. Pure: a decision about each in, one and
// the reason out.
//
//   1. wholly on accelerators with a good context: the largest in fewer than 16 bits, which is the closest to what was trained
//   2. otherwise, in memory or partly so, where each byte costs time at each token: the usual one, Q4_K_M (else the smallest there is), or of
//      those that fit with a good context the one that is nearest to it in size
//   3. the same with whatever context there is room for; then what may fit; where nothing fits the usual one, with its reason
//
// What is not known of the others is derived from one whose header was read, and confirmed by its own header before it is taken.

#include <cstdint>
#include <string>
#include <vector>

#include "domain/evaluation.h"
#include "domain/model.h"

namespace gantry::control {

struct QuantizationOption {
    std::string quantization{};
    uint64_t bytes = 0;            // of the model's files
    Decision decision{};
};
struct QuantizationPick {
    size_t index = 0;
    std::string reason{};          // for a person: "Q6_K of 9 quantizations: the largest ..."
};
// REQUIRES: at least one option. `context_good`: tokens from which on a context is no worse for being cut.
QuantizationPick pick_quantization(const std::vector<QuantizationOption>& options, uint32_t context_good);

// The usual one of these, by which the others are judged.
size_t usual_quantization(const std::vector<QuantizationOption>& options);

// What a file of another quantization and size would say of the same model: the same but for its weights, in proportion.
ModelMeta requantized(ModelMeta meta, const std::string& quantization, uint64_t bytes);

}  // namespace gantry::control
