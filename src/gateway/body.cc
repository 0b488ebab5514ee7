#include "gateway/body.h"

#include "http/multipart.h"

namespace gantry::gateway {

std::string Body::content_type() const {
    return boundary.empty() ? std::string("application/json") : "multipart/form-data; boundary=" + boundary;
}

void append_model(std::string& form, const std::string& boundary, const std::string& model) {
    http::append_part(form, boundary, {.name = "model"}, model);
    http::append_form_end(form, boundary);
}

// One text for both: writing a large body twice would take longer than all else here.
Body write_body(json::object fields, bool splits) {
    if (!splits) return {json::serialize(fields), 0};
    json::object own;   // the model has another name there, and what says how a request is served is about our queues
    for (const char* name : {"model", "service_tier", "priority", "cache_salt", "deadline_ms"}) {
        if (const auto found = fields.find(name); found != fields.end()) {
            own[name] = std::move(found->value());
            fields.erase(found);
        }
    }
    Body body{json::serialize(fields), 0};
    body.text.pop_back();   // "}"
    body.shared = body.text.size();
    if (!fields.empty()) body.text += ',';
    body.text.append(json::serialize(own), 1);
    return body;
}

std::string body_for(const Body& body, const Outside& outside) {
    if (!body.boundary.empty()) {
        std::string form;
        form.reserve(body.shared + 256 + outside.model.size());
        form.append(body.text, 0, body.shared);
        append_model(form, body.boundary, outside.model);
        return form;
    }
    const std::string model = (body.shared > 1 ? ",\"model\":" : "\"model\":") + json::serialize(json::value(outside.model)) + "}";
    std::string text;
    text.reserve(body.shared + model.size());
    return text.append(body.text, 0, body.shared).append(model);
}

http::Headers headers_for_outside(const std::string& api_key) {
    http::Headers headers{{"accept-encoding", "identity"}, {"user-agent", "gantry"}};   // some refuse who names no program
    if (!api_key.empty()) headers.add("authorization", "Bearer " + api_key);
    return headers;
}

}  // namespace gantry::gateway
