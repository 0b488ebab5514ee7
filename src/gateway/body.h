#pragma once
// What is sent to whoever serves a model, written once for all that may be asked. Pure.

#include <string>

#include "base/json.h"
#include "gateway/tables.h"
#include "http/http.h"

namespace gantry::gateway {

// What an outside provider is sent of a request is the beginning of what an engine is; see write_body().
struct Body {
    std::string text;                           // rebuilt from the allowed fields, include_usage set for streams
    size_t shared = 0;                          // so much of it goes to providers, too: "{", and fields with commas between; or parts of a form
    std::string boundary{};                     // of a form; empty: it is JSON

    std::string content_type() const;
};
// `splits`: an outside provider may be asked, so that what is no business of its stands last, behind `shared`.
// `bytes`: about how many it will have.
Body write_body(const json::object& fields, bool splits, size_t bytes = 0);
// The part "model" of a form, and its end.
void append_model(std::string& form, const std::string& boundary, const std::string& model);
std::string body_for(const Body& body, const Outside& outside);
// What every request to an outside provider carries. `api_key`: empty where it takes us without one.
http::Headers headers_for_outside(const std::string& api_key);

}  // namespace gantry::gateway
