#include "protocol/management/fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace gantry::protocol::management {

FieldReader::FieldReader(const json::object& object, std::string prefix)
    : object_(object), prefix_(std::move(prefix)) {}

void FieldReader::fail(Error error) {
    if (!problem_) problem_ = std::move(error);
}

void FieldReader::fail(std::string_view name, std::string message) {
    fail(invalid_argument(std::move(message), full_name(name)));
}

const json::value* FieldReader::find(std::string_view name) {
    known_.emplace_back(name);
    const auto found = object_.find(name);
    if (found == object_.end() || found->value().is_null()) return nullptr;
    return &found->value();
}

bool FieldReader::is_null(std::string_view name) {
    known_.emplace_back(name);
    const auto found = object_.find(name);
    return found != object_.end() && found->value().is_null();
}

void FieldReader::require(std::string_view name) {
    if (find(name) == nullptr) fail(name, fmt::format("\"{}\" is missing", full_name(name)));
}

bool FieldReader::clean_text(std::string_view name, const json::string& text, size_t bytes_max) {
    if (text.size() > bytes_max) {
        fail(name, fmt::format("\"{}\" is {} bytes long; at most {} are taken", full_name(name), text.size(), bytes_max));
        return false;
    }
    // A NUL would cut the text in every C call behind us: what was checked would not be what is used.
    if (std::find(text.begin(), text.end(), '\0') != text.end()) {
        fail(name, fmt::format("\"{}\" holds a NUL character", full_name(name)));
        return false;
    }
    return true;
}

std::optional<std::string> FieldReader::string(std::string_view name, size_t bytes_max) {
    const json::value* value = find(name);
    if (value == nullptr) return std::nullopt;
    const json::string* text = value->if_string();
    if (text == nullptr) {
        fail(name, fmt::format("\"{}\" must be a string", full_name(name)));
        return std::nullopt;
    }
    if (!clean_text(name, *text, bytes_max)) return std::nullopt;
    return std::string(text->data(), text->size());
}

const json::array* FieldReader::array(std::string_view name) {
    const json::value* value = find(name);
    if (value == nullptr) return nullptr;
    if (!value->is_array()) fail(name, fmt::format("\"{}\" must be a list", full_name(name)));
    return value->if_array();
}

std::optional<bool> FieldReader::boolean(std::string_view name) {
    const json::value* value = find(name);
    if (value == nullptr) return std::nullopt;
    if (!value->is_bool()) {
        fail(name, fmt::format("\"{}\" must be true or false", full_name(name)));
        return std::nullopt;
    }
    return value->get_bool();
}

std::optional<int64_t> FieldReader::integer(std::string_view name, int64_t min, int64_t max) {
    const json::value* value = find(name);
    if (value == nullptr) return std::nullopt;
    const bool huge = value->is_uint64() && value->get_uint64() > static_cast<uint64_t>(INT64_MAX);
    if (!huge && !value->is_int64() && !value->is_uint64()) {
        fail(name, fmt::format("\"{}\" must be a whole number", full_name(name)));
        return std::nullopt;
    }
    const int64_t number = huge ? INT64_MAX
                                : (value->is_int64() ? value->get_int64() : static_cast<int64_t>(value->get_uint64()));
    if (number < min || number > max) {
        fail(name, fmt::format("\"{}\" must be from {} to {}", full_name(name), min, max));
        return std::nullopt;
    }
    return number;
}

std::optional<double> FieldReader::number(std::string_view name, double min, double max) {
    const json::value* value = find(name);
    if (value == nullptr) return std::nullopt;
    if (!value->is_number()) {
        fail(name, fmt::format("\"{}\" must be a number", full_name(name)));
        return std::nullopt;
    }
    const double number = value->to_number<double>();
    if (!(number >= min && number <= max)) {
        fail(name, fmt::format("\"{}\" must be from {} to {}", full_name(name), min, max));
        return std::nullopt;
    }
    return number;
}

std::optional<std::vector<int64_t>> FieldReader::integers(std::string_view name, size_t count_max, int64_t min, int64_t max) {
    const json::array* list = array(name);
    if (list == nullptr) return std::nullopt;
    if (list->empty() || list->size() > count_max) {
        fail(name, fmt::format("\"{}\" has {} entries; 1 to {} are taken", full_name(name), list->size(), count_max));
        return std::nullopt;
    }
    std::vector<int64_t> out;
    for (size_t i = 0; i < list->size(); ++i) {
        const std::string entry = fmt::format("{}[{}]", name, i);
        const json::value& value = (*list)[i];
        const bool whole = value.is_int64() || (value.is_uint64() && value.get_uint64() <= static_cast<uint64_t>(INT64_MAX));
        const int64_t number = whole ? value.to_number<int64_t>() : 0;
        if (!whole || number < min || number > max) {
            fail(entry, fmt::format("\"{}\" must be a whole number from {} to {}", full_name(entry), min, max));
            return std::nullopt;
        }
        out.push_back(number);
    }
    return out;
}

