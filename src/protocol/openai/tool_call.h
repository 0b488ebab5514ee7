#pragma once
// A call of a tool, as it stands in a message of the assistant: in requests and in answers.

#include <string>

namespace gantry::protocol::openai {

struct ToolCall {
    std::string id;
    std::string name;
    std::string arguments;  // JSON text, as the model wrote it
};

}  // namespace gantry::protocol::openai
