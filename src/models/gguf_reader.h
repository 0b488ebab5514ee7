#pragma once
// Our own bounded reader of a GGUF header (ggml/docs/gguf.md, versions 2 and 3). Nothing else of Gantry's server or worker
// touches a model file but the readers of this folder. Every count, length and offset is checked against the file's size before
// use; memory and time are bounded (at most kHeaderBytesMax read of a file, strings cut); a hostile file gives an Error, never
// more. Threads: plain functions.

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "domain/model.h"
#include "models/model_file.h"

namespace gantry::models {

inline constexpr uint64_t kHeaderBytesMax = 512ull << 20;

// Opens part `number` (from 1) of the `count` of a split model.
using OpenPart = std::function<Result<ByteSource>(uint32_t number, uint32_t count)>;

// kInvalidArgument "invalid model file: <what, where>", reason "invalid_model_file". A file that is the first part of a split
// model (llama-gguf-split: split.no, split.count) is read with all the others where `open_part` can open them, and refused where
// there is none.
Result<ModelMeta> read_gguf(const ByteSource& source, const OpenPart& open_part = {});
// By the rules of open_model_file. The parts of a split model, NAME-00001-of-00003.gguf, are looked for beside the first.
Result<ModelMeta> read_gguf_file(const std::string& path);
Result<ModelMeta> read_gguf_file(Reading& reading, const std::string& path);   // within the limits of a model of several files

}  // namespace gantry::models
