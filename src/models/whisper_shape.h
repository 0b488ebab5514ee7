#pragma once
// What a Whisper model takes, from its shape: as whisper.cpp writes its files (pinned tree: models/convert-pt-to-ggml.py and
// examples/quantize/quantize.cpp). whisper_shape_test.cc holds it against published sizes. Threads: plain functions.

#include <string>

#include "base/json.h"
#include "base/result.h"
#include "domain/model.h"

namespace gantry::models {

struct WhisperShape {
    uint64_t vocabulary = 0, mels = 0;
    uint64_t audio_context = 0, audio_width = 0, audio_layers = 0;   // of the encoder
    uint64_t text_context = 0, text_width = 0, text_heads = 0, text_layers = 0;
};

// Everything but file_bytes; its matrices are of `type`, as "F16" or "Q5_1". kInvalidArgument: there is no such file.
Result<ModelMeta> whisper_meta(const WhisperShape& shape, const std::string& type);

// Of a file that whisper.cpp would make of a config.json (model_type "whisper"): with file_bytes.
Result<ModelMeta> whisper_of_config(const json::object& config, const std::string& type);

}  // namespace gantry::models
