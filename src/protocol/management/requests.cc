// Requests in flight as JSON.
#include "protocol/management/objects.h"

namespace gantry::protocol::management {

json::object to_json(const LiveRequest& r, const std::string& key_name, bool for_admin) {
    return {{"id", r.id},
            {"age_ms", r.age_ms},
            {"user_id", r.user_id.text},
            {"user_name", r.user_name},
            {"key_id", r.key_id.text},
            {"key_name", key_name},
            {"peer", for_admin ? json::value(r.peer) : json::value(nullptr)},
            {"model", r.model},
            {"instance_id", r.instance_id.text},
            {"operation", r.operation},
            {"stream", r.stream},
            {"state", to_string(r.state)},
            {"body_bytes", r.body_bytes},
            {"prompt_tokens", r.prompt_tokens ? json::value(*r.prompt_tokens) : json::value(nullptr)},
            {"completion_tokens", r.completion_tokens}};
}

}  // namespace gantry::protocol::management
