#include "gateway/body.h"

namespace gantry::gateway {

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
