#pragma once
// UTF-8 that can be relied on: what leaves this process as text is valid, whatever bytes a model's
// tokens hold.

#include <string>
#include <string_view>

namespace gantry::protocol::openai {

// Appends `bytes` to `out` as valid UTF-8, each byte that can be no part of it as U+FFFD. Returns
// how many bytes were used up: fewer than all when the end is a character's beginning that later
// bytes may complete. `last`: nothing follows, use up all.
size_t append_utf8(std::string& out, std::string_view bytes, bool last);

// At most `bytes` of `text`, which is valid UTF-8, no character cut in two.
std::string_view beginning(std::string_view text, size_t bytes);

// The whole of `bytes` as valid UTF-8.
std::string to_utf8(std::string_view bytes);

}  // namespace gantry::protocol::openai
