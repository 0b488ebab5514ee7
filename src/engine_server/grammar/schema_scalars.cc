#include "engine_server/grammar/schema_scalars.h"

#include <fmt/format.h>
#include <string_rules.h>

#include <algorithm>
#include <cmath>

#include "engine_server/grammar/pattern.h"

namespace gantry::engine_server {
namespace {

constexpr double kExactIntegers = 9007199254740992.0;  // 2^53
constexpr double kNumberBoundMax = 1e9;                // bounds of "number" are written with six decimals: all exact in a double
constexpr double kDecimals = 1e6;
constexpr int64_t kMultipleOfMax = 100;
constexpr int64_t kMultiplesMax = 1'000;  // numbers looked at between two bounds
constexpr int64_t kMinLengthMax = 128;  // the first characters are states of their own
constexpr int64_t kMaxLengthMax = 1'000'000;
constexpr size_t kPathKeyBytes = 64;

// A whole number, also when written as 2.0.
std::optional<int64_t> whole(const json::value& value) {
    if (value.is_int64()) {
        return value.get_int64();
    }
    if (value.is_double() && std::abs(value.get_double()) <= kExactIntegers && std::floor(value.get_double()) == value.get_double()) {
        return static_cast<int64_t>(value.get_double());
    }
    return std::nullopt;
}

}  // namespace

Error unsupported_schema(const std::string& path, const std::string& why) {
    return invalid_argument(fmt::format("'{}' {}", path, why), path, "unsupported_schema");
}
Error invalid_schema(const std::string& path, const std::string& why) {
    return invalid_argument(fmt::format("'{}' {}", path, why), path, "invalid_schema");
}

std::string child_path(const std::string& path, std::string_view key) {
    size_t bytes = std::min(key.size(), kPathKeyBytes);
    while (bytes < key.size() && bytes > 0 && (static_cast<unsigned char>(key[bytes]) & 0xC0) == 0x80) {
        --bytes;  // no half characters
    }
    return fmt::format("{}.{}{}", path, key.substr(0, bytes), bytes < key.size() ? "..." : "");
}

Result<int64_t> count_at(const json::object& fields, std::string_view key, const std::string& path, int64_t max, int64_t otherwise) {
    const json::value* value = fields.if_contains(key);
    if (value == nullptr) {
        return otherwise;
    }
    const std::optional<int64_t> count = whole(*value);
    if (!count || *count < 0) {
        return invalid_schema(child_path(path, key), "must be a whole number, 0 or more");
    }
    if (*count > max) {
        return unsupported_schema(child_path(path, key), fmt::format("is too large: {} is the limit", max));
    }
    return *count;
}

Result<WrittenScalar> write_string(const json::object& fields, const std::string& path) {
    json::object out;
    out["type"] = "string";
    const json::value* pattern = fields.if_contains("pattern");
    const json::value* format = fields.if_contains("format");
    const bool bounded = fields.contains("minLength") || fields.contains("maxLength");
    if ((pattern != nullptr) + (format != nullptr) + bounded > 1) {
        return unsupported_schema(path + (pattern != nullptr ? ".pattern" : ".format"),
                           "beside another limit of the same string is not supported: keep one of pattern, format and lengths");
    }
    Pattern written;
    if (bounded) {
        Result<int64_t> min = count_at(fields, "minLength", path, kMinLengthMax, 0);
        Result<int64_t> max = count_at(fields, "maxLength", path, kMaxLengthMax, -1);
        if (!min || !max) {
            return !min ? min.error() : max.error();
        }
        if (*max >= 0 && *min > *max) {
            return invalid_schema(path + ".minLength", "is above maxLength");
        }
        written = {xgrammar::LengthMark(*min, *max), kTextCost * (static_cast<uint64_t>(*min) + 2)};
    } else if (pattern != nullptr || format != nullptr) {
        const json::value& given = pattern != nullptr ? *pattern : *format;
        const std::string at = path + (pattern != nullptr ? ".pattern" : ".format");
        if (!given.is_string()) {
            return invalid_schema(at, "must be a string");
        }
        std::string_view source = given.get_string();
        if (format != nullptr) {
            source = format_pattern(source);
            if (source.empty()) {
                return unsupported_schema(at, "is a format that is not enforced here: use a pattern, or leave it out");
            }
        }
        Result<Pattern> rewritten = rewrite_pattern(source);
        if (!rewritten) {
            return unsupported_schema(at, rewritten.error().message);
        }
        written = *std::move(rewritten);
    } else {
        return WrittenScalar{std::move(out)};
    }
    out["pattern"] = written.text;
    return WrittenScalar{std::move(out), written.cost};
}

Result<WrittenScalar> write_integer(const json::object& fields, const std::string& path) {
    constexpr int64_t kLowest = INT64_MIN + 1;
    constexpr int64_t kHighest = INT64_MAX - 1;
    int64_t low = kLowest;
    int64_t high = kHighest;
    for (const std::string_view key : {"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf"}) {
        const json::value* value = fields.if_contains(key);
        if (value == nullptr) {
            continue;
        }
        const std::optional<int64_t> bound = whole(*value);
        if (!bound || *bound <= kLowest || *bound >= kHighest) {
            return unsupported_schema(child_path(path, key), "must be a whole number of at most 63 bits beside type integer");
        }
        if (key.ends_with("inimum")) {
            low = std::max(low, *bound + (key[0] == 'e' ? 1 : 0));
        } else if (key.ends_with("aximum")) {
            high = std::min(high, *bound - (key[0] == 'e' ? 1 : 0));
        }
    }
    if (low > high) {
        return invalid_schema(path, "leaves no integer between its bounds");
    }
    json::object out;
    out["type"] = "integer";
    if (low != kLowest) {
        out["minimum"] = low;
    }
    if (high != kHighest) {
        out["maximum"] = high;
    }
    const bool bounded = out.size() > 1;
    uint64_t cost = bounded ? 200 : 0;
    if (const json::value* multiple = fields.if_contains("multipleOf")) {
        const int64_t step = *whole(*multiple);
        const std::string at = path + ".multipleOf";
        if (step <= 0) {
            return invalid_schema(at, "must be above 0");
        }
        if (bounded) {
            if (out.size() < 3 || static_cast<uint64_t>(high) - static_cast<uint64_t>(low) > static_cast<uint64_t>(kMultiplesMax)) {
                return unsupported_schema(at, fmt::format("beside a bound needs both bounds, at most {} apart", kMultiplesMax));
            }
            const int64_t rest = low % step;
            const int64_t first = rest == 0 ? low : rest < 0 ? low - rest : low - rest + step;
            if (first > high) {
                return invalid_schema(path, "leaves no integer between its bounds");
            }
            cost += static_cast<uint64_t>((high - first) / step + 1) * 8;
        } else if (step > kMultipleOfMax) {
            return unsupported_schema(at, fmt::format("without bounds is supported up to {}", kMultipleOfMax));
        } else {
            cost += static_cast<uint64_t>(step) * 10;
        }
        out["multipleOf"] = step;
    }
    return WrittenScalar{std::move(out), cost};
}

Result<WrittenScalar> write_number(const json::object& fields, const std::string& path) {
    if (fields.contains("multipleOf")) {
        return unsupported_schema(path + ".multipleOf", "is supported for type integer only");
    }
    json::object out;
    out["type"] = "number";
    double low = -kNumberBoundMax;
    double high = kNumberBoundMax;
    bool open = false;
    for (const std::string_view key : {"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"}) {
        const json::value* value = fields.if_contains(key);
        if (value == nullptr) {
            continue;
        }
        if (!value->is_number()) {
            return invalid_schema(child_path(path, key), "must be a number");
        }
        const auto bound = value->to_number<double>();
        // Six decimals are written: other bounds could leave nothing, or let through what lies beyond them.
        if (!(std::abs(bound) <= kNumberBoundMax) || std::round(bound * kDecimals) / kDecimals != bound) {
            return unsupported_schema(child_path(path, key), "must have at most six decimals and nine digits before them");
        }
        open = open || key[0] == 'e';
        key.ends_with("inimum") ? low = std::max(low, bound) : high = std::min(high, bound);
        out[key] = bound;
    }
    const double apart = std::round((high - low) * kDecimals);
    if (apart < 0 || (open && apart < 2)) {
        return invalid_schema(path, "leaves no number of six decimals between its bounds");
    }
    const uint64_t cost = out.size() > 1 ? 200 : 0;
    return WrittenScalar{std::move(out), cost};
}

}  // namespace gantry::engine_server
