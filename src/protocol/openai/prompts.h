#pragma once
// What completions and embeddings read: one text or several, each as text or as token ids. Threads:
// any.

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace gantry::protocol::openai {

using Prompt = std::variant<std::string, std::vector<int32_t>>;  // text, or token ids (checked
                                                                 // against no vocabulary here)

// A string, strings, token ids, or lists of token ids: the first item of an array says which. 1 to
// `most` of them; `path` names the field in errors.
Result<std::vector<Prompt>> parse_prompts(const json::value& value, const std::string& path,
                                          size_t most);

}  // namespace gantry::protocol::openai
