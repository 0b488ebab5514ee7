#pragma once
// Reads a value's fields out of JSON that a stranger may have made: each string and list within its bound, and the first problem
// told with its path, "devices[3].name". Otherwise as base/json_fields.h: missing keys keep their default, unknown ones pass.

#include <fmt/format.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json_fields.h"
#include "base/result.h"

namespace gantry::protocol {

struct ReadBounds {
    size_t name_bytes = 256;         // of any string
    size_t text_bytes = 4'096;       // of those that a person wrote or reads: `long_texts`
    size_t items = 1'024;            // of any list or map
    bool plain_text = true;          // no control characters
    bool (*long_text)(std::string_view key) = nullptr;
    size_t (*items_of)(std::string_view key) = nullptr;   // 0: `items`
};

class CheckedReader {
    // Where the reader is; lives on the stack beside the call that goes deeper.
    struct Place {
        const Place* up = nullptr;
        std::string_view key{};      // empty: an item of a list
        size_t index = 0;
        std::string text() const {
            std::string out = up == nullptr ? "" : up->text();
            if (key.empty() && up != nullptr) return out + fmt::format("[{}]", index);
            return out.empty() ? std::string(key) : out + "." + std::string(key);
        }
    };

public:
    explicit CheckedReader(const ReadBounds& bounds) : bounds_(bounds) {}

    template <class T>
    Status read(const json::value& value, T& out) {
        into(value, out, Place{}, {});
        if (problem_) return *problem_;
        return Ok{};
    }

private:
    struct Fields {
        CheckedReader& reader;
        const json::object& object;
        const Place& place;
        template <class T>
        void operator()(const char* key, T& out) {
            if (reader.problem_) return;
            if (const json::value* value = object.if_contains(key)) reader.into(*value, out, Place{&place, key}, key);
        }
    };

    void fail(const Place& place, std::string_view what) {
        if (problem_) return;
        const std::string path = place.text();
        problem_ = invalid_argument(fmt::format("\"{}\" {}", path, what), path);
    }

    void into(const json::value& value, bool& out, const Place& place, std::string_view) {
        if (!value.is_bool()) return fail(place, "must be true or false");
        out = value.get_bool();
    }
    void into(const json::value& value, std::string& out, const Place& place, std::string_view key) {
        if (!value.is_string()) return fail(place, "must be a string");
        const json::string& text = value.get_string();
        const bool is_long = bounds_.long_text != nullptr && bounds_.long_text(key);
        const size_t limit = is_long ? bounds_.text_bytes : bounds_.name_bytes;
        if (text.size() > limit) return fail(place, fmt::format("has {} bytes, {} at most", text.size(), limit));
        if (bounds_.plain_text) {
            for (const char c : text) {
                if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return fail(place, "must hold no control characters");
            }
        }
        out.assign(text.data(), text.size());
    }
    template <json_fields::NamedEnum T>
    void into(const json::value& value, T& out, const Place& place, std::string_view) {
        if (!value.is_string() || !from_text(std::string(value.get_string()), out)) fail(place, "is none of the words known here");
    }
    template <class T>
    void into(const json::value& value, std::optional<T>& out, const Place& place, std::string_view key) {
        into(value, out.emplace(), place, key);
    }
    template <json_fields::HasFields T>
    void into(const json::value& value, T& out, const Place& place, std::string_view) {
        if (!value.is_object()) return fail(place, "must be an object");
        fields(out, Fields{*this, value.get_object(), place});
    }
    template <class T>
    void into(const json::value& value, std::vector<T>& out, const Place& place, std::string_view key) {
        if (!value.is_array()) return fail(place, "must be a list");
        const json::array& list = value.get_array();
        if (!few_enough(list.size(), place, key)) return;
        out.clear();
        out.reserve(list.size());
        for (size_t i = 0; i < list.size() && !problem_; ++i) into(list[i], out.emplace_back(), Place{&place, {}, i}, key);
    }
    template <class T>
    void into(const json::value& value, std::map<std::string, T>& out, const Place& place, std::string_view key) {
        if (!value.is_object()) return fail(place, "must be an object");
        if (!few_enough(value.get_object().size(), place, key)) return;
        out.clear();
        for (const auto& entry : value.get_object()) {
            if (entry.key().size() > bounds_.name_bytes) return fail(place, "has a key that is too long");
            into(entry.value(), out[std::string(entry.key())], Place{&place, entry.key()}, key);
        }
    }
    template <class T>
        requires std::is_arithmetic_v<T>
    void into(const json::value& value, T& out, const Place& place, std::string_view) {
        json::error_code failure;
        const T number = value.to_number<T>(failure);
        if (failure) return fail(place, "must be a number within its range");
        out = number;
    }

    bool few_enough(size_t count, const Place& place, std::string_view key) {
        const size_t own = bounds_.items_of == nullptr ? 0 : bounds_.items_of(key);
        const size_t limit = own == 0 ? bounds_.items : own;
        if (count > limit) fail(place, fmt::format("has {} entries, {} at most", count, limit));
        return count <= limit;
    }

    const ReadBounds& bounds_;
    std::optional<Error> problem_;
};

}  // namespace gantry::protocol
