#pragma once
// Our own bounded reader of a GGUF header (ggml/docs/gguf.md, versions 2 and 3). Nothing else of Gantry's server or worker
// touches a model file. Every count, length and offset is checked against the file's size before use; memory and time are
// bounded (at most kHeaderBytesMax read, strings cut); a hostile file gives an Error, never more.

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "domain/model.h"

namespace gantry::models {

inline constexpr uint64_t kHeaderBytesMax = 512ull << 20;

// Reads [offset, offset+size) of the file into `out`; false at the end of the file or on error. Memory, file or range reads.
struct ByteSource {
    uint64_t size = 0;
    std::function<bool(uint64_t offset, char* out, size_t length)> read;
};

// kInvalidArgument "invalid model file: <what, where>", reason "invalid_model_file".
Result<ModelMeta> read_gguf(const ByteSource& source);
// Opens with O_NOFOLLOW-safe rules: a regular file only (no FIFO, device, /proc), readable. kNotFound, kPermissionDenied,
// kInvalidArgument.
Result<ModelMeta> read_gguf_file(const std::string& path);

}  // namespace gantry::models
