#include "control/api/audit_recorder.h"

#include "base/log.h"
#include "base/metrics.h"
#include "control/api/lookup.h"
#include "protocol/management/objects.h"
#include "protocol/openai/errors.h"
#include "protocol/openai/utf8.h"

namespace gantry::control {
namespace {

namespace management = protocol::management;

constexpr std::string_view kRoot = "/api/v1/";
constexpr size_t kNameBytesMax = 64;

// "/api/v1/deployments/{id...}" -> "deployment"
std::string kind_of(std::string_view pattern) {
    pattern.remove_prefix(std::min(kRoot.size(), pattern.size()));
    std::string kind(pattern.substr(0, pattern.find('/')));
    if (kind.ends_with('s')) kind.pop_back();
    return kind;
}

std::string action_of(const std::string& kind, const std::string& method) {
    if (method == "DELETE") return kind == "instance" ? "restart" : kind == "request" ? "cancel" : "delete";
    return method == "POST" ? "create" : "update";
}

std::string via(const Call& call) {
    if (call.who == nullptr) return "password";
    if (call.request.listener == "admin") return "admin socket";
    return call.who->key_id.empty() ? "session" : call.who->key_id.text;
}

std::string string_at(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

// The object as the API shows it to an admin; nullopt: it is not there, and the handler will say so.
std::optional<json::object> read_object(ApiContext& api, const std::string& kind, const std::string& id) {
    const auto shown = [](const auto& found) {
        return found ? std::optional(management::to_json(*found)) : std::nullopt;
    };
    if (kind == "user") return shown(find_user(api.store, id));
    if (kind == "model") return shown(find_model(api.store, id));
    if (kind == "provider") return shown(find_provider(api.store, id));
    if (kind == "route") return shown(find_route(api.store, id));
    if (kind == "worker") return shown(find_worker(api, id));
    if (kind == "deployment") {
        const auto found = find_deployment(api.store, id);
        if (found) return management::to_json(*found, {});
    }
    if (kind == "benchmark") {
        const auto found = api.store.benchmark(BenchmarkId(id));
        if (found) return management::to_json(*found, 0, false);
    }
    if (kind == "key") {
        const auto found = api.store.key(ApiKeyId(id));
        if (found) return management::to_json(*found, "");
    }
    if (kind == "instance") {
        const auto found = api.store.instance(InstanceId(id));
        if (!found) return std::nullopt;
        const auto deployment = api.store.deployment(found->deployment_id);
        return management::to_json(*found, deployment ? deployment->name : "", {});
    }
    return std::nullopt;
}

// The beginning of a text of a stranger's: whole characters, none that steers a terminal.
std::string beginning(std::string_view text) {
    const std::string_view kept = protocol::openai::beginning(text, kNameBytesMax);
    return log::escape(kept) + (kept.size() < text.size() ? "..." : "");
}

json::object object_of(const std::string& text) {
    auto value = parse_json(text);
    return value && value->is_object() ? std::move(value->get_object()) : json::object();
}

// What an edit gave that the object does not show: a new password.
void add_unseen(std::vector<AuditChange>& changes, const json::object& body, const json::object& after) {
    for (const auto& field : body) {
        if (!after.contains(field.key())) changes.push_back({std::string(field.key()), std::nullopt, std::nullopt});
    }
}

}  // namespace

bool AuditRecorder::changes(const ApiRoute& route) {
    const std::string_view pattern = route.pattern;
    return std::string_view(route.method) != "GET" && !pattern.ends_with("/test") && pattern != "/api/v1/evaluations";
}

AuditRecorder::AuditRecorder(ApiContext& api, const ApiRoute& route, const Call& call)
    : api_(api), call_(call), changes_(changes(route)) {
    if (!changes_) return;
    const std::string_view pattern = route.pattern;
    event_.object_kind = kind_of(pattern);
    event_.action = action_of(event_.object_kind, route.method);
    if (pattern.ends_with("/rollback") || pattern.ends_with("/verify")) event_.action = "update";
    if (pattern.ends_with("/cancel")) event_.action = "cancel";
    if (pattern.ends_with("/sleep")) event_.action = "sleep";
    if (pattern == "/api/v1/auth/login" || pattern == "/api/v1/auth/logout") {
        event_.object_kind = "session";
        event_.action = pattern.substr(pattern.rfind('/') + 1);
    } else if (pattern == "/api/v1/auth/password") {
        event_.object_kind = "user";
        event_.action = "update";
    } else if (const auto id = call.request.params.find("id"); id != call.request.params.end()) {
        before_ = read_object(api, event_.object_kind, id->second);
    }
    event_.via = via(call);
    event_.peer = call.request.peer;
    event_.method = route.method;
    event_.request_id = call.request.id;
    if (call.who != nullptr) {
        event_.actor_id = call.who->user_id;
        event_.actor_name = call.who->user_name;
    }
}

void AuditRecorder::record(const Result<Answer>& answer) {
    static auto& lost = metrics::counter("gantry_audit_lost_total", "Changes whose record in the audit log could not be written");
    if (!changes_) return;
    event_.status = answer ? answer->status : protocol::openai::http_status(answer.error().code);
    const bool recorded = event_.action == "login" ? describe_login(answer) : answer && answer->status < 300 && describe(*answer);
    if (!recorded) return;
    event_.id = new_id<AuditEventId>(api_.random, "aud");
    event_.at = api_.clock.wall();
    if (Status written = api_.store.add_audit(event_); !written) {
        lost.Increment();
        log::error("audit: {} of {} {} by {} (request {}) is done, but can't be recorded: {}", event_.action, event_.object_kind,
                   log::escape(event_.object_name, kNameBytesMax), log::escape(event_.actor_name, kNameBytesMax), event_.request_id,
                   written.error().message);
    }
}

void AuditRecorder::take_object(const json::object& object) {
    event_.object_id = string_at(object, "id");
    event_.object_name = string_at(object, event_.object_kind == "instance" ? "deployment_name" : "name");
    if (event_.object_kind == "request") {   // whose, and of which model
        event_.object_name = string_at(object, "user_name");
        event_.changes = {{"model", string_at(object, "model"), std::nullopt}};
    }
    if (event_.object_kind == "backup") {
        const std::string path = string_at(object, "path");
        event_.object_name = path.substr(path.rfind('/') + 1);
    }
}

bool AuditRecorder::describe(const Answer& answer) {
    if (event_.object_kind == "session") return call_.who->by_cookie;   // a key has no session to end
    if (call_.request.path == "/api/v1/auth/password") {
        event_.object_id = event_.actor_id.text;
        event_.object_name = event_.actor_name;
        event_.changes = {{"password", std::nullopt, std::nullopt}};
        return true;
    }
    const json::object after = object_of(answer.body);
    if (!after.empty()) take_object(after);
    else if (before_) take_object(*before_);
    const json::object body = object_of(call_.request.body);
    if (event_.action == "create") {
        event_.changes = management::changes_of_body(body, &after);
    } else if (event_.action == "update") {
        event_.changes = management::changes_between(before_ ? *before_ : json::object(), after);
        add_unseen(event_.changes, body, after);
        return !event_.changes.empty();
    }
    return true;
}

bool AuditRecorder::describe_login(const Result<Answer>& answer) {
    if (answer && answer->status == 200) {
        const json::object user = object_of(answer->body);
        event_.actor_id = UserId(string_at(user, "id"));
        event_.actor_name = event_.object_name = string_at(user, "name");
        return true;
    }
    if (answer || answer.error().code != ErrorCode::kUnauthenticated) return false;
    const FailedLogins::Turn turn = api_.failed_logins.next();
    if (!turn.listed) return false;
    event_.actor_name = event_.object_name = beginning(string_at(object_of(call_.request.body), "name"));
    if (turn.left_out > 0) event_.changes = {{"failed_logins_not_listed", std::nullopt, std::to_string(turn.left_out)}};
    return true;
}

}  // namespace gantry::control
