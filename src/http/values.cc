// Headers, Request and Response: plain values.

#include <algorithm>

#include "http/http.h"
#include "http/text.h"

namespace gantry::http {

std::string_view Headers::get(std::string_view name) const {
    for (const auto& [field, value] : fields_) {
        if (equal_without_case(field, name)) return value;
    }
    return {};
}

size_t Headers::count(std::string_view name) const {
    return static_cast<size_t>(std::count_if(fields_.begin(), fields_.end(), [name](const auto& field) {
        return equal_without_case(field.first, name);
    }));
}

void Headers::set(std::string name, std::string value) {
    erase(name);
    add(std::move(name), std::move(value));
}

void Headers::add(std::string name, std::string value) {
    constexpr size_t kUsual = 8;   // at once, rather than by 1, 2, 4 and 8
    if (fields_.capacity() == 0) fields_.reserve(kUsual);
    fields_.emplace_back(std::move(name), std::move(value));
}

void Headers::erase(std::string_view name) {
    std::erase_if(fields_, [name](const auto& field) { return equal_without_case(field.first, name); });
}

std::string_view Request::query_value(const std::string& name) const {
    const auto found = query.find(name);
    return found == query.end() ? std::string_view{} : std::string_view(found->second);
}

Response text_response(int status, std::string body) {
    return Response{status, Headers{{"content-type", "text/plain; charset=utf-8"}}, std::move(body)};
}

Response json_response(int status, std::string body) {
    return Response{status, Headers{{"content-type", "application/json"}}, std::move(body)};
}

}  // namespace gantry::http
