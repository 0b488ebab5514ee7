#pragma once
// The tools part of a chat request. Internal to protocol/openai.

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "protocol/openai/chat.h"

namespace gantry::protocol::openai {

// 1 to kToolNameMax of a-z, A-Z, 0-9, _ and -.
bool valid_name(const std::string& name);

// `tool_calls` of an assistant message in the history.
Result<std::vector<ToolCall>> parse_tool_calls(const json::value& value, const std::string& path);

// `tools`, `tool_choice` and `parallel_tool_calls`. The tools are empty when tool_choice is "none",
// but checked.
Status parse_tools(const json::object& fields, ChatRequest& request);

}  // namespace gantry::protocol::openai
