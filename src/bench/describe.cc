// What a target is, for the report: two figures of different flags or versions are not of one thing.

#include <fmt/format.h>

#include "bench/bench.h"
#include "http/http.h"

namespace gantry::bench {
namespace {

constexpr size_t kVersionBytesMax = 200;
constexpr size_t kBodyBytesMax = 1 << 20;

// A line of plain characters, whatever a stranger sent.
std::string plain(std::string_view text) {
    std::string out(text.substr(0, kVersionBytesMax));
    for (char& c : out) {
        c = c >= ' ' && c < 0x7f ? c : '?';
    }
    return out;
}

}  // namespace

std::string flags_of(const json::object& options) {
    std::string text;
    for (const auto& field : options) {
        const json::value& value = field.value();
        const bool is_default = value.is_null() || (value.is_number() && value.to_number<double>() == 0) ||
                                (value.is_string() && value.get_string().empty()) ||
                                (value.is_array() && value.get_array().empty()) ||
                                (value.is_object() && value.get_object().empty());
        if (!is_default && field.key() != "env") {
            text += fmt::format("{}{}={}", text.empty() ? "" : " ", std::string(field.key()), json::serialize(value));
        }
    }
    return text;
}

std::string version_of(const Target& target) {
    http::ClientOptions quick;
    quick.ca_file = target.ca_file;
    quick.connect_timeout = std::chrono::seconds(2);
    quick.header_timeout = std::chrono::seconds(2);
    quick.idle_timeout = std::chrono::seconds(2);
    quick.body_bytes = kBodyBytesMax;
    for (const auto& [path, key] : {std::pair{"/version", "version"}, std::pair{"/props", "build_info"}}) {
        http::Client::Call call;
        call.target = path;
        if (!target.api_key.empty()) {
            call.headers.set("authorization", "Bearer " + target.api_key);
        }
        const Result<http::SimpleResponse> response = http::fetch(target.endpoint, call, quick);
        const Result<json::value> value = response && response->status == 200 ? parse_json(response->body) : internal_error("");
        const json::object* object = value ? value->if_object() : nullptr;
        const json::value* version = object != nullptr ? object->if_contains(key) : nullptr;
        if (version != nullptr && version->is_string() && !version->get_string().empty()) {
            const json::string& text = version->get_string();
            return plain({text.data(), text.size()});
        }
    }
    return {};
}

}  // namespace gantry::bench
