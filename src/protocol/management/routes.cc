// Routes.
#include <fmt/format.h>

#include "protocol/management/fields.h"
#include "protocol/management/objects.h"

namespace gantry::protocol::management {
namespace {

constexpr char kNames[] = "must be 1 to 128 characters of letters, digits and . _ : / -, beginning with a letter or digit, without \"..\" or \"//\"";

std::optional<RouteTarget> read_target(FieldReader& outer, const json::value& item, size_t index) {
    const std::string path = fmt::format("targets[{}]", index);
    if (!item.is_object()) {
        outer.fail(path, fmt::format("\"{}\" must be an object", path));
        return std::nullopt;
    }
    FieldReader reader(item.get_object(), path + ".");
    reader.require("model");
    RouteTarget target;
    if (auto model = reader.string("model", 128)) target.model = *std::move(model);
    if (const auto weight = reader.integer("weight", 0, kRouteWeightMax)) target.weight = static_cast<uint32_t>(*weight);
    if (Status status = reader.finish(); !status) {
        outer.fail(status.error());
        return std::nullopt;
    }
    return target;
}

std::optional<std::vector<RouteTarget>> read_targets(FieldReader& reader) {
    const json::array* items = reader.array("targets");
    if (items == nullptr) return std::nullopt;
    if (items->empty() || items->size() > kRouteTargetsMax) {
        reader.fail("targets", fmt::format("\"targets\" must hold 1 to {} targets", kRouteTargetsMax));
        return std::nullopt;
    }
    std::vector<RouteTarget> targets;
    for (size_t i = 0; i < items->size(); ++i) {
        auto target = read_target(reader, (*items)[i], i);
        if (!target) return std::nullopt;
        targets.push_back(*std::move(target));
    }
    return targets;
}

// What creating and editing share.
RouteInput read_route(FieldReader& reader) {
    RouteInput input;
    input.targets = read_targets(reader);
    input.fallback = reader.string("fallback", 128);
    if (reader.is_null("fallback")) input.fallback = "";
    input.disabled = reader.boolean("disabled");
    return input;
}

}  // namespace

json::object to_json(const Route& r) {
    json::array targets;
    for (const RouteTarget& target : r.targets) {
        targets.push_back(json::object{{"model", target.model}, {"weight", target.weight}});
    }
    return {{"id", r.id.text},
            {"name", r.name},
            {"targets", std::move(targets)},
            {"fallback", r.fallback.empty() ? json::value(nullptr) : json::value(r.fallback)},
            {"disabled", r.disabled},
            {"version", r.version},
            {"created_at", to_rfc3339(r.created_at)},
            {"updated_at", to_rfc3339(r.updated_at)}};
}

void RouteInput::apply_to(Route& route) const {
    if (name) route.name = *name;
    if (targets) route.targets = *targets;
    if (fallback) route.fallback = *fallback;
    if (disabled) route.disabled = *disabled;
}

Result<RouteInput> parse_route_create(std::string_view body) {
    Result<json::object> object = parse_object(body);
    if (!object) return object.error();
    FieldReader reader(*object);
    reader.require("name");
    reader.require("targets");
    auto name = reader.string("name", 1024);
    if (name && !valid_deployment_name(*name)) reader.fail("name", fmt::format("\"name\" {}", kNames));
    RouteInput input = read_route(reader);
    input.name = std::move(name);
    if (Status status = reader.finish(); !status) return status.error();
    return input;
}

Result<RouteInput> parse_route_patch(std::string_view body) {
    Result<json::object> object = parse_object(body);
    if (!object) return object.error();
    FieldReader reader(*object);
    RouteInput input = read_route(reader);
    input.version = reader.integer("version", 1, INT64_MAX);
    if (Status status = reader.finish(); !status) return status.error();
    return input;
}

}  // namespace gantry::protocol::management
