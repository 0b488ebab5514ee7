#pragma once
// Reading fields out of JSON with their path in every error. For the parsers of requests, in this library and around it.

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
GANTRY_COLD Error wrong_type(const std::string& path, std::string_view wanted, const json::value& got);

Result<const json::object*> as_object(const json::value& value, const std::string& path);
Result<const json::array*> as_array(const json::value& value, const std::string& path);
Result<std::string> as_string(const json::value& value, const std::string& path);
Result<bool> as_bool(const json::value& value, const std::string& path);
// Finite, min..max.
Result<double> as_number(const json::value& value, const std::string& path, double min, double max);
// A whole number (2.0 counts as one), min..max; what does not fit 64 bits is out of range.
Result<int64_t> as_integer(const json::value& value, const std::string& path, int64_t min,
                           int64_t max);

// kInvalidArgument "missing_required_parameter": '<path>' is missing (: send <what>).
GANTRY_COLD Error missing_field(const std::string& path, std::string_view what = {});
// kInvalidArgument "unsupported_parameter".
GANTRY_COLD Error unsupported_field(const std::string& path, std::string message);
// A string that must be there. `path`: of the object; empty: the body.
Result<std::string> required_text(const json::object& object, std::string_view key,
                                  const std::string& path);
// An object that says by its "type" what it is.
struct TypedObject {
    const json::object* fields;
    std::string type;
};
Result<TypedObject> as_typed_object(const json::value& value, const std::string& path);

// `model`; empty when there is none.
Result<std::string> parse_model(const json::object& body);

// What an engine answered, where what is missing or of another type counts as nothing.
const json::object* object_at(const json::object& object, std::string_view key);
const json::array* array_at(const json::object& object, std::string_view key);
std::string_view text_at(const json::object& object, std::string_view key);

// The fields that chat and completions share.
Status parse_generation(const json::object& body, Generation& out);

}  // namespace gantry::protocol::openai
