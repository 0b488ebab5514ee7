#pragma once
// One streamed answer of /v1/chat/completions; Ctrl-C cancels it, also while it waits for its first token.

#include <functional>
#include <string>

#include "base/json.h"
#include "cli/client.h"

namespace gantry::cli {

struct ChatOptions {
    std::string model;
    double temperature = -1;    // < 0: the server's own default
    uint32_t max_tokens = 0;    // 0: to the end of the context
};

struct ChatAnswer {
    std::string text;
    bool cancelled = false;     // by Ctrl-C
    std::string finish_reason;
    uint32_t output_tokens = 0;
};

// `on_text(piece, reasoning)` as it arrives. SIGINT is caught from the call to its return.
Result<ChatAnswer> chat(const ApiClient& api, const ChatOptions& options, const json::array& messages,
                        const std::function<void(const std::string&, bool reasoning)>& on_text);

}  // namespace gantry::cli
