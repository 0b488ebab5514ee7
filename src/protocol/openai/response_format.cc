#include "protocol/openai/response_format.h"

#include <fmt/format.h>

#include "protocol/openai/chat_tools.h"
#include "protocol/openai/fields.h"

namespace gantry::protocol::openai {
namespace {

Status parse_json_schema(ResponseFormat& format, const json::object& fields) {
    const std::string path = "response_format.json_schema";
    const json::value* value = find(fields, "json_schema");
    if (value == nullptr) {
        return missing_field(path);
    }
    Result<const json::object*> object = as_object(*value, path);
    if (!object) {
        return object.error();
    }
    Result<std::string> name = required_text(**object, "name", path);
    if (!name) {
        return name.error();
    }
    format.name = *std::move(name);
    if (!valid_name(format.name)) {
        return invalid_argument(
            fmt::format("'{}.name' must have 1 to {} of a-z, A-Z, 0-9, _ and -", path, kToolNameMax),
            path + ".name");
    }
    if (const json::value* description = find(**object, "description")) {
        GANTRY_TRY(as_string(*description, path + ".description"));
    }
    if (const json::value* strict = find(**object, "strict")) {
        Result<bool> flag = as_bool(*strict, path + ".strict");
        if (!flag) {
            return flag.error();
        }
        format.strict = *flag;
    }
    const json::value* schema = find(**object, "schema");
    if (schema == nullptr) {
        return missing_field(kSchemaPath);
    }
    GANTRY_TRY(as_object(*schema, kSchemaPath));
    format.schema = *schema;
    return Ok{};
}

}  // namespace

Status parse_response_format(const json::object& fields, ResponseFormat& out) {
    const json::value* value = find(fields, "response_format");
    if (value == nullptr) {
        return Ok{};
    }
    Result<TypedObject> format = as_typed_object(*value, "response_format");
    if (!format) {
        return format.error();
    }
    const auto& [object, type] = *format;
    if (type == "json_schema") {
        out.kind = ResponseFormat::Kind::kJsonSchema;
        return parse_json_schema(out, *object);
    }
    if (type == "json_object") {
        out.kind = ResponseFormat::Kind::kJsonObject;
    } else if (type != "text") {
        return invalid_argument("'response_format.type' must be text, json_object or json_schema",
                                "response_format.type");
    }
    return Ok{};
}

}  // namespace gantry::protocol::openai
