#include "gateway/draining.h"

#include "gateway/answers.h"

namespace gantry::gateway {
namespace {

constexpr int kComeBackSeconds = 5;   // about what a restart takes

bool answers_to_the_end(const std::string& path) { return path == "/healthz" || path == "/readyz" || path == "/metrics"; }

}  // namespace

HeadCheck refuse_while(const bool& stopping, HeadCheck otherwise) {
    return [&stopping, otherwise = std::move(otherwise)](const http::Request& head) -> std::optional<http::Response> {
        if (!stopping || answers_to_the_end(head.path)) return otherwise(head);
        Error error = unavailable("This server is stopping and takes no new requests. Ask another one, or try again in a moment.", "server_stopping");
        return answer_of({503, std::move(error), kComeBackSeconds}, head.path);
    };
}

}  // namespace gantry::gateway
