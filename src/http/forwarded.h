#pragma once
// What a trusted proxy says of the client it speaks for. Private to this folder.

#include "http/http.h"

namespace gantry::http {

// Where request.peer is a trusted proxy: puts the client's address in its place, and sets request.tls as the proxy says. The
// client is the rightmost of X-Forwarded-For that is no trusted proxy itself; what stands left of it, anyone may have written.
// `Forwarded` (RFC 7239) is never read: a proxy that writes X-Forwarded-For passes a client's own `Forwarded` on unchanged.
void apply_forwarded(Request& request, const Networks& trusted);

}  // namespace gantry::http
