// Audit events: what a change changed, and events as JSON and as CSV.
#include <algorithm>
#include <cctype>
#include <string_view>

#include "base/ascii.h"
#include "protocol/management/csv.h"
#include "protocol/management/objects.h"
#include "protocol/openai/utf8.h"

namespace gantry::protocol::management {
namespace {

constexpr size_t kChangesMax = 100;
constexpr size_t kValueBytesMax = 1024;

// What changes by itself, or is not desired state.
constexpr std::string_view kPassedOver[] = {"id",        "version",   "generation", "created_at", "updated_at", "status", "state", "devices",
                                            "last_report_at", "gantry_version", "progress", "user_name", "prefix", "path", "meta"};

bool contains(std::string_view text, std::string_view word) {
    const auto found = std::search(text.begin(), text.end(), word.begin(), word.end(), [](char a, char b) { return to_lower(a) == to_lower(b); });
    return found != text.end();
}

bool is_secret_name(std::string_view name) {
    for (const char* word : {"password", "secret", "token", "api_key", "api-key", "apikey", "credential"}) {
        if (contains(name, word)) return true;
    }
    return false;
}

bool is_secret(const std::string& field, const json::value* value) {
    if (value == nullptr || value->is_null()) return false;
    if (field.starts_with("options.env.")) return true;
    // "tokens_per_minute" counts tokens, and "must_change_password" is none.
    if (is_secret_name(field)) return !value->is_number() && !value->is_bool();
    // A command line may carry one behind a flag.
    const json::array* words = value->if_array();
    return words != nullptr && std::any_of(words->begin(), words->end(), [](const json::value& word) {
               return word.is_string() && is_secret_name(word.get_string());
           });
}

std::string cut(const std::string& text) {
    const std::string_view kept = openai::beginning(text, kValueBytesMax);
    return std::string(kept) + (kept.size() < text.size() ? "..." : "");
}

std::optional<std::string> shown(const json::value* value) {
    if (value == nullptr || value->is_null()) return std::nullopt;
    if (const json::string* text = value->if_string()) return cut(std::string(text->data(), text->size()));
    return cut(json::serialize(*value));
}

class Comparison {
public:
    std::vector<AuditChange> changes;

    void objects(const std::string& prefix, const json::object& before, const json::object& after) {
        for (const auto& field : after) compare(prefix + std::string(field.key()), before.if_contains(field.key()), &field.value());
        for (const auto& field : before) {
            if (!after.contains(field.key())) compare(prefix + std::string(field.key()), &field.value(), nullptr);
        }
    }

private:
    void compare(const std::string& field, const json::value* before, const json::value* after) {
        const bool passed_over = std::find(std::begin(kPassedOver), std::end(kPassedOver), field) != std::end(kPassedOver);
        if (passed_over || changes.size() >= kChangesMax) return;
        const json::object* a = before != nullptr ? before->if_object() : nullptr;
        const json::object* b = after != nullptr ? after->if_object() : nullptr;
        if (a != nullptr || b != nullptr) {
            static const json::object kNone;
            objects(field + ".", a != nullptr ? *a : kNone, b != nullptr ? *b : kNone);
            return;
        }
        const auto nothing = [](const json::value* value) { return value == nullptr || value->is_null(); };
        if (nothing(before) && nothing(after)) return;
        if (!nothing(before) && !nothing(after) && *before == *after) return;
        if (is_secret(field, before) || is_secret(field, after)) {
            changes.push_back({field, std::nullopt, std::nullopt});
        } else {
            changes.push_back({field, shown(before), shown(after)});
        }
    }
};

std::string changes_text(const std::vector<AuditChange>& changes) {
    std::string out;
    for (const AuditChange& change : changes) {
        if (!out.empty()) out += "; ";
        out += change.field;
        if (change.from || change.to) out += ": " + change.from.value_or("-") + " -> " + change.to.value_or("-");
    }
    return out;
}

}  // namespace

std::vector<AuditChange> changes_between(const json::object& before, const json::object& after) {
    Comparison comparison;
    comparison.objects("", before, after);
    return std::move(comparison.changes);
}

std::vector<AuditChange> changes_of_body(const json::object& body, const json::object* made) {
    json::object given;
    for (const auto& field : body) {
        const json::value* value = made != nullptr ? made->if_contains(field.key()) : nullptr;
        given[field.key()] = value != nullptr && !value->is_object() ? *value : field.value();
    }
    return changes_between({}, given);
}

json::object to_json(const AuditEvent& e) {
    const auto text = [](const std::optional<std::string>& value) { return value ? json::value(*value) : json::value(nullptr); };
    json::array changes;
    for (const AuditChange& change : e.changes) {
        changes.emplace_back(json::object{{"field", change.field}, {"from", text(change.from)}, {"to", text(change.to)}});
    }
    return {{"id", e.id.text},
            {"at", to_rfc3339(e.at)},
            {"actor_id", e.actor_id.text},
            {"actor_name", e.actor_name},
            {"via", e.via},
            {"peer", e.peer},
            {"method", e.method},
            {"action", e.action},
            {"object_kind", e.object_kind},
            {"object_id", e.object_id},
            {"object_name", e.object_name},
            {"changes", std::move(changes)},
            {"request_id", e.request_id},
            {"status", e.status}};
}

void audit_csv_header(std::string& out) {
    csv_header(out, {"id", "at", "actor_id", "actor_name", "via", "peer", "method", "action", "object_kind", "object_id", "object_name",
                     "changes", "request_id", "status"});
}

void add_csv(std::string& out, const AuditEvent& e) {
    CsvRow row(out);
    row.add(e.id.text).add(to_rfc3339(e.at)).add(e.actor_id.text).add(e.actor_name).add(e.via).add(e.peer).add(e.method).add(e.action);
    row.add(e.object_kind).add(e.object_id).add(e.object_name).add(changes_text(e.changes)).add(e.request_id).add(int64_t{e.status}).end();
}

}  // namespace gantry::protocol::management
