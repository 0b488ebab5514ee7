#include "protocol/openai/images.h"

#include <fmt/format.h>

#include "protocol/openai/fields.h"

namespace gantry::protocol::openai {
namespace {

constexpr std::string_view kImageFields[] = {
    "model", "prompt", "n", "size", "quality", "style", "background", "moderation", "output_format", "output_compression", "partial_images",
    "response_format", "stream", "user", "input_fidelity", "seed", "negative_prompt", "num_inference_steps", "guidance_scale",
    "image", "image[]", "images", "mask"};
constexpr std::string_view kResponseFormats[] = {"url", "b64_json"};
constexpr std::string_view kOutputFormats[] = {"png", "jpeg", "webp"};
constexpr size_t kModelBytesMax = 1024;

struct Numbered {
    const char* name;
    int64_t min, max;
};
constexpr Numbered kNumbers[] = {{"n", 1, kImagesMax}, {"output_compression", 0, 100}, {"partial_images", 0, 3}};
struct Chosen {
    const char* name;
    std::span<const std::string_view> options;
};
constexpr Chosen kChoices[] = {{"response_format", kResponseFormats}, {"output_format", kOutputFormats}};
constexpr const char* kTexts[] = {"size", "quality", "style", "background", "moderation", "user", "input_fidelity", "negative_prompt"};

Status check_prompt(std::string_view prompt) {
    if (!prompt.empty() && prompt.size() <= kImagePromptMax) return Ok{};
    return invalid_argument(fmt::format("'prompt' must have 1 to {} bytes", kImagePromptMax), "prompt");
}

Status check_picture(const json::value& value, const std::string& path) {
    const Result<const json::object*> picture = as_object(value, path);
    if (!picture) return picture.error();
    const Result<std::string> url = required_text(**picture, "image_url", path);
    if (!url) return url.error();
    if (url->starts_with("data:image/")) return Ok{};
    return invalid_argument(fmt::format("'{}.image_url' must be a data: URL of an image; nothing is fetched from elsewhere", path),
                            path + ".image_url");
}

Status check_pictures(const json::object& fields) {
    const json::value* images = find(fields, "images");
    if (images == nullptr) return missing_field("images", "an array of {\"image_url\": \"data:image/png;base64,...\"}, or a form with files");
    const Result<const json::array*> list = as_array(*images, "images");
    if (!list) return list.error();
    if ((*list)->empty() || (*list)->size() > kImageFilesMax) {
        return invalid_argument(fmt::format("'images' must hold 1 to {} images", kImageFilesMax), "images");
    }
    for (size_t i = 0; i < (*list)->size(); ++i) GANTRY_TRY(check_picture((**list)[i], fmt::format("images[{}]", i)));
    if (const json::value* mask = find(fields, "mask")) GANTRY_TRY(check_picture(*mask, "mask"));
    return Ok{};
}

// Engines read these from JSON as they come: nothing of another kind goes through.
Status check_strays(const json::object& fields) {
    for (const char* name : {"image", "image[]"}) {
        if (find(fields, name) != nullptr) return invalid_argument(fmt::format("'{}' is a file of a form; in JSON send 'images'", name), name);
    }
    const std::pair<const char*, double> numbers[] = {{"seed", 1e19}, {"num_inference_steps", 10'000}, {"guidance_scale", 1'000}};
    for (const auto& [name, max] : numbers) {
        const json::value* value = find(fields, name);
        if (value == nullptr) continue;
        if (const Result<double> number = as_number(*value, name, name == std::string_view("seed") ? -1 : 0, max); !number) return number.error();
    }
    return Ok{};
}

}  // namespace

Result<ImagesRequest> parse_images(const json::value& body, ImageTask task) {
    const Result<const json::object*> object = as_object(body, "");
    if (!object) return object.error();
    const json::object& fields = **object;
    if (task == ImageTask::kVariation) {
        return invalid_argument("variations take a form with the file 'image'", "image", "unsupported_media_type");
    }
    ImagesRequest out;
    Result<std::string> model = parse_model(fields);
    if (!model) return model.error();
    out.model = *std::move(model);
    const Result<std::string> prompt = required_text(fields, "prompt", "");
    if (!prompt) return prompt.error();
    GANTRY_TRY(check_prompt(*prompt));
    for (const Numbered& field : kNumbers) {
        const json::value* value = find(fields, field.name);
        if (value == nullptr) continue;
        if (const Result<int64_t> number = as_integer(*value, field.name, field.min, field.max); !number) return number.error();
    }
    for (const Chosen& field : kChoices) {
        const json::value* value = find(fields, field.name);
        if (value == nullptr) continue;
        const Result<std::string> text = as_string(*value, field.name);
        if (!text) return text.error();
        const FormField as_field{field.name, false, *text};
        if (const auto chosen = choice_field({&as_field, 1}, field.name, field.options); !chosen) return chosen.error();
    }
    for (const char* name : kTexts) {
        const json::value* value = find(fields, name);
        if (value == nullptr) continue;
        if (const Result<std::string> text = as_string(*value, name); !text) return text.error();
    }
    GANTRY_TRY(check_strays(fields));
    if (task == ImageTask::kEdit) GANTRY_TRY(check_pictures(fields));
    if (const json::value* stream = find(fields, "stream")) {
        const Result<bool> flag = as_bool(*stream, "stream");
        if (!flag) return flag.error();
        out.stream = *flag;
    }
    return out;
}

Result<ImagesRequest> parse_images(std::span<const FormField> form, ImageTask task) {
    ImagesRequest out;
    const Result<std::optional<std::string>> model = text_field(form, "model", kModelBytesMax);
    if (!model) return model.error();
    out.model = model->value_or("");
    const Result<std::optional<std::string>> prompt = text_field(form, "prompt", kImagePromptMax);
    if (!prompt) return prompt.error();
    if (task == ImageTask::kEdit) {
        if (!*prompt) return missing_field("prompt", "what is to change");
        GANTRY_TRY(check_prompt(**prompt));
    }
    for (const Numbered& field : kNumbers) {
        const auto number = number_field(form, field.name, static_cast<double>(field.min), static_cast<double>(field.max));
        if (!number) return number.error();
    }
    for (const Chosen& field : kChoices) {
        if (const auto chosen = choice_field(form, field.name, field.options); !chosen) return chosen.error();
    }
    size_t files = 0;
    for (const FormField& field : form) {
        if (field.name != "image" && field.name != "image[]") continue;
        if (!field.is_file || field.content.empty()) {
            return invalid_argument(fmt::format("'{}' must be a file that is not empty", field.name), field.name);
        }
        ++files;
    }
    if (files == 0) return missing_field("image", "a file");
    const size_t most = task == ImageTask::kVariation ? 1 : kImageFilesMax;
    if (files > most) return invalid_argument(fmt::format("at most {} images can be sent", most), "image");
    const Result<bool> stream = flag_field(form, "stream");
    if (!stream) return stream.error();
    out.stream = *stream;
    return out;
}

std::span<const std::string_view> image_fields() { return kImageFields; }

}  // namespace gantry::protocol::openai
