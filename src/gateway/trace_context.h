#pragma once
// W3C trace context: the trace that a request belongs to, as the client says or else one of its own, so that the engine and the
// log name the same. Threads: any.

#include <string>
#include <string_view>

#include "http/http.h"

namespace gantry::gateway {

// The `traceparent` to send on: the client's if there is one and it is well-formed, else a fresh one that is not sampled.
// Always version 00 and 55 characters long.
std::string traceparent_of(const http::Headers& headers);
// REQUIRES: a result of traceparent_of.
std::string_view trace_id(std::string_view traceparent);

}  // namespace gantry::gateway