std::optional<std::vector<std::string>> FieldReader::strings(std::string_view name, size_t count_max, size_t bytes_max) {
    const json::value* value = find(name);
    if (value == nullptr) return std::nullopt;
    const json::array* array = value->if_array();
    if (array == nullptr) {
        fail(name, fmt::format("\"{}\" must be a list of strings", full_name(name)));
        return std::nullopt;
    }
    if (array->size() > count_max) {
        fail(name, fmt::format("\"{}\" has {} entries; at most {} are taken", full_name(name), array->size(), count_max));
        return std::nullopt;
    }
    std::vector<std::string> out;
    for (size_t i = 0; i < array->size(); ++i) {
        const json::string* text = (*array)[i].if_string();
        const std::string entry = fmt::format("{}[{}]", name, i);
        if (text == nullptr) {
            fail(entry, fmt::format("\"{}\" must be a string", full_name(entry)));
            return std::nullopt;
        }
        if (!clean_text(entry, *text, bytes_max)) return std::nullopt;
        out.emplace_back(text->data(), text->size());
    }
    return out;
}

std::optional<std::map<std::string, std::string>> FieldReader::string_map(std::string_view name, size_t count_max,
                                                                          size_t bytes_max) {
    const json::object* fields = object(name);
    if (fields == nullptr) return std::nullopt;
    if (fields->size() > count_max) {
        fail(name, fmt::format("\"{}\" has {} entries; at most {} are taken", full_name(name), fields->size(), count_max));
        return std::nullopt;
    }
    std::map<std::string, std::string> out;
    for (const auto& field : *fields) {
        const std::string key(field.key());
        const std::string entry = fmt::format("{}.{}", name, key);
        if (key.empty() || key.size() > 256 || key.find('=') != std::string::npos || key.find('\0') != std::string::npos) {
            fail(name, fmt::format("\"{}\" holds a name that is empty, over 256 bytes, or has \"=\" or NUL in it",
                                   full_name(name)));
            return std::nullopt;
        }
        const json::string* text = field.value().if_string();
        if (text == nullptr) {
            fail(entry, fmt::format("\"{}\" must be a string", full_name(entry)));
            return std::nullopt;
        }
        if (!clean_text(entry, *text, bytes_max)) return std::nullopt;
        out.emplace(key, std::string(text->data(), text->size()));
    }
    return out;
}

std::optional<WallTime> FieldReader::time(std::string_view name) {
    const auto text = string(name, 64);
    if (!text) return std::nullopt;
    const auto parsed = parse_rfc3339(*text);
    if (!parsed) fail(name, fmt::format("\"{}\" must be a time in UTC such as 2026-12-31T23:59:59Z", full_name(name)));
    return parsed;
}

const json::object* FieldReader::object(std::string_view name) {
    const json::value* value = find(name);
    if (value == nullptr) return nullptr;
    const json::object* inner = value->if_object();
    if (inner == nullptr) fail(name, fmt::format("\"{}\" must be an object", full_name(name)));
    return inner;
}

Status FieldReader::finish() {
    if (problem_) return *problem_;
    for (const auto& field : object_) {
        const std::string name(field.key());
        if (std::find(known_.begin(), known_.end(), name) != known_.end()) continue;
        // The name comes from outside: cut, so that the answer stays small. JSON escapes the rest.
        const std::string shown = full_name(name.substr(0, 64));
        return invalid_argument(fmt::format("\"{}\" is not a field of this object", shown), shown, "unknown_field");
    }
    return Ok{};
}

std::optional<WallTime> parse_rfc3339(const std::string& text) {
    constexpr std::string_view kShape = "dddd-dd-ddTdd:dd:dd";
    if (text.size() <= kShape.size() || text.back() != 'Z') return std::nullopt;
    for (size_t i = 0; i < kShape.size(); ++i) {
        const bool digit = std::isdigit(static_cast<unsigned char>(text[i])) != 0;
        if (kShape[i] == 'd' ? !digit : text[i] != kShape[i]) return std::nullopt;
    }
    std::string fraction = text.substr(kShape.size(), text.size() - kShape.size() - 1);
    if (!fraction.empty()) {
        if (fraction[0] != '.' || fraction.size() < 2 || fraction.size() > 10) return std::nullopt;
        if (!std::all_of(fraction.begin() + 1, fraction.end(), [](unsigned char c) { return std::isdigit(c) != 0; })) {
            return std::nullopt;
        }
    }
    fraction = (fraction.empty() ? std::string() : fraction.substr(1)) + "000";
    const auto number = [&text](size_t at) { return (text[at] - '0') * 10 + (text[at + 1] - '0'); };
    const int month = number(5), day = number(8);
    if (month < 1 || month > 12 || day < 1 || day > 31 || number(11) > 23 || number(14) > 59 || number(17) > 59) {
        return std::nullopt;
    }
    const WallTime time = from_rfc3339(text.substr(0, kShape.size()) + "." + fraction.substr(0, 3) + "Z");
    // 31 February becomes March in timegm: a day that doesn't come back is none.
    if (to_rfc3339(time).substr(0, 10) != text.substr(0, 10)) return std::nullopt;
    return time;
}

Result<json::object> parse_object(std::string_view body) {
    if (body.empty()) return invalid_argument("the body is empty; it must be a JSON object");
    Result<json::value> parsed = parse_json(body);
    if (!parsed) return parsed.error();
    if (!parsed->is_object()) return invalid_argument("the body must be a JSON object");
    return std::move(parsed->get_object());
}

}  // namespace gantry::protocol::management
