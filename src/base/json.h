#pragma once
// Boost.JSON with our limits. JSON is read and written in protocol/ only; this is what it (and the CLI) builds on.

#include <boost/json.hpp>

#include <string_view>

#include "base/result.h"

namespace gantry {

namespace json = boost::json;

inline constexpr size_t kJsonDepthMax = 64;

// Parses one JSON text. kInvalidArgument with the byte offset for what is no JSON, for invalid UTF-8, for nesting over
// kJsonDepthMax, for a second value after the first. Duplicate keys: the last one wins.
Result<json::value> parse_json(std::string_view text);

}  // namespace gantry
