#pragma once
// What a GGUF file's keys say of a model's shape: sizes, and how each layer remembers. Internal to this folder.

#include "domain/model.h"
#include "models/gguf_values.h"

namespace gantry::models {

// Sizes: layers, heads, widths, experts, vocabulary. `meta.architecture` is set.
bool read_shape(Hyperparameters& numbers, const Values& values, ModelMeta& meta);

// After read_shape: layer_memory and what belongs to it (window, latent, state), as llama.cpp decides them in the pinned tree
// (third_party/sources.txt): src/models/*.cpp load_arch_hparams, src/llama-model.cpp create_memory, src/llama-hparams.cpp
// n_embd_r and n_embd_s.
bool read_layer_memory(Hyperparameters& numbers, ModelMeta& meta);

// Of a tower's own file (mmproj): what decides how much memory a picture takes. Of others nothing.
bool read_tower(Hyperparameters& numbers, const Values& values, ModelMeta& meta);

}  // namespace gantry::models
