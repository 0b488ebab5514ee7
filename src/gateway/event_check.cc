#include "gateway/event_check.h"

#include <array>
#include <boost/json/basic_parser_impl.hpp>
#include <cstring>

#include "base/json.h"

namespace gantry::gateway {
namespace {

using boost::json::error_code;
using boost::json::string_view;

// Takes the parser's events. Depth 1 is inside the root object, 2 inside a value of it.
struct Handler {
    static constexpr size_t max_object_size = static_cast<size_t>(-1);
    static constexpr size_t max_array_size = static_cast<size_t>(-1);
    static constexpr size_t max_key_size = static_cast<size_t>(-1);
    static constexpr size_t max_string_size = static_cast<size_t>(-1);

    EventFacts facts;
    bool root_is_object = false;
    int depth = 0;
    std::array<char, 24> key_text{};   // of the last key; a longer one is none of ours
    size_t key_size = 0;
    enum class Top { kOther, kError, kUsage, kChoices } top = Top::kOther;

    std::string_view key() const {
        return key_size <= key_text.size() ? std::string_view(key_text.data(), key_size) : std::string_view();
    }
    void add_to_key(string_view part) {
        if (key_size + part.size() <= key_text.size()) std::memcpy(key_text.data() + key_size, part.data(), part.size());
        key_size += part.size();
    }
    bool scalar(bool null) {
        if (depth == 1 && top == Top::kError && !null) facts.error = true;
        return true;
    }

    bool on_document_begin(error_code&) { return true; }
    bool on_document_end(error_code&) { return true; }
    bool on_object_begin(error_code&) {
        if (depth == 0) root_is_object = true;
        if (depth == 1 && top == Top::kError) facts.error = true;
        if (depth == 1 && top == Top::kUsage) facts.usage = true;
        ++depth;
        key_size = 0;
        return true;
    }
    bool on_object_end(size_t, error_code&) {
        --depth;
        key_size = 0;
        return true;
    }
    bool on_array_begin(error_code&) {
        if (depth == 1 && top == Top::kError) facts.error = true;
        ++depth;
        return true;
    }
    bool on_array_end(size_t size, error_code&) {
        --depth;
        if (depth == 1 && top == Top::kChoices) facts.no_choices = size == 0;
        return true;
    }
    bool on_key_part(string_view part, size_t total, error_code&) {
        if (total == part.size()) key_size = 0;
        add_to_key(part);
        return true;
    }
    bool on_key(string_view part, size_t total, error_code&) {
        if (total == part.size()) key_size = 0;
        add_to_key(part);
        if (depth == 1) {
            const std::string_view name = key();
            top = name == "error" ? Top::kError : name == "usage" ? Top::kUsage : name == "choices" ? Top::kChoices : Top::kOther;
            if (top == Top::kUsage) facts.usage_key = true;
        }
        return true;
    }
    bool on_string_part(string_view, size_t, error_code&) { return true; }
    bool on_string(string_view, size_t total, error_code&) {
        if (depth >= 3 && total > 0 && top == Top::kChoices) {
            const std::string_view name = key();
            if (name == "content" || name == "text" || name == "reasoning_content" || name == "reasoning" || name == "arguments") {
                facts.output = true;
            }
        }
        return scalar(false);
    }
    bool on_number_part(string_view, error_code&) { return true; }
    bool on_int64(int64_t, string_view, error_code&) { return scalar(false); }
    bool on_uint64(uint64_t, string_view, error_code&) { return scalar(false); }
    bool on_double(double, string_view, error_code&) { return scalar(false); }
    bool on_bool(bool, error_code&) { return scalar(false); }
    bool on_null(error_code&) { return scalar(true); }
    bool on_comment_part(string_view, error_code&) { return true; }
    bool on_comment(string_view, error_code&) { return true; }
};

}  // namespace

std::optional<EventFacts> check_event(std::string_view data) {
    boost::json::parse_options options;
    options.max_depth = kJsonDepthMax;
    boost::json::basic_parser<Handler> parser(options);
    error_code failure;
    const size_t read = parser.write_some(false, data.data(), data.size(), failure);
    if (failure || !parser.done() || !parser.handler().root_is_object) return std::nullopt;
    const bool rest_is_space = data.find_first_not_of(" \t\r\n", read) == std::string_view::npos;
    return rest_is_space ? std::optional(parser.handler().facts) : std::nullopt;
}

}  // namespace gantry::gateway
