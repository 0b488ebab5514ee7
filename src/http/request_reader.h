#pragma once
// One request out of the bytes of a connection: checked strictly, then parsed by Boost.Beast, within the server's limits.
// Pure: no socket, no clock; what the fuzzer drives. Private to this folder.
//
//   RequestReader reader(limits);
//   feed bytes until head_done() or failure()            nothing of the body is taken before the next step
//   reader.begin_body(limit);                             a declared length over the limit fails here
//   feed bytes until done() or failure()

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/http.h"

namespace gantry::http {

// What the server answers instead, before it closes the connection.
struct EdgeError {
    int status = 400;
    std::string message;
};

class RequestReader {
public:
    explicit RequestReader(const ServerLimits& limits);
    ~RequestReader();
    RequestReader(const RequestReader&) = delete;
    RequestReader& operator=(const RequestReader&) = delete;

    // Takes what it can from the front of `input` and returns how many bytes that were; call again with the rest and more
    // behind it. Must not be called once done() or after a failure, nor past the head before begin_body().
    size_t feed(std::string_view input);

    bool head_done() const;
    void begin_body(size_t limit);  // in bytes, decoded; in place of the limits' body_bytes
    bool done() const;
    const std::optional<EdgeError>& failure() const;

    // From the head on: method, target, path, query and headers are set; with done() the body too.
    Request& request();
    bool keep_alive() const;        // what the client asks for
    bool http_1_0() const;
    bool expects_continue() const;  // and a body is to come
    size_t body_received() const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace gantry::http
