#include "engine_server/grammar/json_schema_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "engine_server/grammar/schema_proofs.h"
#include "engine_server/grammar/schema_scalars.h"

namespace gantry::engine_server {
namespace {

constexpr int64_t kItemsMax = 100'000;
constexpr uint64_t kNodeCost = 20;
constexpr size_t kBranchesMax = 100;
constexpr size_t kPropertiesMax = 256;  // of one object
constexpr size_t kOptionalMax = 128;    // of those: all that may come next are looked at in each mask, 4 ms
constexpr uint32_t kBoundedStringsMax = 4;  // of one choice: near its end, each costs half a millisecond a token

// XGrammar takes two schemas for one when their texts are equal without properties called "title" or the like, and without escapes in
// names. A number under this key tells them apart: the key sorts first, so that no name before it can pretend to be one.
constexpr std::string_view kMark = "!mark";

enum class Use { kAnnotation, kDefinitions, kCombiner, kValue, kString, kNumber, kArray, kObject, kType };

std::optional<Use> use_of(std::string_view key) {
    static const std::map<std::string_view, Use> kUses = {
        {"title", Use::kAnnotation},       {"description", Use::kAnnotation}, {"default", Use::kAnnotation},
        {"examples", Use::kAnnotation},    {"deprecated", Use::kAnnotation},  {"readOnly", Use::kAnnotation},
        {"writeOnly", Use::kAnnotation},   {"$comment", Use::kAnnotation},    {"$schema", Use::kAnnotation},
        {"discriminator", Use::kAnnotation}, {"$id", Use::kAnnotation},
        {"$defs", Use::kDefinitions},      {"definitions", Use::kDefinitions},
        {"$ref", Use::kCombiner},          {"anyOf", Use::kCombiner},         {"oneOf", Use::kCombiner},
        {"allOf", Use::kCombiner},         {"enum", Use::kValue},             {"const", Use::kValue},
        {"pattern", Use::kString},         {"format", Use::kString},          {"minLength", Use::kString},
        {"maxLength", Use::kString},       {"minimum", Use::kNumber},         {"maximum", Use::kNumber},
        {"exclusiveMinimum", Use::kNumber}, {"exclusiveMaximum", Use::kNumber}, {"multipleOf", Use::kNumber},
        {"items", Use::kArray},            {"prefixItems", Use::kArray},      {"minItems", Use::kArray},
        {"maxItems", Use::kArray},         {"properties", Use::kObject},      {"required", Use::kObject},
        {"additionalProperties", Use::kObject}, {"type", Use::kType},
    };
    if (key.starts_with("x-")) {
        return Use::kAnnotation;
    }
    const auto found = kUses.find(key);
    return found == kUses.end() ? std::nullopt : std::optional(found->second);
}

Kinds kinds_of_use(Use use) {
    switch (use) {
        case Use::kString: return kString;
        case Use::kNumber: return kInteger | kNumber;
        case Use::kArray: return kArray;
        case Use::kObject: return kObject;
        default: return 0;
    }
}

// XGrammar reads and writes whole numbers as 64 bits with a sign, others as double.
bool is_exact(const json::value& value) {
    if (value.is_array()) {
        const json::array& items = value.get_array();
        return std::all_of(items.begin(), items.end(), is_exact);
    }
    if (value.is_object()) {
        const json::object& fields = value.get_object();
        return std::all_of(fields.begin(), fields.end(), [](const auto& field) { return is_exact(field.value()); });
    }
    return !value.is_uint64();
}

class SchemaCheck {
public:
    SchemaCheck(const json::value& root, const std::string& path) : root_(root), path_(path) {}

