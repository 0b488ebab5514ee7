#pragma once
// Heads of messages as text, both ways. Private to this folder.

#include <optional>
#include <string>

#include "http/http.h"

namespace gantry::http {

struct AnswerHead {
    int status = 200;
    const Headers* headers = nullptr;       // what frames the message is left out of these: we write it
    const Headers* others = nullptr;        // those go out, too, that `headers` has not
    std::string_view request_id;
    std::optional<uint64_t> content_length; // absent: chunked, or up to the close
    bool chunked = false;
    bool keep_alive = true;
    bool http_1_0 = false;
};
std::string make_answer_head(const AnswerHead& answer);

// True for answers that never have a body: 1xx, 204, 304.
constexpr bool is_bodiless(int status) { return (status >= 100 && status < 200) || status == 204 || status == 304; }

// kInvalidArgument: a method or target that would not be one, or would be two.
Result<std::string> make_request_head(const Client::Call& call, std::string_view host);

}  // namespace gantry::http
