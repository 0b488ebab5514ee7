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
constexpr uint64_t kStepsMax = 3'000'000;   // 0.1 s at most

size_t number_of(const json::object& reference) {
    constexpr std::string_view kPrefix = "#/$defs/";
    return std::strtoul(reference.at("$ref").get_string().c_str() + kPrefix.size(), nullptr, 10);
}

bool is_required(const json::object& schema, std::string_view name) {
    const json::array& required = schema.at("required").get_array();
    const auto* found = std::lower_bound(required.begin(), required.end(), name, [](const json::value& value, std::string_view wanted) {
        return std::string_view(value.get_string()) < wanted;
    });
    return found != required.end() && found->get_string() == name;
}

// XGrammar sees a string's greatest length as a mark in its pattern (string_rules.h), and no other pattern is written with a ~.
bool is_bounded_string(const json::object& schema) {
    const json::value* pattern = schema.if_contains("pattern");
    return pattern != nullptr && pattern->get_string().starts_with('~') && !pattern->get_string().ends_with("~-1~");
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

SchemaProofs::SchemaProofs(const json::object& definitions) : known_(definitions.size()), steps_left_(kStepsMax) {
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

const json::object& SchemaProofs::target(const json::object& schema) {
    const json::object* at = &schema;
    while (at->contains("$ref")) {
        spend(1);
        at = definitions_[number_of(*at)];
    }
    return *at;
}

// False: none are left, and what is not proven by now stays so.
bool SchemaProofs::spend(uint64_t steps) {
    steps_left_ -= std::min(steps, steps_left_);
    return steps_left_ > 0;
}

SchemaProofs::Direct SchemaProofs::direct_of_options(const json::array& options) {
    Direct out;
    for (const json::value& option : options) {
        const Direct one = direct(option.get_object());
        out.kinds |= one.kinds;
        out.bounded = std::min(out.bounded + one.bounded, kBoundedMany);
    }
    return out;
}

// Once for each definition: references may double at each of them.
SchemaProofs::Direct SchemaProofs::direct(const json::object& schema) {
    if (schema.contains("$ref")) {
        const size_t definition = number_of(schema);
        if (!known_[definition]) {
            const Direct found = direct(*definitions_[definition]);
            known_[definition] = found;
        }
        return *known_[definition];
    }
    if (const json::value* options = schema.if_contains("anyOf")) {
        return direct_of_options(options->get_array());
    }
    Direct out;
    if (const json::value* values = schema.if_contains("enum")) {
        for (const json::value& value : values->get_array()) {
            out.kinds |= kinds_of_value(value);
        }
        return out;
    }
    const json::value* type = schema.if_contains("type");
    const Kinds kind = type == nullptr ? kAnyKind : kind_named(type->get_string());
    out.kinds = kind == kNumber || kind == kInteger ? kInteger | kNumber : kind;
    out.bounded = is_bounded_string(schema) ? 1 : 0;
    return out;
}

uint32_t SchemaProofs::bounded_strings(const json::array& options) { return direct_of_options(options).bounded; }

// False where two values may be equal although they look different, such as 1 and 1.0.
bool SchemaProofs::share_none(const json::array& a, const json::array& b) {
    for (const json::value& left : a) {
        for (const json::value& right : b) {
            const bool texts = left.is_string() && right.is_string();
            const bool comparable = texts || (left.is_int64() && right.is_int64());
            if (!spend(1 + (texts ? std::min(left.get_string().size(), right.get_string().size()) / 64 : 0))) {
                return false;
            }
            const bool apart = comparable ? left != right : (kinds_of_value(left) & kinds_of_value(right)) == 0;
            if (!apart) {
                return false;
            }
        }
    }
    return true;
}

bool SchemaProofs::exclude(const Branch& a, const Branch& b) {
    if (!spend(1)) {
        return false;
    }
    if ((a.kinds & b.kinds) == 0) {
        return true;
    }
    const json::object& left = a.schema;
    const json::object& right = b.schema;
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
        if (!spend(1)) {
            return false;
        }
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

bool SchemaProofs::exclude_each_other(const json::array& options) {
    std::vector<Branch> branches;
    for (const json::value& option : options) {
        branches.push_back({target(option.get_object()), direct(option.get_object()).kinds});
    }
    for (size_t i = 0; i < branches.size(); ++i) {
        for (size_t j = i + 1; j < branches.size(); ++j) {
            if (!exclude(branches[i], branches[j])) {
                return false;
            }
        }
    }
    return true;
}

}  // namespace gantry::engine_server
