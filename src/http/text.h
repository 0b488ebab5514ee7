#pragma once
// Small helpers on the text of HTTP, private to this folder.

#include <string>
#include <string_view>

#include "base/ascii.h"

namespace gantry::http {

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
