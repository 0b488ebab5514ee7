#include "engine_server/grammar/schema_proofs.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>
#include <utility>

#include "base/assert.h"

namespace gantry::engine_server {
namespace {

constexpr std::pair<std::string_view, Kinds> kNames[] = {{"null", kNull},     {"boolean", kBoolean}, {"integer", kInteger}, {"number", kNumber},
                                                         {"string", kString}, {"array", kArray},     {"object", kObject}};
constexpr int kBranchDepthMax = 16;

size_t number_of(const json::object& reference) {
    constexpr std::string_view kPrefix = "#/$defs/";
    return std::strtoul(reference.at("$ref").get_string().c_str() + kPrefix.size(), nullptr, 10);
}

bool is_required(const json::object& schema, std::string_view name) {
    const json::array& required = schema.at("required").get_array();
    return std::any_of(required.begin(), required.end(), [name](const json::value& value) { return value.get_string() == name; });
}

// False where two values may be equal although they look different, such as 1 and 1.0.
bool share_none(const json::array& a, const json::array& b) {
    for (const json::value& left : a) {
        for (const json::value& right : b) {
            const bool comparable = (left.is_string() && right.is_string()) || (left.is_int64() && right.is_int64());
            const bool apart = comparable ? left != right : (kinds_of_value(left) & kinds_of_value(right)) == 0;
            if (!apart) {
                return false;
            }
        }
    }
    return true;
}

}  // namespace

Kinds kind_named(std::string_view type) {
    for (const auto& [name, kind] : kNames) {
        if (name == type) {
            return kind;
        }
    }
    return 0;
}

std::string_view name_of_kind(Kinds kind) {
    for (const auto& [name, known] : kNames) {
        if (known == kind) {
            return name;
        }
    }
    GANTRY_ASSERT(false, "one kind has a name");
    return {};
}

Kinds kinds_of_value(const json::value& value) {
    switch (value.kind()) {
        case json::kind::null: return kNull;
        case json::kind::bool_: return kBoolean;
        case json::kind::int64:
        case json::kind::uint64: return kInteger | kNumber;
        case json::kind::double_: return std::floor(value.get_double()) == value.get_double() ? kInteger | kNumber : kNumber;
        case json::kind::string: return kString;
        case json::kind::array: return kArray;
        case json::kind::object: return kObject;
    }
    return 0;
}

SchemaProofs::SchemaProofs(const json::object& definitions) {
    for (size_t i = 0; i < definitions.size(); ++i) {
        definitions_.push_back(&definitions.at(std::to_string(i)).get_object());
    }
}

void SchemaProofs::add_direct(const json::object& schema, std::vector<size_t>& out) const {
    if (schema.contains("$ref")) {
        out.push_back(number_of(schema));
    }
    if (const json::value* options = schema.if_contains("anyOf")) {
        for (const json::value& option : options->get_array()) {
            add_direct(option.get_object(), out);
        }
    }
}

bool SchemaProofs::refers_to_itself_only(size_t definition) const {
    std::vector<bool> seen(definitions_.size());
    std::vector<size_t> open;
    add_direct(*definitions_[definition], open);
    while (!open.empty()) {
        const size_t next = open.back();
        open.pop_back();
        if (next == definition) {
            return true;
        }
        if (!seen[next]) {
            seen[next] = true;
            add_direct(*definitions_[next], open);
        }
    }
    return false;
}

bool SchemaProofs::finite(const json::object& schema, const std::vector<bool>& known) const {
    if (schema.contains("$ref")) {
        return known[number_of(schema)];
    }
    if (const json::value* options = schema.if_contains("anyOf")) {
        const json::array& array = options->get_array();
        return std::any_of(array.begin(), array.end(), [&](const json::value& option) { return finite(option.get_object(), known); });
    }
    if (const json::value* properties = schema.if_contains("properties")) {
        for (const auto& [name, property] : properties->get_object()) {
            if (is_required(schema, name) && !finite(property.get_object(), known)) {
                return false;
            }
        }
        return true;
    }
    const json::value* min = schema.if_contains("minItems");
    const json::value* prefix = schema.if_contains("prefixItems");
    auto left = min == nullptr ? 0 : static_cast<size_t>(min->get_int64());
    for (size_t i = 0; prefix != nullptr && i < prefix->get_array().size() && left > 0; ++i, --left) {
        if (!finite(prefix->get_array()[i].get_object(), known)) {
            return false;
        }
    }
    const json::value* items = schema.if_contains("items");
    return left == 0 || items == nullptr || !items->is_object() || finite(items->get_object(), known);
}

std::optional<size_t> SchemaProofs::first_endless() const {
    std::vector<bool> known(definitions_.size());
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t i = definitions_.size(); i-- > 0;) {
            if (!known[i] && finite(*definitions_[i], known)) {
                known[i] = changed = true;
            }
        }
    }
    const auto endless = std::find(known.begin(), known.end(), false);
    return endless == known.end() ? std::nullopt : std::optional(static_cast<size_t>(endless - known.begin()));
}

const json::object& SchemaProofs::target(const json::object& schema) const {
    const json::object* at = &schema;
    while (at->contains("$ref")) {
        at = definitions_[number_of(*at)];
    }
    return *at;
}

Kinds SchemaProofs::kinds(const json::object& schema, int depth) const {
    const json::object& at = target(schema);
    if (depth > kBranchDepthMax) {
        return kAnyKind;
    }
    Kinds out = 0;
    if (const json::value* options = at.if_contains("anyOf")) {
        for (const json::value& option : options->get_array()) {
            out |= kinds(option.get_object(), depth + 1);
        }
        return out;
    }
    if (const json::value* values = at.if_contains("enum")) {
        for (const json::value& value : values->get_array()) {
            out |= kinds_of_value(value);
        }
        return out;
    }
    const json::value* type = at.if_contains("type");
    if (type == nullptr) {
        return kAnyKind;
    }
    const Kinds kind = kind_named(type->get_string());
    return kind == kNumber ? kInteger | kNumber : kind == kInteger ? kInteger | kNumber : kind;
}

bool SchemaProofs::exclude(const json::object& a, const json::object& b) const {
    if ((kinds(a, 0) & kinds(b, 0)) == 0) {
        return true;
    }
    const json::object& left = target(a);
    const json::object& right = target(b);
    const json::value* left_values = left.if_contains("enum");
    const json::value* right_values = right.if_contains("enum");
    if (left_values != nullptr && right_values != nullptr) {
        return share_none(left_values->get_array(), right_values->get_array());
    }
    if (!left.contains("properties") || !right.contains("properties")) {
        return false;
    }
    for (const auto& [name, property] : left.at("properties").get_object()) {
        const json::value* other = right.at("properties").get_object().if_contains(name);
        if (other == nullptr || !is_required(left, name) || !is_required(right, name)) {
            continue;
        }
        const json::value* values = target(property.get_object()).if_contains("enum");
        const json::value* others = target(other->get_object()).if_contains("enum");
        if (values != nullptr && others != nullptr && share_none(values->get_array(), others->get_array())) {
            return true;
        }
    }
    return false;
}

bool SchemaProofs::exclude_each_other(const json::array& options) const {
    for (size_t i = 0; i < options.size(); ++i) {
        for (size_t j = i + 1; j < options.size(); ++j) {
            if (!exclude(options[i].get_object(), options[j].get_object())) {
                return false;
            }
        }
    }
    return true;
}

}  // namespace gantry::engine_server
