#pragma once
// whisper.cpp's own files (ggml-*.bin): a head of eleven numbers, mel filters, a vocabulary, then each tensor with its data. Bounded, since
// whisper.cpp itself believes what a file says. Threads: plain functions.

#include "base/result.h"
#include "domain/model.h"
#include "models/model_file.h"

namespace gantry::models {

// Whether it begins as such a file does.
bool is_whisper(const ByteSource& source);
// Walks all tensors' heads: every size must fit the file. kInvalidArgument "invalid model file: <what>".
Result<ModelMeta> read_whisper(const ByteSource& source);

}  // namespace gantry::models
