#pragma once
// Plain values as JSON, both directions from one list. A type says its fields once, beside it, as
//   template <Is<Device> T, class Visit> void fields(T& d, Visit&& visit) { visit("vendor", d.vendor); ... }
// and may then stand in another's list, in vectors, maps and optionals. Reading: keys that are missing keep their default and unknown
// ones are passed over, so that a field may come or go between versions; a value of another type fails.

#include <cmath>
#include <concepts>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "base/json.h"

namespace gantry {

template <class T, class Of>
concept Is = std::same_as<std::remove_const_t<T>, Of>;

namespace json_fields {

struct AnyVisitor {
    template <class T>
    void operator()(const char*, T&) {}
};
template <class T>
concept HasFields = requires(T& value) { fields(value, AnyVisitor{}); };
// An enum with to_string(E) and from_text(text, E&).
template <class T>
concept NamedEnum = std::is_enum_v<T> && requires(T& value, const std::string& text) {
    { to_string(value) } -> std::convertible_to<std::string>;
    { from_text(text, value) } -> std::same_as<bool>;
};

struct Writer {
    json::object object{};

    template <class T>
    void operator()(const char* key, const std::optional<T>& value) {
        if (value) object[key] = written(*value);
    }
    template <class T>
    void operator()(const char* key, const T& value) { object[key] = written(value); }

    static json::value written(double value) { return std::isfinite(value) ? value : 0.0; }
    template <NamedEnum T>
    static json::value written(const T& value) { return json::value_from(std::string(to_string(value))); }
    template <HasFields T>
    static json::value written(const T& value) {
        Writer writer;
        fields(value, writer);
        return std::move(writer.object);
    }
    template <class T>
    static json::value written(const std::vector<T>& values) {
        json::array out;
        for (const T& value : values) out.push_back(written(value));
        return out;
    }
    template <class T>
    static json::value written(const std::map<std::string, T>& values) {
        json::object out;
        for (const auto& [name, value] : values) out[name] = written(value);
        return out;
    }
    template <class T>
        requires(std::is_arithmetic_v<T> || std::same_as<T, std::string>)
    static json::value written(const T& value) { return json::value_from(value); }
};

struct Reader {
    const json::object& object;
    bool ok = true;

    template <class T>
    void operator()(const char* key, T& out) {
        if (const json::value* value = object.if_contains(key)) ok = read(*value, out) && ok;
    }

    static bool read(const json::value& value, bool& out) {
        if (value.is_bool()) out = value.get_bool();
        return value.is_bool();
    }
    static bool read(const json::value& value, std::string& out) {
        if (value.is_string()) out = std::string(value.get_string());
        return value.is_string();
    }
    template <NamedEnum T>
    static bool read(const json::value& value, T& out) {
        std::string text;
        return read(value, text) && from_text(text, out);
    }
    template <class T>
    static bool read(const json::value& value, std::optional<T>& out) { return read(value, out.emplace()); }
    template <HasFields T>
    static bool read(const json::value& value, T& out) {
        if (!value.is_object()) return false;
        Reader reader{value.get_object()};
        fields(out, reader);
        return reader.ok;
    }
    template <class T>
    static bool read(const json::value& value, std::vector<T>& out) {
        if (!value.is_array()) return false;
        out.clear();
        for (const json::value& item : value.get_array()) {
            if (!read(item, out.emplace_back())) return false;
        }
        return true;
    }
    template <class T>
    static bool read(const json::value& value, std::map<std::string, T>& out) {
        if (!value.is_object()) return false;
        out.clear();
        for (const auto& entry : value.get_object()) {
            if (!read(entry.value(), out[std::string(entry.key())])) return false;
        }
        return true;
    }
    template <class T>
        requires std::is_arithmetic_v<T>
    static bool read(const json::value& value, T& out) {
        json::error_code failure;
        out = value.to_number<T>(failure);
        return !failure;
    }
};

}  // namespace json_fields

template <class T>
json::value to_json_value(const T& value) { return json_fields::Writer::written(value); }
// False: not of that type; `out` is then what was read so far.
template <class T>
bool from_json_value(const json::value& value, T& out) { return json_fields::Reader::read(value, out); }

}  // namespace gantry
