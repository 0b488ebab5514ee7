#pragma once
// whisper.cpp's own files (ggml-*.bin): a head of eleven numbers, mel filters, a vocabulary, then each tensor with its data. Bounded, since
// whisper.cpp itself believes what a file says. Threads: plain functions.

#include "base/result.h"
#include "domain/model.h"
#include "models/model_file.h"

namespace gantry::models {

// Whether its name is one of whisper.cpp's: "ggml-base.en-q5_1.bin". What is in it only its beginning says.
bool is_whisper_name(const std::string& path);
// Whether it begins as such a file does.
bool is_whisper(const ByteSource& source);
// kInvalidArgument, reason "unsafe_file": a file of such a name, `name`, that does not: it may be pickled, and hold code.
Status check_whisper(const std::string& name, const ByteSource& source);
// Walks all tensors' heads: every size must fit the file. kInvalidArgument "invalid model file: <what>".
Result<ModelMeta> read_whisper(const ByteSource& source);
// The same of the head, the vocabulary and the file's size alone, for a file that is read by ranges: weights are computed from the shape,
// and must fit the file.
Result<ModelMeta> read_whisper_head(const ByteSource& source);

}  // namespace gantry::models
