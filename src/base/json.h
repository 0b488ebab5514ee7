#pragma once
// Boost.JSON with our limits. JSON is read and written in protocol/ only; this is what it (and the CLI) builds on.

#include <boost/json.hpp>

#include <string>
#include <string_view>

#include "base/result.h"

namespace gantry {

namespace json = boost::json;

inline constexpr size_t kJsonDepthMax = 64;
inline constexpr size_t kJsonValuesMax = 1'000'000;   // a value takes tens of bytes, its text may take two

// Parses one JSON text. kInvalidArgument with the byte offset for what is no JSON, for invalid UTF-8, for nesting over
// kJsonDepthMax or more than kJsonValuesMax values, for numbers that no double holds, for a second value after the first.
// Duplicate keys: the last one wins.
Result<json::value> parse_json(std::string_view text);

// Appends `text` as a JSON string.
void append_json(std::string& out, std::string_view text);
void append_value(std::string& out, const json::value& value);   // as its text

}  // namespace gantry
