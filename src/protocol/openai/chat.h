#pragma once
// POST /v1/chat/completions: the request. parse_chat() checks what OpenAI's API defines;
// check_supported() then says what a given engine can't do, so that the gateway may check a request
// that it passes on to a more able engine. Threads: any.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "protocol/openai/generation.h"
#include "protocol/openai/response_format.h"
#include "protocol/openai/tool_call.h"

namespace gantry::protocol::openai {

inline constexpr size_t kMessagesMax = 10'000;
inline constexpr size_t kPartsMax = 1'000;  // content parts of one message
inline constexpr size_t kToolsMax = 128;
inline constexpr size_t kToolNameMax = 64;  // bytes of [A-Za-z0-9_-]; a schema's name has the same

struct Message {
    std::string role;     // "system" ("developer" becomes that), "user", "assistant" or "tool"
    std::string content;  // text; text parts joined by a line feed
    std::string reasoning_content;  // assistant; also accepted as "reasoning"
    std::string name;
    std::string tool_call_id;          // tool
    std::vector<ToolCall> tool_calls;  // assistant
};

enum class ToolChoice { kAuto, kRequired, kNamed };

struct ChatRequest {
    std::string model;              // may be empty for an engine that serves one model only
    std::vector<Message> messages;  // at least one
    Generation generation;
    json::array tools;        // validated; empty when tool_choice is "none"
    ToolChoice tool_choice = ToolChoice::kAuto;
    std::string tool_choice_name;  // kNamed: one of the tools
    bool parallel_tool_calls = true;
    std::string first_media;  // JSON path of the first image or audio part; empty: text only
    // Of the first picture that no engine of ours is given (pictures.h); an outside provider may be.
    std::optional<Error> unfit_picture{};
    ResponseFormat response_format;
    std::optional<bool>
        enable_thinking;  // chat_template_kwargs.enable_thinking, the only one taken
};

Result<ChatRequest> parse_chat(const json::value& body);

// What an engine can do beyond text.
struct Capabilities {
    bool media = false;
    bool tools = false;
    bool structured_output = false;
};
// kInvalidArgument for the first thing asked for that is missing: never an answer that silently
// lacks it.
Status check_supported(const ChatRequest& request, const Capabilities& capabilities);

}  // namespace gantry::protocol::openai
