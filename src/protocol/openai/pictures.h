#pragma once
// Pictures in messages, as engines of ours may be given them: within the request. An engine that fetches what a stranger names is a door
// into the network it stands in. Pure. Threads: any.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace gantry::protocol::openai {

// Decoded, a pixel takes 3 or 4 bytes, and a file of some kB can claim 2^32 of them.
inline constexpr uint64_t kPictureSideMax = 16'384;             // pixels
inline constexpr uint64_t kPicturePixelsMax = 64ull << 20;

// kInvalidArgument with `path` in `param`: `url` is no data: URL of a PNG, JPEG, GIF, BMP or WebP picture in base64, of a size
// within the limits. Looks at the header alone; whether the rest is whole is the engine's to say.
Status check_picture(std::string_view url, const std::string& path);

}  // namespace gantry::protocol::openai
