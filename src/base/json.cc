#include "base/json_arena.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/ascii.h"

namespace gantry {
namespace {

constexpr size_t kShortBytes = 64;   // a text that is looked at sooner than a serializer is made

// How many values the text will become, before memory is spent on them: one, one more with each comma, one more with each list
// or object that isn't empty. Of what is no JSON, any number.
size_t count_values(std::string_view text) {
    size_t count = 1;
    bool in_string = false;
    char last = 0;  // outside of strings, but for white space
    for (size_t k = 0; k < text.size(); ++k) {
        const char c = text[k];
        if (in_string) {
            if (c == '\\') ++k;
            in_string = c != '"';
            continue;
        }
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n') continue;
        in_string = c == '"';
        if (c == ',' || c == '[' || c == '{') ++count;
        if ((c == ']' && last == '[') || (c == '}' && last == '{')) --count;
        last = c;
    }
    return count;
}

// The parser makes infinity of 1e999, and the writer would make of that a word that is no JSON. As deep as kJsonDepthMax at most.
bool all_finite(const json::value& value) {
    switch (value.kind()) {
        case json::kind::double_: return std::isfinite(value.get_double());
        case json::kind::array: return std::ranges::all_of(value.get_array(), all_finite);
        case json::kind::object:
            return std::ranges::all_of(value.get_object(), [](const auto& member) { return all_finite(member.value()); });
        default: return true;
    }
}

}  // namespace

Result<json::value> parse_json(std::string_view text) { return parse_json(text, {}); }

Result<json::value> parse_json(std::string_view text, json::storage_ptr memory) {
    // Each value but the first has a byte of its own before it, so that a short text needs no counting.
    if (text.size() >= kJsonValuesMax && count_values(text) > kJsonValuesMax) {
        return invalid_argument(fmt::format("the JSON body holds more than {} values", kJsonValuesMax));
    }
    json::parse_options options;
    options.max_depth = kJsonDepthMax;
    unsigned char stack[2048];   // of the parser: enough for most
    json::stream_parser parser({}, options, stack);
    parser.reset(std::move(memory));
    json::error_code failure;
    const size_t read = parser.write(text.data(), text.size(), failure);
    if (!failure) parser.finish(failure);
    if (failure == json::error::too_deep) {
        return invalid_argument(fmt::format("the JSON body is nested deeper than {} levels", kJsonDepthMax));
    }
    if (failure) {
        return invalid_argument(fmt::format("the body is not valid JSON: {} at byte {}", failure.message(), read));
    }
    json::value value = parser.release();
    if (!all_finite(value)) return invalid_argument("the JSON body holds a number that is too large: numbers go to 1.8e308");
    return value;
}

void append_json(std::string& out, std::string_view text) {
    const bool plain = is_printable(text) && text.find('"') == std::string_view::npos && text.find('\\') == std::string_view::npos;
    if (!plain) {
        out.append(json::serialize(json::value(text)));
        return;
    }
    (out += '"').append(text) += '"';
}

void append_value(std::string& out, const json::value& value) {
    if (const json::string* text = value.if_string(); text != nullptr && text->size() < kShortBytes) return append_json(out, std::string_view(*text));
    json::serializer writer;
    writer.reset(&value);
    char piece[4096];
    while (!writer.done()) {
        const json::string_view written = writer.read(piece);
        out.append(written.data(), written.size());
    }
}

}  // namespace gantry
