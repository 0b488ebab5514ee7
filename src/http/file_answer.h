#pragma once
// Answers of files, and of what another server answers. Threads: the io thread; the disk is read on the pool.

#include <memory>
#include <string>

#include "http/http.h"

namespace gantry::http {

// The file, or what "Range: bytes=A-B" or "bytes=A-" asks for of it (other forms mean nothing: all of it). 404 where it can't be read, 416
// where the range begins behind its end. A file that ends early ends the connection.
Task<void> answer_with_file(Exchange& exchange, BlockingPool& pool, std::string path);

// What another server is asked for this one: a GET of `target`, of the range that was asked for here.
Client::Call call_for(const Exchange& exchange, std::string target);
// The answer of another server as it is: status, content-type, content-range and body, piece by piece. One that breaks off breaks off here.
Task<void> pass_on(Exchange& exchange, ClientResponse& from);

}  // namespace gantry::http
