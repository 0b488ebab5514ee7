#pragma once
// POST /v1/images/generations, /v1/images/edits and /v1/images/variations: what is asked. Threads: any.

#include <span>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "protocol/openai/form.h"

namespace gantry::protocol::openai {

inline constexpr uint64_t kImagesMax = 10;            // `n`
inline constexpr size_t kImagePromptMax = 32'000;     // bytes
inline constexpr size_t kImageFilesMax = 16;          // of an edit

enum class ImageTask { kGeneration, kEdit, kVariation };

struct ImagesRequest {
    std::string model{};                 // maybe empty
    bool stream = false;
};
// Pictures of an edit in JSON are data: URLs: who serves the model fetches nothing for strangers.
Result<ImagesRequest> parse_images(const json::value& body, ImageTask task);
Result<ImagesRequest> parse_images(std::span<const FormField> form, ImageTask task);

// The fields that go on to whoever serves the model; the files of a form among them.
std::span<const std::string_view> image_fields();

}  // namespace gantry::protocol::openai
