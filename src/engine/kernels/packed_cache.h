#pragma once
// Packed weights of models on disk, so that a start of the same model maps them instead of packing them again. A start waits for memory
// to be cleared more than for packing, and what is mapped needs none.
//
// A file holds what one buffer of packed weights holds (packed_buffer.h): a table of its tensors, and the buffer itself. It is written
// after a load, when nobody else wants the machine, and appears whole or not at all. Its name is a digest of the model file's identity
// (size, times, place), of the layout and of the buffer's size, so a changed model has another one. Only files of this user that nobody
// else may write are read. Files are a cache: any may be deleted.
// Threads: any; files are shared by processes.

#include <cstdint>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/platform/files.h"
#include "base/result.h"

namespace gantry::engine::kernels {

struct PackedCacheOptions {
    std::string folder;       // empty: nothing is kept. Made when it is first written to
    uint64_t bytes_max = 0;   // of all files in it; the longest unused ones go first
    uint32_t wait_ms = 3000;  // after a load, before files are written: the first requests come first
};

// A tensor of at most 63 bytes of name, and where its weights begin in the buffer.
struct PackedTensor {
    std::string name;
    uint32_t type = 0;        // ggml_type
    int64_t values = 0, rows = 0;
    uint64_t offset = 0;
    bool operator==(const PackedTensor&) const = default;
};

// How a model's file is now; empty: there is none.
std::string model_identity(const std::string& model_path);
// Where buffer `index` of a model stands.
std::string packed_path(const PackedCacheOptions& options, const std::string& identity, uint32_t index, uint64_t bytes);

struct PackedFile {
    platform::UniqueFd file;
    std::vector<PackedTensor> tensors;
    uint64_t begin = 0;       // of the buffer within the file: a whole page
    bool in_memory = false;   // the kernel's cache holds it: mapping it is faster than packing
};
// Only if it is whole and its buffer has `bytes`.
std::optional<PackedFile> open_packed(const std::string& path, uint64_t bytes);
// It counts as used now.
void mark_used(const PackedFile& file);
// Reads it into the kernel's cache, piece by piece.
void read_ahead(const PackedFile& file, uint64_t bytes, const std::stop_token& stop);

// The longest unused files are deleted for it, as far as needed; none if that would not be enough.
// kUnavailable, saying why: no room, it could not be written, somebody else writes it, or `stop` came. Nothing is left behind then.
Status write_packed(const PackedCacheOptions& options, const std::string& path, const std::vector<PackedTensor>& tensors,
                    std::span<const char> buffer, const std::stop_token& stop);

}  // namespace gantry::engine::kernels
