#pragma once
// Strings and numbers of a schema, written anew, and what reading any part of one needs. Internal to grammar/.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace gantry::engine_server {

// kInvalidArgument: "'path' why".
Error unsupported_schema(const std::string& path, const std::string& why);
Error invalid_schema(const std::string& path, const std::string& why);

// path.key, a long key cut.
std::string child_path(const std::string& path, std::string_view key);

// A count in 0..max, `otherwise` where there is none.
Result<int64_t> count_at(const json::object& fields, std::string_view key, const std::string& path, int64_t max, int64_t otherwise);

struct WrittenScalar {
    json::object schema;
    uint64_t cost = 0;  // as Pattern::cost
};

// The keywords of that type in `fields`; others are not looked at.
Result<WrittenScalar> write_string(const json::object& fields, const std::string& path);
Result<WrittenScalar> write_integer(const json::object& fields, const std::string& path);
Result<WrittenScalar> write_number(const json::object& fields, const std::string& path);

}  // namespace gantry::engine_server
