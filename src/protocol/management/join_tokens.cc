// Tokens that machines join with. What of one is secret is shown once, by whoever makes it.
#include <fmt/format.h>

#include "protocol/management/fields.h"
#include "protocol/management/objects.h"

namespace gantry::protocol::management {

json::object to_json(const gantry::JoinToken& t, WallTime now) {
    return {{"id", t.id.text},
            {"name", t.name},
            {"state", state_of(t, now)},
            {"uses", t.uses},
            {"uses_left", t.uses_left},
            {"created_at", to_rfc3339(t.created_at)},
            {"expires_at", to_rfc3339(t.expires_at)}};
}

Result<JoinTokenInput> parse_join_token_create(std::string_view body) {
    JoinTokenInput input;
    if (body.empty()) return input;
    Result<json::object> object = parse_object(body);
    if (!object) return object.error();
    FieldReader reader(*object);
    input.name = reader.string("name", 128).value_or("");
    input.uses = static_cast<uint32_t>(reader.integer("uses", 1, kJoinTokenUsesMax).value_or(input.uses));
    input.lasts = std::chrono::seconds(reader.integer("expires_in_seconds", 1, kJoinTokenSecondsMax).value_or(input.lasts.count()));
    if (Status status = reader.finish(); !status) return status.error();
    return input;
}

}  // namespace gantry::protocol::management
