#pragma once
// Hashes as text, for identities and comparisons; secrets are kept by gateway/api_key.h. Threads: any.

#include <cstddef>
#include <string>
#include <string_view>

namespace gantry {

// Two lower-case digits a byte.
std::string to_hex(const unsigned char* bytes, size_t size);
// 32 digits of BLAKE2b: tells texts apart.
std::string short_digest(std::string_view text);

}  // namespace gantry
