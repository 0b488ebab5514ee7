#include "http/message_head.h"

#include <charconv>

#include "http/text.h"

namespace gantry::http {
namespace {

constexpr size_t kAnswerHeadBytes = 768;   // of one with all that the gateway adds

bool is_framing(std::string_view name) {
    return equal_without_case(name, "content-length") || equal_without_case(name, "transfer-encoding") ||
           equal_without_case(name, "connection") || equal_without_case(name, "keep-alive");
}

void append_number(std::string& text, uint64_t number) {
    char digits[24];
    const auto end = std::to_chars(digits, digits + sizeof(digits), number).ptr;
    text.append(digits, end);
}

}  // namespace

std::string make_answer_head(const AnswerHead& answer) {
    std::string head;
    head.reserve(kAnswerHeadBytes);
    head.append("HTTP/1.1 ");
    append_number(head, static_cast<uint64_t>(answer.status));
    head.append(" ").append(reason_phrase(answer.status)).append("\r\n");
    const auto is_ours = [](std::string_view name) {
        return is_framing(name) || equal_without_case(name, "date") || equal_without_case(name, "x-request-id");
    };
    for (const auto& [name, value] : *answer.headers) {
        if (!is_ours(name)) append_field(head, name, value);
    }
    if (answer.others != nullptr) {
        for (const auto& [name, value] : *answer.others) {
            if (!is_ours(name) && answer.headers->count(name) == 0) append_field(head, name, value);
        }
    }
    head.append("date: ").append(http_date()).append("\r\n");
    append_field(head, "x-request-id", answer.request_id);
    if (answer.content_length && !is_bodiless(answer.status)) {
        head.append("content-length: ");
        append_number(head, *answer.content_length);
        head.append("\r\n");
    }
    if (answer.chunked) head.append("transfer-encoding: chunked\r\n");
    if (!answer.keep_alive) {
        head.append("connection: close\r\n");
    } else if (answer.http_1_0) {
        head.append("connection: keep-alive\r\n");
    }
    head.append("\r\n");
    return head;
}

Result<std::string> make_request_head(const Client::Call& call, std::string_view host) {
    const auto is_word = [](std::string_view text) {
        for (const char c : text) {
            if (c <= ' ' || c == '\x7f') return false;  // bytes over 0x7f are negative here and refused too
        }
        return !text.empty();
    };
    if (!is_word(call.method)) return invalid_argument("the method of a request is empty or holds a space");
    if (!is_word(call.target)) {
        return invalid_argument("the path of a request is empty or holds a space, control or non-ASCII character; "
                                "percent-encode it");
    }
    std::string head;
    head.reserve(256);
    head.append(call.method).append(" ").append(call.target).append(" HTTP/1.1\r\n");
    if (call.headers.get("host").empty()) append_field(head, "host", host);
    for (const auto& [name, value] : call.headers) {
        if (is_framing(name)) continue;
        append_field(head, name, value);
    }
    if (has_word(call.headers.get("connection"), "close")) head.append("connection: close\r\n");
    const bool has_body = !call.body.empty() || call.method == "POST" || call.method == "PUT" || call.method == "PATCH";
    if (has_body) {
        head.append("content-length: ");
        append_number(head, call.body.size());
        head.append("\r\n");
    }
    head.append("\r\n");
    return head;
}

}  // namespace gantry::http
