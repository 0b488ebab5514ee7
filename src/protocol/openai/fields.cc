#include "protocol/openai/fields.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <limits>
#include <unordered_set>

namespace gantry::protocol::openai {
namespace {

const char* kind_of(const json::value& value) {
    switch (value.kind()) {
        case json::kind::null: return "null";
        case json::kind::bool_: return "a boolean";
        case json::kind::int64:
        case json::kind::uint64:
        case json::kind::double_: return "a number";
        case json::kind::string: return "a string";
        case json::kind::array: return "an array";
        case json::kind::object: return "an object";
    }
    return "something else";
}

template <class Number>
Error out_of_range(const std::string& path, const char* what, Number min, Number max) {
    return invalid_argument(fmt::format("'{}' must be {} from {} to {}", path, what, min, max),
                            path);
}

// A field that is one number with a range. Integers are set through a function because their types
// differ.
struct NumberField {
    std::string_view name;
    double Generation::* member;
    double min;
    double max;
};
struct IntegerField {
    std::string_view name;
    void (*set)(Generation&, int64_t);
    int64_t min;
    int64_t max;
};
struct BoolField {
    std::string_view name;
    bool Generation::* member;
};
struct ListField {
    std::string_view name;
    Status (*parse)(Generation&, const json::value&, const std::string& path);
};

Status parse_stop(Generation& out, const json::value& value, const std::string& path) {
    const auto add = [&out](const json::value& item, const std::string& item_path) -> Status {
        Result<std::string> text = as_string(item, item_path);
        if (!text) {
            return text.error();
        }
        if (text->empty() || text->size() > kStopBytesMax) {
            return invalid_argument(fmt::format("'{}' must have 1 to {} bytes, not {}", item_path,
                                                kStopBytesMax, text->size()),
                                    item_path);
        }
        out.stop.push_back(*std::move(text));
        return Ok{};
    };
    if (value.is_string()) {
        return add(value, path);
    }
    if (!value.is_array()) {
        return wrong_type(path, "a string or an array of strings", value);
    }
    const json::array& items = value.get_array();
    if (items.size() > kStopsMax) {
        return invalid_argument(
            fmt::format("'{}' may hold at most {} strings, not {}", path, kStopsMax, items.size()),
            path);
    }
    for (size_t i = 0; i < items.size(); ++i) {
        GANTRY_TRY(add(items[i], fmt::format("{}[{}]", path, i)));
    }
    return Ok{};
}

Status parse_stop_token_ids(Generation& out, const json::value& value, const std::string& path) {
    Result<const json::array*> items = as_array(value, path);
    if (!items) {
        return items.error();
    }
    if ((*items)->size() > kStopTokenIdsMax) {
        return invalid_argument(fmt::format("'{}' may hold at most {} ids, not {}", path,
                                            kStopTokenIdsMax, (*items)->size()),
                                path);
    }
    for (size_t i = 0; i < (*items)->size(); ++i) {
        Result<int64_t> id = as_integer((**items)[i], fmt::format("{}[{}]", path, i), 0,
                                        std::numeric_limits<int32_t>::max());
        if (!id) {
            return id.error();
        }
        out.stop_token_ids.push_back(static_cast<int32_t>(*id));
    }
    return Ok{};
}

Status parse_logit_bias(Generation& out, const json::value& value, const std::string& path) {
    Result<const json::object*> entries = as_object(value, path);
    if (!entries) {
        return entries.error();
    }
    if ((*entries)->size() > kLogitBiasMax) {
        return invalid_argument(fmt::format("'{}' may hold at most {} tokens, not {}", path,
                                            kLogitBiasMax, (*entries)->size()),
                                path);
    }
    std::unordered_set<int32_t> seen;
    for (const auto& [key, bias] : **entries) {
        int32_t id = -1;
        const auto [end, failure] = std::from_chars(key.data(), key.data() + key.size(), id);
        if (failure != std::errc() || end != key.data() + key.size() || id < 0 ||
            !seen.insert(id).second) {
            return invalid_argument(
                fmt::format("the keys of '{}' must be different token ids, such as \"1234\"", path),
                path);
        }
        Result<double> number = as_number(bias, fmt::format("{}.{}", path, id), -100, 100);
        if (!number) {
            return number.error();
        }
        out.logit_bias.emplace_back(id, *number);
    }
    return Ok{};
}

// Any 64-bit integer: some clients draw signed ones, some unsigned.
Status parse_seed(Generation& out, const json::value& value, const std::string& path) {
    if (value.is_uint64()) {
        out.seed = value.get_uint64();
        return Ok{};
    }
    Result<int64_t> seed = as_integer(value, path, std::numeric_limits<int64_t>::min(),
                                      std::numeric_limits<int64_t>::max());
    if (!seed) {
        return seed.error();
    }
    out.seed = static_cast<uint64_t>(*seed);
    return Ok{};
}

Status parse_stream_options(Generation& out, const json::value& value, const std::string& path) {
    Result<const json::object*> options = as_object(value, path);
    if (!options) {
        return options.error();
    }
    if (const json::value* include = find(**options, "include_usage")) {
        Result<bool> flag = as_bool(*include, path + ".include_usage");
        if (!flag) {
            return flag.error();
        }
        out.include_usage = *flag;
    }
    return Ok{};
}

Status parse_service_tier(Generation& out, const json::value& value, const std::string& path) {
    Result<std::string> name = as_string(value, path);
    if (!name) {
        return name.error();
    }
    if (*name == "flex") {
        out.service_tier = ServiceTier::kFlex;
    } else if (*name == "priority") {
        out.service_tier = ServiceTier::kPriority;
    } else if (*name != "auto" && *name != "default" && *name != "scale") {
        return invalid_argument(
            fmt::format("'{}' must be auto, default, flex, scale or priority", path), path);
    }
    out.names_tier = true;
    return Ok{};
}

Status parse_priority(Generation& out, const json::value& value, const std::string& path) {
    Result<int64_t> priority = as_integer(value, path, std::numeric_limits<int32_t>::min(),
                                          std::numeric_limits<int32_t>::max());
    if (!priority) {
        return priority.error();
    }
    out.service_tier = *priority < 0   ? ServiceTier::kPriority
                       : *priority > 0 ? ServiceTier::kFlex
                                       : ServiceTier::kDefault;
    return Ok{};
}

Status parse_cache_salt(Generation& out, const json::value& value, const std::string& path) {
    Result<std::string> salt = as_string(value, path);
    if (!salt) {
        return salt.error();
    }
    if (salt->empty() || salt->size() > kCacheSaltBytesMax) {
        return invalid_argument(fmt::format("'{}' must have 1 to {} bytes, not {}", path,
                                            kCacheSaltBytesMax, salt->size()),
                                path);
    }
    out.cache_salt = *std::move(salt);
    return Ok{};
}

constexpr NumberField kNumbers[] = {
    {"temperature", &Generation::temperature, 0, 2},
    {"top_p", &Generation::top_p, 0, 1},
    {"min_p", &Generation::min_p, 0, 1},
    {"presence_penalty", &Generation::presence_penalty, -2, 2},
    {"frequency_penalty", &Generation::frequency_penalty, -2, 2},
    {"repetition_penalty", &Generation::repetition_penalty, 0.01, 10},
};

// The later of two names for one thing wins: max_completion_tokens is OpenAI's newer name and beats
// max_tokens.
constexpr IntegerField kIntegers[] = {
    {"top_k",
     [](Generation& g, int64_t v) { g.top_k = static_cast<int32_t>(std::max<int64_t>(v, 0)); }, -1,
     kMaxTokensMax},
    {"n", [](Generation& g, int64_t v) { g.n = static_cast<uint32_t>(v); }, 1, kChoicesMax},
    {"max_tokens", [](Generation& g, int64_t v) { g.max_tokens = static_cast<uint32_t>(v); }, 1,
     kMaxTokensMax},
    {"max_completion_tokens",
     [](Generation& g, int64_t v) { g.max_tokens = static_cast<uint32_t>(v); }, 1, kMaxTokensMax},
    {"min_tokens", [](Generation& g, int64_t v) { g.min_tokens = static_cast<uint32_t>(v); }, 0,
     kMaxTokensMax},
    {"deadline_ms", [](Generation& g, int64_t v) { g.deadline_ms = static_cast<uint32_t>(v); }, 1,
     kDeadlineMsMax},
};

constexpr BoolField kBools[] = {
    {"ignore_eos", &Generation::ignore_eos},
    {"stream", &Generation::stream},
};

constexpr ListField kLists[] = {
    {"stop", parse_stop},
    {"stop_token_ids", parse_stop_token_ids},
    {"logit_bias", parse_logit_bias},
    {"seed", parse_seed},
    {"stream_options", parse_stream_options},
    {"service_tier", parse_service_tier},
    {"priority", parse_priority},
    {"cache_salt", parse_cache_salt},
};

}  // namespace

std::string_view name_of(ServiceTier tier) {
    switch (tier) {
        case ServiceTier::kDefault: return "default";
        case ServiceTier::kFlex: return "flex";
        case ServiceTier::kPriority: return "priority";
    }
    return "default";
}

const json::value* find(const json::object& object, std::string_view key) {
    // A body mostly has a few members and is asked for scores of names: looking at each here costs half of what Boost's look does.
    constexpr size_t kFewMembers = 8;
    if (object.size() <= kFewMembers) {
        for (const json::key_value_pair& member : object) {
            if (member.key() == key) {
                return member.value().is_null() ? nullptr : &member.value();
            }
        }
        return nullptr;
    }
    const json::value* value = object.if_contains(key);
    return value == nullptr || value->is_null() ? nullptr : value;
}

Error wrong_type(const std::string& path, std::string_view wanted, const json::value& got) {
    const std::string name = path.empty() ? "the body" : fmt::format("'{}'", path);
    return invalid_argument(fmt::format("{} must be {}, not {}", name, wanted, kind_of(got)), path,
                            "invalid_type");
}

Result<const json::object*> as_object(const json::value& value, const std::string& path) {
    if (!value.is_object()) {
        return wrong_type(path, "an object", value);
    }
    return &value.get_object();
}

Result<const json::array*> as_array(const json::value& value, const std::string& path) {
    if (!value.is_array()) {
        return wrong_type(path, "an array", value);
    }
    return &value.get_array();
}

Result<std::string> as_string(const json::value& value, const std::string& path) {
    if (!value.is_string()) {
        return wrong_type(path, "a string", value);
    }
    return std::string(value.get_string());
}

Result<bool> as_bool(const json::value& value, const std::string& path) {
    if (!value.is_bool()) {
        return wrong_type(path, "true or false", value);
    }
    return value.get_bool();
}

Result<double> as_number(const json::value& value, const std::string& path, double min,
                         double max) {
    if (!value.is_number()) {
        return wrong_type(path, "a number", value);
    }
    const double number = value.to_number<double>();
    if (!std::isfinite(number) || number < min || number > max) {
        return out_of_range(path, "a number", min, max);
    }
    return number;
}

Result<int64_t> as_integer(const json::value& value, const std::string& path, int64_t min,
                           int64_t max) {
    if (!value.is_number()) {
        return wrong_type(path, "an integer", value);
    }
    int64_t number = 0;
    if (value.is_int64()) {
        number = value.get_int64();
    } else if (value.is_uint64()) {
        if (value.get_uint64() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
            return out_of_range(path, "an integer", min, max);
        }
        number = static_cast<int64_t>(value.get_uint64());
    } else {
        constexpr double kExactMax =
            9007199254740992.0;  // 2^53: beyond it a double no longer says which integer is meant
        const double real = value.get_double();
        if (!std::isfinite(real) || std::floor(real) != real || std::abs(real) > kExactMax) {
            return out_of_range(path, "an integer", min, max);
        }
        number = static_cast<int64_t>(real);
    }
    if (number < min || number > max) {
        return out_of_range(path, "an integer", min, max);
    }
    return number;
}

Error missing_field(const std::string& path, std::string_view what) {
    return invalid_argument(
        fmt::format("'{}' is missing{}{}", path, what.empty() ? "" : ": send ", what), path,
        "missing_required_parameter");
}

Error unsupported_field(const std::string& path, std::string message) {
    return invalid_argument(std::move(message), path, "unsupported_parameter");
}

Result<std::string> required_text(const json::object& object, std::string_view key,
                                  const std::string& path) {
    const json::value* value = find(object, key);
    if (value != nullptr && value->is_string()) {
        return std::string(value->get_string());
    }
    const std::string full = path.empty() ? std::string(key) : (path + ".").append(key);
    if (value == nullptr) {
        return missing_field(full);
    }
    return as_string(*value, full);
}

Result<TypedObject> as_typed_object(const json::value& value, const std::string& path) {
    Result<const json::object*> object = as_object(value, path);
    if (!object) {
        return object.error();
    }
    Result<std::string> type = required_text(**object, "type", path);
    if (!type) {
        return type.error();
    }
    return TypedObject{*object, *std::move(type)};
}

Result<std::string> parse_model(const json::object& body) {
    const json::value* model = find(body, "model");
    return model == nullptr ? std::string() : as_string(*model, "model");
}

const json::object* object_at(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    return value == nullptr ? nullptr : value->if_object();
}

const json::array* array_at(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    return value == nullptr ? nullptr : value->if_array();
}

std::string_view text_at(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    if (value == nullptr || !value->is_string()) {
        return {};
    }
    return {value->get_string().data(), value->get_string().size()};
}

Status parse_generation(const json::object& body, Generation& out) {
    for (const NumberField& field : kNumbers) {
        if (const json::value* value = find(body, field.name)) {
            Result<double> number =
                as_number(*value, std::string(field.name), field.min, field.max);
            if (!number) {
                return number.error();
            }
            out.*field.member = *number;
        }
    }
    for (const IntegerField& field : kIntegers) {
        if (const json::value* value = find(body, field.name)) {
            Result<int64_t> number =
                as_integer(*value, std::string(field.name), field.min, field.max);
            if (!number) {
                return number.error();
            }
            field.set(out, *number);
        }
    }
    for (const BoolField& field : kBools) {
        if (const json::value* value = find(body, field.name)) {
            Result<bool> flag = as_bool(*value, std::string(field.name));
            if (!flag) {
                return flag.error();
            }
            out.*field.member = *flag;
        }
    }
    for (const ListField& field : kLists) {
        if (const json::value* value = find(body, field.name)) {
            GANTRY_TRY(field.parse(out, *value, std::string(field.name)));
        }
    }
    if (out.max_tokens != 0 && out.min_tokens > out.max_tokens) {
        return invalid_argument(fmt::format("'min_tokens' ({}) is more than 'max_tokens' ({})",
                                            out.min_tokens, out.max_tokens),
                                "min_tokens");
    }
    return Ok{};
}

}  // namespace gantry::protocol::openai
