#pragma once
// What a model's files say of it, read where they are: a header of GGUF or whisper.cpp by ranges, or config.json and the index of
// safetensors, without the weights. Blocking, seconds. Threads: any.

#include "domain/model.h"
#include "domain/source.h"
#include "sources/fetcher.h"

namespace gantry::sources {

// Errors of the hub, of choose_files(), and "invalid model file: ...".
Result<ModelMeta> read_remote_model(const Fetcher& fetcher, const Source& source);

}  // namespace gantry::sources
