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
Body write_body(const json::object& fields, bool splits, size_t bytes) {
    // The model has another name there, and what says how a request is served is about our queues.
    const auto is_own = [](std::string_view name) {
        return name == "model" || name == "service_tier" || name == "priority" || name == "cache_salt" || name == "deadline_ms";
    };
    Body body;
    std::string& text = body.text;
    text.reserve(bytes);
    text += '{';
    const auto add = [&text](const json::key_value_pair& field) {
        if (text.size() > 1) text += ',';
        append_json(text, std::string_view(field.key()));
        text += ':';
        append_value(text, field.value());
    };
    for (const auto& field : fields) {
        if (!splits || !is_own(field.key())) add(field);
    }
    if (splits) body.shared = text.size();
    for (const auto& field : fields) {
        if (splits && is_own(field.key())) add(field);
    }
    text += '}';
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
    std::string text;
    text.reserve(body.shared + outside.model.size() + 16);
    text.append(body.text, 0, body.shared).append(body.shared > 1 ? ",\"model\":" : "\"model\":");
    append_json(text, outside.model);
    text += '}';
    return text;
}

http::Headers headers_for_outside(const std::string& api_key) {
    http::Headers headers{{"accept-encoding", "identity"}, {"user-agent", "gantry"}};   // some refuse who names no program
    if (!api_key.empty()) headers.add("authorization", "Bearer " + api_key);
    return headers;
}

}  // namespace gantry::gateway
