#pragma once
// The engine's own HTTP front: `gantry engine`. Alone it is an OpenAI-compatible server as
// llama-server is: /health, any model name, no key unless asked for. Under a worker it listens on a
// Unix socket.
//
// /health: 503 {"status":"loading","progress":0.42} while the model loads, 200 {"status":"ok"}
// then, 503 {"status":"stalled"} when the loop has made no progress for 10 s while it has work.

#include <cstdint>
#include <string>

#include "base/result.h"

namespace gantry::engine_server {

struct EngineServerOptions {
    std::string model_path;
    std::string host = "127.0.0.1";
    uint16_t port =
        0;  // with no socket; 0: a free one, printed on stdout as "listening on HOST:PORT"
    std::string socket;      // Unix socket path; wins over port
    std::string model_name;  // in answers; empty: the request's own
    std::string api_key;     // empty: none needed
    uint32_t context_tokens = 0;
    uint32_t max_sequences = 0;
    uint32_t threads = 0;
    std::string kv_type = "f16";           // or "q8_0"
    std::string flash_attention = "auto";  // or "on", "off"
    std::string kernels = "on";            // or "off": ggml's own code computes everything
    std::string packed_cache;              // folder for packed weights between starts; empty: they are packed at each
    uint32_t packed_cache_gib = 16;        // of them at most; 0: none
    double sleep_after_s = 0;              // idle for so long: the KV cache is given back; 0: never
    std::string chat_template_path;  // a Jinja file instead of the model's own template
    std::string draft_model_path;   // a smaller model of the same vocabulary that guesses ahead
    bool speculate = true;          // guess ahead, where that pays
    int64_t prefix_cache_mib = -1;  // of KV kept at most for prompts to come; -1: all that is free
    std::string pooling;  // "mean", "cls", "last", "rank": make embeddings; "none": generate text;
                          // empty: what the model's file is for
    std::string
        exit_file;  // where to write why it ended, one JSON object, for the worker that adopts it
};

// Runs until SIGTERM or SIGINT (drains at most 5 s, a second one ends at once). Returns the exit
// status.
int run_engine_server(const EngineServerOptions& options);

}  // namespace gantry::engine_server
