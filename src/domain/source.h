#pragma once
// Where a model comes from, as people write it:
//
//   file:/abs/path                       a GGUF file or a folder on the worker
//   hf:ORG/NAME[@REVISION][/FILE]        of huggingface.co, or the mirror that HF_ENDPOINT names
//   hf:ORG/NAME[@REVISION]:QUANTIZATION  the file, or the parts, of that quantization: ":Q4_K_M"
//   modelscope:...                       the same of modelscope.cn
//
// Without a file the worker takes the one model that the repository holds. Plain values, no I/O. Threads: any.

#include <string>

#include "base/result.h"

namespace gantry {

enum class SourceKind { kFile, kHuggingFace, kModelScope };

struct Source {
    SourceKind kind = SourceKind::kFile;
    std::string path{};           // kFile; absolute
    std::string repository{};     // of a hub: "Qwen/Qwen2.5-0.5B-Instruct-GGUF"
    std::string revision{};       // a branch, tag or commit; empty: the repository's usual branch
    std::string file{};           // a path in the repository; empty: it is chosen
    std::string quantization{};   // as asked for; empty: any

    bool from_hub() const { return kind != SourceKind::kFile; }
    const char* hub() const { return kind == SourceKind::kHuggingFace ? "Hugging Face" : "ModelScope"; }   // for a person
    std::string text() const;     // reads back as the same
    bool operator==(const Source&) const = default;
};

inline constexpr size_t kSourceBytesMax = 4096 + 16;

Result<Source> parse_source(const std::string& text);   // kInvalidArgument, with param "source"

// Part of a path that stays below where it begins: names that any of our systems keeps apart, none "", "." or "..", no backslash, no
// control character, at most 255 bytes each and 1,024 in all. What a hub says a file is called is such a path, or no file of ours.
bool safe_relative_path(const std::string& path);

}  // namespace gantry
