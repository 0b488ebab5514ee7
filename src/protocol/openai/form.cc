#include "protocol/openai/form.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "protocol/openai/fields.h"
#include "protocol/openai/utf8.h"

namespace gantry::protocol::openai {
namespace {

// The one field of that name; null: none.
Result<const FormField*> only(std::span<const FormField> form, std::string_view name) {
    const FormField* found = nullptr;
    for (const FormField& field : form) {
        if (field.name != name) continue;
        if (found != nullptr) return invalid_argument(fmt::format("'{}' is there more than once", name), std::string(name));
        found = &field;
    }
    return found;
}

}  // namespace

Result<std::optional<std::string>> text_field(std::span<const FormField> form, std::string_view name, size_t bytes_max) {
    const Result<const FormField*> field = only(form, name);
    if (!field) return field.error();
    if (*field == nullptr) return std::optional<std::string>();
    const std::string_view text = (*field)->content;
    if ((*field)->is_file) return invalid_argument(fmt::format("'{}' must be text, not a file", name), std::string(name));
    if (text.size() > bytes_max) return invalid_argument(fmt::format("'{}' may have at most {} bytes", name, bytes_max), std::string(name));
    if (to_utf8(text) != text) return invalid_argument(fmt::format("'{}' is not UTF-8", name), std::string(name));
    return std::optional(std::string(text));
}

Result<std::optional<std::string>> choice_field(std::span<const FormField> form, std::string_view name,
                                                std::span<const std::string_view> options) {
    constexpr size_t kLongest = 64;
    Result<std::optional<std::string>> text = text_field(form, name, kLongest);
    if (!text || !*text) return text;
    if (std::find(options.begin(), options.end(), **text) == options.end()) {
        return invalid_argument(fmt::format("'{}' must be one of {}", name, fmt::join(options, ", ")), std::string(name));
    }
    return text;
}

Result<std::optional<double>> number_field(std::span<const FormField> form, std::string_view name, double min, double max) {
    constexpr size_t kLongest = 32;
    const Result<std::optional<std::string>> text = text_field(form, name, kLongest);
    if (!text) return text.error();
    if (!*text) return std::optional<double>();
    double number = 0;
    const char* const end = (*text)->data() + (*text)->size();
    const auto [stop, failure] = std::from_chars((*text)->data(), end, number);
    if (failure != std::errc() || stop != end || !std::isfinite(number) || number < min || number > max) {
        return invalid_argument(fmt::format("'{}' must be a number from {} to {}", name, min, max), std::string(name));
    }
    return std::optional(number);
}

Result<bool> flag_field(std::span<const FormField> form, std::string_view name) {
    constexpr std::string_view kWords[] = {"true", "false", "True", "False", "1", "0"};
    const Result<std::optional<std::string>> word = choice_field(form, name, kWords);
    if (!word) return word.error();
    return *word && (**word == "true" || **word == "True" || **word == "1");
}

Result<std::string_view> file_field(std::span<const FormField> form, std::string_view name) {
    const Result<const FormField*> field = only(form, name);
    if (!field) return field.error();
    if (*field == nullptr) return missing_field(std::string(name), "a file");
    if (!(*field)->is_file) return invalid_argument(fmt::format("'{}' must be a file: send it with a file name", name), std::string(name));
    if ((*field)->content.empty()) return invalid_argument(fmt::format("'{}' is empty", name), std::string(name));
    return (*field)->content;
}

}  // namespace gantry::protocol::openai
