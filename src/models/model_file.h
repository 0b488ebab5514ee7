#pragma once
// Opening and reading the files of a model, which are as hostile as the network. Threads: plain functions.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace gantry::models {

// Reads [offset, offset+size) of the file into `out`; false at the end of the file or on error. Memory, file or range reads.
struct ByteSource {
    uint64_t size = 0;
    std::function<bool(uint64_t offset, char* out, size_t length)> read;
};

inline constexpr size_t kTextBytesKept = 256;

// How much of a model's files is read, all of them together, and for how long. A model's headers take some MiB, the largest published
// ones' some tens; without a bound a thousand files of declarations that are each allowed would take minutes.
struct ReadLimits {
    uint64_t bytes_max = 1ull << 30;
    std::function<bool()> give_up{};   // asked before each read, from the reading thread; empty: never
};

// One model's reading: hands out sources that stop to read where the limits do, and knows why.
class Reading {
public:
    explicit Reading(ReadLimits limits) : limits_(std::move(limits)) {}
    Reading(const Reading&) = delete;   // its sources refer to it
    Reading& operator=(const Reading&) = delete;

    Result<ByteSource> open(const std::string& path);   // by the rules of open_model_file
    Result<json::object> json_file(const std::string& path, uint64_t bytes_max);   // a whole file of at most so much: an object
    // kInvalidArgument "invalid model file: ..." where a limit was reached, whatever the reader made of it; else ok.
    Status within() const;

private:
    bool may_read(uint64_t bytes);
    const ReadLimits limits_;
    uint64_t bytes_ = 0;
    bool gave_up_ = false;
};

// Text of a file's as others may show it: valid UTF-8 without control characters, cut at `limit` bytes.
std::string shown(std::string_view text, size_t limit = kTextBytesKept);

// "invalid model file: <what>", reason "invalid_model_file".
Error invalid_model(const std::string& what);
// The same error with the file named: "model-00002-of-00004.safetensors: <what>". Other errors stay as they are.
Error in_file(const std::string& name, Error error);

// A regular file only: no FIFO, device or file of /proc or /sys, and no symbolic link but those of the hubs' caches (Hugging Face's
// "../../blobs/<digest>", ModelScope's to a name in the same folder); it stays open as long as the source lives.
// kNotFound, kPermissionDenied, kInvalidArgument.
Result<ByteSource> open_model_file(const std::string& path);

// The names in a folder, by the same rules, sorted, without "." and "..". kInvalidArgument where it holds more than `most`: a model's holds few.
Result<std::vector<std::string>> list_model_folder(const std::string& path, size_t most);

// True of a plain name that stays in its folder: no separator, not "." or "..", no control characters, at most 255 bytes.
bool plain_name(const std::string& name);

}  // namespace gantry::models
