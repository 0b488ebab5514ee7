#pragma once
// Small helpers on the text of HTTP, private to this folder.

#include <string>
#include <string_view>

namespace gantry::http {

// ASCII only, as header names are; independent of the locale.
constexpr char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

constexpr bool equal_without_case(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return false;
    for (size_t i = 0; i < a.size(); ++i) {
        if (to_lower(a[i]) != to_lower(b[i])) return false;
    }
    return true;
}

// True when the comma-separated list holds the word: has_word("keep-alive, Upgrade", "upgrade").
bool has_word(std::string_view list, std::string_view word);

// "Not Found" for 404; a general word for what has no name.
std::string_view reason_phrase(int status);

// "Mon, 23 Nov 2026 22:00:00 GMT", made once a second. One thread each.
std::string_view http_date();

// A complete head: start line, fields, empty line. What could split a header (CR, LF, NUL in a value, a name that is no
// token) is left out or blanked, since a handler may pass on text from outside.
void append_field(std::string& head, std::string_view name, std::string_view value);

}  // namespace gantry::http