    // The root and everything referred to becomes a definition of its own.
    Result<CheckedSchema> run() {
        id_of(root_, path_);
        json::object definitions;
        std::vector<std::string> paths;
        while (!pending_.empty()) {
            const auto [schema, path] = pending_.front();
            pending_.pop_front();
            Result<json::value> written = rewrite(*schema, path, 0);
            if (!written) {
                return written.error();
            }
            definitions[std::to_string(paths.size())] = *std::move(written);
            paths.push_back(path);
        }
        SchemaProofs proofs(definitions);
        for (size_t i = 0; i < paths.size(); ++i) {
            if (proofs.refers_to_itself_only(i)) {
                return invalid_schema(paths[i], "leads back to itself with nothing between: it describes nothing");
            }
        }
        if (std::optional<size_t> never = proofs.first_endless()) {
            return invalid_schema(paths[*never], "can never be satisfied: it needs itself inside itself, without end");
        }
        for (const auto& [options, path, exclusive] : choices_) {
            if (proofs.bounded_strings(options) > kBoundedStringsMax) {
                return unsupported_schema(path, fmt::format("has more than {} strings with a maxLength to choose from: merge them",
                                                            kBoundedStringsMax));
            }
            if (exclusive && !proofs.exclude_each_other(options)) {
                return unsupported_schema(path, "has branches that may match the same document: give each a required property with "
                                         "another const, or use anyOf");
            }
        }
        json::object out;
        out["$ref"] = "#/$defs/0";
        out["$defs"] = std::move(definitions);
        return CheckedSchema{json::serialize(out)};
    }

private:
    Result<json::value> rewrite(const json::value& schema, const std::string& path, int depth);
    Result<json::value> rewrite_typed(const json::object& fields, const std::string& path, int depth, Kinds implied);
    Result<json::value> rewrite_combined(const json::object& fields, const std::string& path, int depth);
    Result<json::value> rewrite_reference(const json::value& reference, const std::string& path);
    Result<json::value> rewrite_options(const json::value& value, const std::string& path, int depth, bool exclusive);
    Result<json::value> rewrite_values(const json::object& fields, const std::string& path);
    Result<json::value> rewrite_kind(Kinds kind, const json::object& fields, const std::string& path, int depth);
    Result<json::value> rewrite_array(const json::object& fields, const std::string& path, int depth);
    Result<json::value> rewrite_object(const json::object& fields, const std::string& path, int depth);
    Result<json::value> rewrite_properties(const json::object& fields, const std::string& path, int depth);
    Result<Kinds> kinds_at(const json::object& fields, const std::string& path);
    Result<json::value> take(Result<WrittenScalar> scalar, const std::string& path);
    Status spend(uint64_t cost, const std::string& path);

    size_t id_of(const json::value& schema, const std::string& path) {
        const auto [found, added] = ids_.emplace(&schema, ids_.size());
        if (added) {
            pending_.emplace_back(&schema, path);
        }
        return found->second;
    }

