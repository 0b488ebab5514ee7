#pragma once
// `response_format`: what the form of an answer is held to. Threads: any.

#include <string>

#include "base/json.h"
#include "base/result.h"

namespace gantry::protocol::openai {

// What the answer must be. The schema is an object here, not read further: engines differ in what they take of it.
struct ResponseFormat {
    enum class Kind { kText, kJsonObject, kJsonSchema };
    Kind kind = Kind::kText;
    std::string name;     // kJsonSchema: of [A-Za-z0-9_-], 1 to 64 bytes
    json::value schema;   // kJsonSchema
    bool strict = false;
};
inline constexpr char kSchemaPath[] = "response_format.json_schema.schema";

// The field of a chat or a completion; left as it is where there is none.
Status parse_response_format(const json::object& fields, ResponseFormat& out);

}  // namespace gantry::protocol::openai
