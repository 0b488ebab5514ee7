#pragma once
// A model: something that can be served, as concrete files on a worker. Plain values, no I/O.

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/ids.h"

namespace gantry {

// Read from the file's header by our own bounded reader (models/gguf_reader.h). 0 or empty: the file does not say.
struct ModelMeta {
    std::string format;             // "gguf"
    std::string architecture;       // "llama", "qwen2", ...
    std::string name;               // the file's own
    std::string quantization;       // "Q4_1", "Q4_K_M", by the type most weights have
    uint64_t parameter_count = 0;
    uint64_t file_bytes = 0;
    uint32_t layers = 0;
    uint32_t context_length = 0;    // tokens the model was trained for
    uint32_t embedding_length = 0;
    uint32_t heads = 0;
    uint32_t heads_kv = 0;
    uint32_t key_length = 0;        // per head; 0: embedding_length / heads
    uint32_t value_length = 0;
    uint32_t vocabulary = 0;
    bool has_chat_template = false;
    std::string pooling;            // "mean", "cls", "last": makes embeddings so; "rank": ranks; empty: generates text
};

struct Model {
    ModelId id;
    std::string name;      // unique, what `gantry run NAME` takes: "smollm2-135m-instruct.q4_1"
    std::string source;    // "file:/abs/path.gguf"; other kinds of source come with their readers
    std::string path;      // the absolute path on the worker
    ModelMeta meta;
    int64_t version = 1;   // grows with every change; an edit names the one it saw
    WallTime created_at{};
    WallTime updated_at{};
};

}  // namespace gantry