    const json::value& root_;
    const std::string& path_;
    std::map<const json::value*, size_t> ids_;
    std::deque<std::pair<const json::value*, std::string>> pending_;
    struct Choice {
        json::array options;   // of an anyOf or oneOf, written anew
        std::string path;
        bool exclusive;
    };
    std::vector<Choice> choices_;
    uint32_t nodes_ = 0;
    uint32_t values_ = 0;
    uint64_t cost_ = 0;
    int64_t marks_ = 0;
};

Status SchemaCheck::spend(uint64_t cost, const std::string& path) {
    cost_ += cost;
    if (cost_ > kSchemaCostMax) {
        return unsupported_schema(path, "makes the schema too large to compile in a short time: shorten its texts, patterns or repetitions");
    }
    return Ok{};
}

Result<json::value> SchemaCheck::take(Result<WrittenScalar> scalar, const std::string& path) {
    if (!scalar) {
        return scalar.error();
    }
    GANTRY_TRY(spend(scalar->cost, path));
    return json::value(std::move(scalar->schema));
}

Result<json::value> SchemaCheck::rewrite(const json::value& schema, const std::string& path, int depth) {
    if (depth > kSchemaDepthMax) {
        return unsupported_schema(path, fmt::format("is nested too deeply: {} levels are the limit", kSchemaDepthMax));
    }
    if (++nodes_ > kSchemaNodesMax) {
        return unsupported_schema(path, fmt::format("is one subschema too many: {} are the limit", kSchemaNodesMax));
    }
    GANTRY_TRY(spend(kNodeCost, path));
    if (schema.is_bool()) {
        return schema.get_bool() ? Result<json::value>(json::object()) : invalid_schema(path, "is false: it can never be satisfied");
    }
    if (!schema.is_object()) {
        return invalid_schema(path, "must be a schema: an object, true or false");
    }
    const json::object& fields = schema.get_object();
    Kinds implied = 0;
    std::optional<Use> leading;
    for (const auto& [key, value] : fields) {
        const std::optional<Use> use = use_of(key);
        if (!use || (key == "$id" && &schema != &root_)) {
            return unsupported_schema(child_path(path, key), "is not supported: the answer would not be held to it");
        }
        if (*use == Use::kCombiner || (*use == Use::kValue && leading != Use::kCombiner)) {
            leading = use;
        }
        implied |= kinds_of_use(*use);
    }
    if (leading) {
        return *leading == Use::kCombiner ? rewrite_combined(fields, path, depth) : rewrite_values(fields, path);
    }
    return rewrite_typed(fields, path, depth, implied);
}

// `implied`: the types that its keywords are about.
Result<json::value> SchemaCheck::rewrite_typed(const json::object& fields, const std::string& path, int depth, Kinds implied) {
    Result<Kinds> kinds = kinds_at(fields, path);
    if (!kinds) {
        return kinds.error();
    }
    if (*kinds == 0) {
        // Keywords of one type without `type` let everything else pass; who writes them means that type.
        *kinds = implied;
    }
    if (*kinds == 0) {
        return json::value(json::object());
    }
    for (const auto& [key, value] : fields) {
        const Kinds needed = kinds_of_use(*use_of(key));
        if (needed != 0 && (needed & *kinds) == 0) {
            return unsupported_schema(child_path(path, key), "has no effect on the types beside it");
        }
    }
    json::array options;
    for (Kinds kind = 1; kind <= kObject; kind <<= 1) {
        // Every integer is a number.
        if ((*kinds & kind) == 0 || (kind == kInteger && (*kinds & kNumber) != 0)) {
            continue;
        }
        Result<json::value> written = rewrite_kind(kind, fields, path, depth);
        if (!written) {
            return written;
        }
        options.push_back(*std::move(written));
    }
    if (options.size() == 1) {
        return json::value(options[0]);
    }
    json::object out;
    out["anyOf"] = std::move(options);
    return json::value(std::move(out));
}

Result<Kinds> SchemaCheck::kinds_at(const json::object& fields, const std::string& path) {
    const json::value* type = fields.if_contains("type");
    if (type == nullptr) {
        return Kinds{0};
    }
    const auto one = [&path](const json::value& value) -> Result<Kinds> {
        const Kinds kind = value.is_string() ? kind_named(value.get_string()) : 0;
        if (kind == 0) {
            return invalid_schema(path + ".type", "must name types: null, boolean, integer, number, string, array or object");
        }
        return kind;
    };
    if (!type->is_array()) {
        return one(*type);
    }
    Kinds kinds = 0;
    for (const json::value& value : type->get_array()) {
        Result<Kinds> kind = one(value);
        if (!kind) {
            return kind;
        }
        kinds |= *kind;
    }
    return kinds == 0 ? Result<Kinds>(invalid_schema(path + ".type", "must name a type")) : kinds;
}

Result<json::value> SchemaCheck::rewrite_combined(const json::object& fields, const std::string& path, int depth) {
    const json::value* combiner = nullptr;
    std::string_view name;
    for (const auto& [key, value] : fields) {
        const Use use = *use_of(key);
        if (use == Use::kCombiner && combiner == nullptr) {
            combiner = &value;
            name = key;
        } else if (use != Use::kAnnotation && use != Use::kDefinitions) {
            return unsupported_schema(child_path(path, key), "beside $ref, anyOf, oneOf or allOf is not supported: put it into each branch");
        }
    }
    const std::string at = child_path(path, name);
    if (name == "$ref") {
        return rewrite_reference(*combiner, at);
    }
    if (name == "allOf") {
        if (!combiner->is_array() || combiner->get_array().size() != 1) {
            return unsupported_schema(at, "is supported with one schema only: merge them");
        }
        return rewrite(combiner->get_array()[0], at + "[0]", depth + 1);
    }
    return rewrite_options(*combiner, at, depth, name == "oneOf");
}

Result<json::value> SchemaCheck::rewrite_options(const json::value& value, const std::string& path, int depth, bool exclusive) {
    if (!value.is_array() || value.get_array().empty()) {
        return invalid_schema(path, "must be an array of schemas");
    }
    if (value.get_array().size() > kBranchesMax) {
        return unsupported_schema(path, fmt::format("has {} branches, and {} is the limit", value.get_array().size(), kBranchesMax));
    }
    json::array options;
    for (size_t i = 0; i < value.get_array().size(); ++i) {
        Result<json::value> option = rewrite(value.get_array()[i], fmt::format("{}[{}]", path, i), depth + 1);
        if (!option) {
            return option;
        }
        options.push_back(*std::move(option));
    }
    choices_.push_back({options, path, exclusive});
    json::object out;
    out["anyOf"] = std::move(options);
    return json::value(std::move(out));
}

Result<json::value> SchemaCheck::rewrite_reference(const json::value& reference, const std::string& path) {
    const bool local = reference.is_string() && !reference.get_string().empty() && reference.get_string()[0] == '#';
    if (!local || reference.get_string().find('%') != json::string::npos) {
        return unsupported_schema(path, "must point into this schema: #, or #/ and a path without % escapes");
    }
    boost::system::error_code failure;
    const json::value* target = root_.find_pointer(std::string_view(reference.get_string()).substr(1), failure);
    if (target == nullptr) {
        return invalid_schema(path, "points to nothing in this schema");
    }
    json::object out;
    out["$ref"] = fmt::format("#/$defs/{}", id_of(*target, path));
    return json::value(std::move(out));
}

Result<json::value> SchemaCheck::rewrite_values(const json::object& fields, const std::string& path) {
    for (const auto& [key, value] : fields) {
        const Use use = *use_of(key);
        if (use != Use::kValue && use != Use::kType && use != Use::kAnnotation && use != Use::kDefinitions) {
            return unsupported_schema(child_path(path, key), "beside enum or const is not supported");
        }
    }
    const json::value* constant = fields.if_contains("const");
    const json::value* listed = fields.if_contains("enum");
    if (constant != nullptr && listed != nullptr) {
        return unsupported_schema(path + ".enum", "beside 'const' is not supported");
    }
    const std::string at = path + (constant != nullptr ? ".const" : ".enum");
    if (listed != nullptr && (!listed->is_array() || listed->get_array().empty())) {
        return invalid_schema(at, "must be an array of values");
    }
    Result<Kinds> kinds = kinds_at(fields, path);
    if (!kinds) {
        return kinds.error();
    }
    const json::array values = constant != nullptr ? json::array{*constant} : listed->get_array();
    bool nested = false;
    for (size_t i = 0; i < values.size(); ++i) {
        const std::string where = constant != nullptr ? at : fmt::format("{}[{}]", at, i);
        if (++values_ > kSchemaValuesMax) {
            return unsupported_schema(where, fmt::format("is one value too many: {} are the limit", kSchemaValuesMax));
        }
        if (*kinds != 0 && (*kinds & kinds_of_value(values[i])) == 0) {
            return invalid_schema(where, "is of none of the types beside it");
        }
        if (!is_exact(values[i])) {
            return unsupported_schema(where, "holds a number too large to be written exactly");
        }
        nested = nested || values[i].is_object() || values[i].is_array();
        GANTRY_TRY(spend(json::serialize(values[i]).size(), where));
    }
    json::object out;
    out["enum"] = values;
    if (nested) {
        out[kMark] = ++marks_;
    }
    return json::value(std::move(out));
}

Result<json::value> SchemaCheck::rewrite_kind(Kinds kind, const json::object& fields, const std::string& path, int depth) {
    switch (kind) {
        case kString: return take(write_string(fields, path), path);
        case kInteger: return take(write_integer(fields, path), path);
        case kNumber: return take(write_number(fields, path), path);
        case kArray: return rewrite_array(fields, path, depth);
        case kObject: return rewrite_object(fields, path, depth);
        default: break;
    }
    json::object out;
    out["type"] = name_of_kind(kind);
    return json::value(std::move(out));
}

Result<json::value> SchemaCheck::rewrite_array(const json::object& fields, const std::string& path, int depth) {
    Result<int64_t> min = count_at(fields, "minItems", path, kItemsMax, 0);
    Result<int64_t> max = count_at(fields, "maxItems", path, kItemsMax, kItemsMax);
    if (!min || !max) {
        return !min ? min.error() : max.error();
    }
    if (*min > *max) {
        return invalid_schema(path + ".minItems", "is above maxItems");
    }
    json::object out;
    out["type"] = "array";
    int64_t first = 0;
    if (const json::value* prefix = fields.if_contains("prefixItems")) {
        if (!prefix->is_array()) {
            return invalid_schema(path + ".prefixItems", "must be an array of schemas");
        }
        json::array items;
        for (size_t i = 0; i < prefix->get_array().size(); ++i) {
            if (static_cast<int64_t>(i) == *max) {
                break;  // never written
            }
            Result<json::value> item = rewrite(prefix->get_array()[i], fmt::format("{}.prefixItems[{}]", path, i), depth + 1);
            if (!item) {
                return item;
            }
            items.push_back(*std::move(item));
        }
        first = static_cast<int64_t>(items.size());
        out["prefixItems"] = std::move(items);
    }
    const json::value* items = fields.if_contains("items");
    // A tuple that says nothing of what follows ends there, where it may.
    const bool closed = first == *max || (items != nullptr && items->is_bool() && !items->get_bool()) ||
                        (items == nullptr && first > 0 && *min <= first);
    if (closed) {
        if (*min > first) {
            return invalid_schema(path + ".minItems", "asks for more items than may stand there");
        }
        out["items"] = false;
    } else {
        Result<json::value> item = items == nullptr ? Result<json::value>(json::object()) : rewrite(*items, path + ".items", depth + 1);
        if (!item) {
            return item;
        }
        out["items"] = *std::move(item);
    }
    if (*min > 0) {
        out["minItems"] = *min;
    }
    if (fields.contains("maxItems") && !closed) {
        out["maxItems"] = *max;
    }
    // Up to 128 repetitions get states of their own.
    GANTRY_TRY(spend(static_cast<uint64_t>(std::min<int64_t>(std::max(*min, fields.contains("maxItems") ? *max : 0), 128)), path));
    return json::value(std::move(out));
}

Result<json::value> SchemaCheck::rewrite_object(const json::object& fields, const std::string& path, int depth) {
    const json::value* properties = fields.if_contains("properties");
    if (properties != nullptr && !properties->is_object()) {
        return invalid_schema(path + ".properties", "must be an object of schemas");
    }
    if (properties != nullptr && !properties->get_object().empty()) {
        return rewrite_properties(fields, path, depth);
    }
    if (const json::value* required = fields.if_contains("required")) {
        if (!required->is_array() || !required->get_array().empty()) {
            return unsupported_schema(path + ".required", "names what is not among the properties");
        }
    }
    json::object out;
    out["type"] = "object";
    const json::value* others = fields.if_contains("additionalProperties");
    if (others == nullptr || (others->is_bool() && others->get_bool())) {
        return json::value(std::move(out));
    }
    if (others->is_bool()) {
        out["additionalProperties"] = false;
        return json::value(std::move(out));
    }
    Result<json::value> other = rewrite(*others, path + ".additionalProperties", depth + 1);
    if (!other) {
        return other;
    }
    out["additionalProperties"] = *std::move(other);
    return json::value(std::move(out));
}

Result<json::value> SchemaCheck::rewrite_properties(const json::object& fields, const std::string& path, int depth) {
    const json::object& given = fields.at("properties").get_object();
    const json::value* others = fields.if_contains("additionalProperties");
    if (others != nullptr && !others->is_bool()) {
        return unsupported_schema(path + ".additionalProperties", "as a schema beside properties is not supported: use true or false");
    }
    if (given.size() > kPropertiesMax) {
        return unsupported_schema(path + ".properties", fmt::format("are {}, and {} is the limit", given.size(), kPropertiesMax));
    }
    json::object properties;
    for (const auto& [key, value] : given) {
        const std::string at = child_path(path + ".properties", key);
        GANTRY_TRY(spend(key.size(), at));
        Result<json::value> property = rewrite(value, at, depth + 1);
        if (!property) {
            return property;
        }
        properties[key] = *std::move(property);
    }
    std::set<std::string_view> names_required;
    if (const json::value* names = fields.if_contains("required")) {
        if (!names->is_array()) {
            return invalid_schema(path + ".required", "must be an array of names");
        }
        for (size_t i = 0; i < names->get_array().size(); ++i) {
            const json::value& name = names->get_array()[i];
            if (!name.is_string() || !given.contains(name.get_string())) {
                return unsupported_schema(fmt::format("{}.required[{}]", path, i), "names what is not among the properties");
            }
            names_required.insert(name.get_string());
        }
    }
    if (given.size() - names_required.size() > kOptionalMax) {
        return unsupported_schema(path + ".properties", fmt::format("are optional more than {} times: name more of them in required", kOptionalMax));
    }
    json::object out;
    out["type"] = "object";
    out["properties"] = std::move(properties);
    out["additionalProperties"] = false;
    json::array& required = out["required"].emplace_array();
    for (const std::string_view name : names_required) {
        required.push_back(json::value(name));
    }
    out[kMark] = ++marks_;
    return json::value(std::move(out));
}

}  // namespace

Result<CheckedSchema> check_schema(const json::value& schema, const std::string& path) {
    const size_t bytes = json::serialize(schema).size();
    if (bytes > kSchemaBytesMax) {
        return unsupported_schema(path, fmt::format("has {} bytes, and {} is the limit", bytes, kSchemaBytesMax));
    }
    return SchemaCheck(schema, path).run();
}

CheckedSchema any_object_schema() { return {R"({"type":"object"})"}; }

}  // namespace gantry::engine_server
