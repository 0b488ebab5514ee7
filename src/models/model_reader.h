#pragma once
// What a model's files on this machine say of it, whatever their format. Reads headers and configurations only, bounded; never
// runs code that comes with them. Threads: plain functions.

#include <string>

#include "base/result.h"
#include "domain/model.h"
#include "models/model_file.h"

namespace gantry::models {

// `path` is one of
// - a .gguf file, the first of a split model among them (gguf_reader.h), beside it perhaps its tower for pictures (gguf_names.h);
// - a file of whisper.cpp, ggml-*.bin (whisper_reader.h);
// - a .safetensors file, of which only the tensors are known;
// - a folder with config.json, and model.safetensors.index.json with the files that it names, or *.safetensors, or no weights:
//   then parameters and bytes are computed where that is possible (config_reader.h);
// - a folder with model_index.json (diffusers): its components' weights are summed;
// - a folder with one GGUF model, the same of its tower.
// A folder's names count at most 20,000. kNotFound, kPermissionDenied, kInvalidArgument "invalid model file: <what, where>".
// Where `limits` end the reading: kInvalidArgument "invalid model file: ...", which says so.
Result<ModelMeta> read_model(const std::string& path, ReadLimits limits = {});

// What a tower for pictures, read from its own file, adds to its model.
void add_tower(const ModelMeta& tower, ModelMeta& meta);

}  // namespace gantry::models
