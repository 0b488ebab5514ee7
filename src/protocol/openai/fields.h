#pragma once
// Reading fields out of JSON with their path in every error. Internal to protocol/openai.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "protocol/openai/generation.h"

namespace gantry::protocol::openai {

// The field, or null when it is absent or JSON null (which SDKs send for "not set").
const json::value* find(const json::object& object, std::string_view key);

// kInvalidArgument: `path` must be <wanted>, not a <what it is>.
Error wrong_type(const std::string& path, std::string_view wanted, const json::value& got);

Result<const json::object*> as_object(const json::value& value, const std::string& path);
Result<const json::array*> as_array(const json::value& value, const std::string& path);
Result<std::string> as_string(const json::value& value, const std::string& path);
Result<bool> as_bool(const json::value& value, const std::string& path);
// Finite, min..max.
Result<double> as_number(const json::value& value, const std::string& path, double min, double max);
// A whole number (2.0 counts as one), min..max; what does not fit 64 bits is out of range.
Result<int64_t> as_integer(const json::value& value, const std::string& path, int64_t min,
                           int64_t max);

// The fields that chat and completions share.
Status parse_generation(const json::object& body, Generation& out);

}  // namespace gantry::protocol::openai
