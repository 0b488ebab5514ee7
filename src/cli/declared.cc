#include "cli/declared.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "cli/deployment_flags.h"
#include "cli/output.h"
#include "protocol/management/objects.h"
#include "sources/choose.h"

namespace gantry::cli {
namespace {

// What a deployment is made of; the rest of its object is the server's.
constexpr const char* kFields[] = {"source", "backend", "options", "placement", "rollout", "replicas", "stopped", "idle_timeout_seconds"};

json::object whole(const Deployment& deployment) {
    const json::object all = protocol::management::to_json(deployment, {});
    json::object out{{"name", deployment.name}};
    for (const char* field : kFields) {
        out[field] = all.at(field);
    }
    return out;
}

Result<json::object> read_one(json::object given) {
    if (const json::value* source = given.if_contains("source"); source != nullptr && source->is_string()) {
        given["source"] = full_source(std::string(source->get_string()));
    }
    const auto input = protocol::management::parse_deployment_create(json::serialize(given));
    if (!input) {
        return input.error();
    }
    Deployment deployment;
    input->apply_to(deployment);
    return whole(deployment);
}

// `from` may lack fields: of an older server.
void add_changes(const std::string& field, const json::value& from, const json::value& to, std::vector<FieldChange>& out) {
    if (from == to) {
        return;
    }
    const bool groups = from.is_object() && to.is_object() && field.find('.') == std::string::npos;
    if (!groups) {
        out.push_back({field, from, to});
        return;
    }
    for (const auto& inner : to.get_object()) {
        const json::value* before = from.get_object().if_contains(inner.key());
        add_changes(field + "." + std::string(inner.key()), before == nullptr ? json::value() : *before, inner.value(), out);
    }
}

// The file leaves the quantization to the server, and the server has chosen one.
bool settled(const json::value& wanted, const json::value& is) {
    const auto open = parse_source(std::string(wanted.as_string()));
    const auto chosen = is.is_string() ? parse_source(std::string(is.get_string())) : open;
    return open && chosen && sources::is_offer_of(*open, *chosen);
}

}  // namespace

Result<std::vector<json::object>> read_declared(std::string_view text) {
    const Result<json::value> parsed = parse_json(text);
    if (!parsed) {
        return parsed.error();
    }
    const json::value* list = parsed->is_object() ? parsed->get_object().if_contains("deployments") : nullptr;
    if (list == nullptr || !list->is_array() || parsed->get_object().size() != 1) {
        return invalid_argument("the file must hold one object with nothing but a list \"deployments\"; `gantry export` writes such a one");
    }
    std::vector<json::object> out;
    std::set<std::string> names;
    for (const json::value& item : list->get_array()) {
        const size_t number = out.size() + 1;
        if (!item.is_object()) {
            return invalid_argument(fmt::format("deployment {} of the file is no object", number));
        }
        Result<json::object> one = read_one(item.get_object());
        const std::string name = one ? text_at(*one, "name") : text_at(item.get_object(), "name");
        if (!one) {
            return invalid_argument(fmt::format("deployment {} of the file{}: {}", number,
                                                name.empty() ? "" : fmt::format(" (\"{}\")", name), one.error().message));
        }
        if (!names.insert(name).second) {
            return invalid_argument(fmt::format("the file declares \"{}\" twice", name));
        }
        out.push_back(*std::move(one));
    }
    return out;
}

Difference compare(const std::vector<json::object>& declared, const json::array& there) {
    Difference difference;
    std::set<std::string> names;
    for (const json::object& wanted : declared) {
        const std::string name = text_at(wanted, "name");
        names.insert(name);
        const auto found = std::find_if(there.begin(), there.end(),
                                        [&name](const json::value& one) { return text_at(one.get_object(), "name") == name; });
        if (found == there.end()) {
            difference.created.push_back({wanted, {}});
            continue;
        }
        DeploymentChange change{wanted, found->get_object()};
        for (const char* field : kFields) {
            const json::value* is = change.is.if_contains(field);
            if (std::string_view(field) == "source" && is != nullptr && settled(wanted.at(field), *is)) {
                continue;
            }
            add_changes(field, is == nullptr ? json::value() : *is, wanted.at(field), change.changes);
        }
        if (change.changes.empty()) {
            difference.unchanged.push_back(name);
        } else {
            difference.changed.push_back(std::move(change));
        }
    }
    for (const json::value& one : there) {
        if (!names.contains(text_at(one.get_object(), "name"))) {
            difference.undeclared.push_back(one.get_object());
        }
    }
    return difference;
}

std::string export_text(const json::array& there) {
    const json::object defaults = whole(Deployment{});
    std::string text = "{\"deployments\": [";
    const char* before = "\n  ";
    for (const json::value& item : there) {
        const json::object& is = item.get_object();
        json::object out{{"name", text_at(is, "name")}, {"source", text_at(is, "source")}};
        for (const char* field : kFields) {
            const json::value* value = is.if_contains(field);
            if (value == nullptr || std::string_view(field) == "source" || *value == defaults.at(field)) {
                continue;
            }
            if (!value->is_object()) {
                out[field] = *value;
                continue;
            }
            json::object inner;
            for (const auto& field_of : value->get_object()) {
                const json::value* normal = defaults.at(field).get_object().if_contains(field_of.key());
                if (normal == nullptr || *normal != field_of.value()) {
                    inner[field_of.key()] = field_of.value();
                }
            }
            out[field] = std::move(inner);
        }
        text += before + json::serialize(out);
        before = ",\n  ";
    }
    return text + "\n]}\n";
}

}  // namespace gantry::cli
