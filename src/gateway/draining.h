#pragma once
// What a server that is stopping says to whoever comes now: 503 with Retry-After, before a body is read, so that a client or a load
// balancer goes elsewhere; while what it answers already ends in its own time. Health and metrics go on answering.

#include <functional>
#include <optional>

#include "http/http.h"

namespace gantry::gateway {

using HeadCheck = std::function<std::optional<http::Response>(const http::Request& head)>;

// `stopping` is asked at each request and outlives the server; while it is false `otherwise` decides. Io thread.
HeadCheck refuse_while(const bool& stopping, HeadCheck otherwise);

}  // namespace gantry::gateway
