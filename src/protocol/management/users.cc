// Users, keys and logins.
#include <fmt/format.h>

#include "protocol/management/fields.h"
#include "protocol/management/limits.h"
#include "protocol/management/objects.h"

namespace gantry::protocol::management {
namespace {

// Characters, not bytes: eight Chinese characters are a password, too.
size_t characters(const std::string& utf8) {
    size_t count = 0;
    for (const char c : utf8) count += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    return count;
}

std::optional<std::string> new_password(FieldReader& reader, std::string_view name) {
    auto password = reader.string(name, kPasswordBytesMax);
    if (password && characters(*password) < kPasswordCharsMin) {
        reader.fail(name, fmt::format("\"{}\" must have at least {} characters", name, kPasswordCharsMin));
    }
    return password;
}

void read_role(FieldReader& reader, UserInput& input) {
    const auto role = reader.string("role", 64);
    if (!role) return;
    input.role = role_from(*role);
    if (!input.role) reader.fail("role", "\"role\" must be \"admin\" or \"user\"");
}

// A key's name is for its owner's eyes: any text that fits a line.
std::optional<std::string> key_name(FieldReader& reader) {
    auto name = reader.string("name", 128);
    if (!name) return name;
    bool valid = !name->empty();
    for (const char c : *name) valid = valid && static_cast<unsigned char>(c) >= 0x20 && c != 0x7f;
    if (!valid) reader.fail("name", "\"name\" must be 1 to 128 bytes without control characters");
    return name;
}

void read_expiry(FieldReader& reader, KeyInput& input) {
    input.never_expires = reader.is_null("expires_at");
    input.expires_at = reader.time("expires_at");
}

void read_use(FieldReader& reader, KeyInput& input) {
    input.limits = read_limits(reader);
    input.scopes = read_scopes(reader);
    input.models = read_models(reader);
}

}  // namespace

bool valid_user_name(const std::string& name) {
    if (name.empty() || name.size() > 64) return false;
    for (const char c : name) {
        if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_' && c != '@' && c != '-') return false;
    }
    return true;
}

json::object to_json(const User& u) {
    return {{"id", u.id.text},
            {"name", u.name},
            {"role", gantry::to_string(u.role)},
            {"must_change_password", u.must_change_password},
            {"disabled", u.disabled},
            {"limits", to_json(u.limits)},
            {"models", json::array(u.models.begin(), u.models.end())},
            {"version", u.version},
            {"created_at", to_rfc3339(u.created_at)},
            {"updated_at", to_rfc3339(u.updated_at)}};
}

json::object to_json(const ApiKey& k, const std::string& user_name) {
    json::value expires;
    if (k.expires_at) expires = to_rfc3339(*k.expires_at);
    return {{"id", k.id.text},
            {"user_id", k.user_id.text},
            {"user_name", user_name},
            {"name", k.name},
            {"prefix", "gtk_" + k.public_id},
            {"expires_at", std::move(expires)},
            {"disabled", k.disabled},
            {"limits", to_json(k.limits)},
            {"scopes", to_json(k.scopes)},
            {"models", json::array(k.models.begin(), k.models.end())},
            {"version", k.version},
            {"created_at", to_rfc3339(k.created_at)}};
}

Result<UserInput> parse_user_create(std::string_view body) {
    Result<json::object> object = parse_object(body);
    if (!object) return object.error();
    FieldReader reader(*object);
    for (const char* name : {"name", "password", "role"}) reader.require(name);
    UserInput input;
    input.name = reader.string("name", 1024);
    if (input.name && !valid_user_name(*input.name)) {
        reader.fail("name", "\"name\" must be 1 to 64 characters of letters, digits and . _ @ -");
    }
    input.password = new_password(reader, "password");
    read_role(reader, input);
    input.must_change_password = reader.boolean("must_change_password");
    input.limits = read_limits(reader);
    input.models = read_models(reader);
    if (Status status = reader.finish(); !status) return status.error();
    return input;
}

Result<UserInput> parse_user_patch(std::string_view body) {
    Result<json::object> object = parse_object(body);
    if (!object) return object.error();
    FieldReader reader(*object);
    UserInput input;
    input.password = new_password(reader, "password");
    read_role(reader, input);
    input.disabled = reader.boolean("disabled");
    input.must_change_password = reader.boolean("must_change_password");
    input.limits = read_limits(reader);
    input.models = read_models(reader);
    input.version = reader.integer("version", 1, INT64_MAX);
    if (Status status = reader.finish(); !status) return status.error();
    return input;
}

Result<KeyInput> parse_key_create(std::string_view body) {
    Result<json::object> object = parse_object(body);
    if (!object) return object.error();
    FieldReader reader(*object);
    reader.require("name");
    KeyInput input;
    input.name = key_name(reader);
    input.user_id = reader.string("user_id", 128);
    read_expiry(reader, input);
    read_use(reader, input);
    if (Status status = reader.finish(); !status) return status.error();
    return input;
}

Result<KeyInput> parse_key_patch(std::string_view body) {
    Result<json::object> object = parse_object(body);
    if (!object) return object.error();
    FieldReader reader(*object);
    KeyInput input;
    input.name = key_name(reader);
    read_expiry(reader, input);
    read_use(reader, input);
    input.disabled = reader.boolean("disabled");
    input.version = reader.integer("version", 1, INT64_MAX);
    if (Status status = reader.finish(); !status) return status.error();
    return input;
}

Result<LoginInput> parse_login(std::string_view body) {
    Result<json::object> object = parse_object(body);
    if (!object) return object.error();
    FieldReader reader(*object);
    reader.require("name");
    reader.require("password");
    LoginInput input;
    input.name = reader.string("name", 1024).value_or("");
    input.password = reader.string("password", kPasswordBytesMax).value_or("");
    if (Status status = reader.finish(); !status) return status.error();
    return input;
}

Result<PasswordInput> parse_password(std::string_view body) {
    Result<json::object> object = parse_object(body);
    if (!object) return object.error();
    FieldReader reader(*object);
    reader.require("current_password");
    reader.require("new_password");
    PasswordInput input;
    input.current_password = reader.string("current_password", kPasswordBytesMax).value_or("");
    input.new_password = new_password(reader, "new_password").value_or("");
    if (Status status = reader.finish(); !status) return status.error();
    return input;
}

}  // namespace gantry::protocol::management
