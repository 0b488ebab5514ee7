#pragma once
// The fields of a form, as the endpoints that take files read them. Threads: any.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gantry::protocol::openai {

struct FormField {
    std::string name;
    bool is_file = false;
    std::string_view content;   // lives with the body
};
// Of http::read_form()'s parts, which this library does not know.
template <class Parts>
std::vector<FormField> fields_of(const Parts& parts) {
    std::vector<FormField> fields;
    for (const auto& part : parts) fields.push_back({part.head.name, part.head.is_file, part.content});
    return fields;
}

// A field that may stand once, as text. nullopt: it is not there. kInvalidArgument: twice, a file, not UTF-8, over `bytes_max`.
Result<std::optional<std::string>> text_field(std::span<const FormField> form, std::string_view name, size_t bytes_max);
// The same, one of `options`; and a number from `min` to `max`; and "true", "false", "1", "0".
Result<std::optional<std::string>> choice_field(std::span<const FormField> form, std::string_view name,
                                                std::span<const std::string_view> options);
Result<std::optional<double>> number_field(std::span<const FormField> form, std::string_view name, double min, double max);
Result<bool> flag_field(std::span<const FormField> form, std::string_view name);
// A file that must be there, once, with something in it.
Result<std::string_view> file_field(std::span<const FormField> form, std::string_view name);

}  // namespace gantry::protocol::openai
