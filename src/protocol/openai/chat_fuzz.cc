// Any bytes as the body of a chat or completion request: an answer or a clean refusal.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/json.h"
#include "protocol/openai/chat.h"
#include "protocol/openai/completions.h"
#include "protocol/openai/errors.h"
#include "protocol/openai/upstream.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace gantry;
    using namespace gantry::protocol::openai;
    const Result<json::value> body = parse_json({reinterpret_cast<const char*>(data), size});
    if (!body) {
        return 0;
    }
    const Result<ChatRequest> chat = parse_chat(*body);
    if (chat) {
        GANTRY_ASSERT(!chat->messages.empty(), "a request has messages");
        GANTRY_ASSERT(chat->generation.n >= 1 && chat->generation.n <= kChoicesMax,
                      "n is in its range");
        (void)check_supported(*chat, {});
    } else {
        GANTRY_ASSERT(parse_json(error_json(chat.error())).ok(), "an error is JSON");
    }
    const Result<CompletionRequest> completion = parse_completion(*body);
    GANTRY_ASSERT(!completion || !completion->prompts.empty(), "a request has prompts");
    if (body->is_object()) {
        json::object forwarded = forward_body(body->get_object(), chat_fields());
        if (wants_stream(forwarded)) {
            ask_for_usage(forwarded);
        }
        (void)usage_of(body->get_object());
        (void)timings_of(body->get_object());
        (void)has_output(body->get_object());
        (void)is_usage_chunk(body->get_object());
        (void)error_of(500, *body);
    }
    return 0;
}
