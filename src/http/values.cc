// Headers, Request and Response: plain values.

#include <algorithm>

#include "http/http.h"
#include "http/text.h"

namespace gantry::http {

namespace {

// At once, rather than by 1, 2, 4 and so on.
constexpr size_t kUsualFields = 8;
constexpr size_t kUsualBytes = 256;

}  // namespace

Headers::Headers(std::initializer_list<Field> fields) {
    for (const auto& [name, value] : fields) add(name, value);
}

bool Headers::has_name(const Place& place, std::string_view name) const {
    return place.name_bytes == name.size() && equal_without_case(std::string_view(text_).substr(place.at, place.name_bytes), name);
}

std::string_view Headers::get(std::string_view name) const {
    for (size_t i = 0; i < places_.size(); ++i) {
        if (has_name(places_[i], name)) return field(i).second;
    }
    return {};
}

size_t Headers::count(std::string_view name) const {
    return static_cast<size_t>(std::count_if(places_.begin(), places_.end(), [&](const Place& place) { return has_name(place, name); }));
}

void Headers::set(std::string_view name, std::string_view value) {
    erase(name);
    add(name, value);
}

void Headers::add(std::string_view name, std::string_view value) {
    if (places_.capacity() == 0) {
        places_.reserve(kUsualFields);
        text_.reserve(kUsualBytes);
    }
    places_.push_back({static_cast<uint32_t>(text_.size()), static_cast<uint32_t>(name.size()), static_cast<uint32_t>(value.size())});
    text_.append(name).append(value);
}

// The text keeps what nobody finds any more.
void Headers::erase(std::string_view name) {
    std::erase_if(places_, [&](const Place& place) { return has_name(place, name); });
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
