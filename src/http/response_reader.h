#pragma once
// One answer out of the bytes of a connection, parsed by Boost.Beast; the client's side of request_reader.h. Interim answers
// (1xx) are passed over. Pure: no socket, no clock. Private to this folder.

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/http.h"

namespace gantry::http {

class ResponseReader {
public:
    ResponseReader(size_t head_bytes, bool answers_head_request);
    ~ResponseReader();
    ResponseReader(const ResponseReader&) = delete;
    ResponseReader& operator=(const ResponseReader&) = delete;

    // Takes what it can from the front of `input`, returns how many bytes; call again with the rest and more behind it.
    size_t feed(std::string_view input);
    // The other side closed the connection: the proper end of a body without a length, else a failure.
    void feed_end();

    bool head_done() const;
    bool done() const;
    const std::optional<std::string>& failure() const;
    int status() const;
    const Headers& headers() const;
    bool keep_alive() const;
    std::string& body();      // what has arrived of it; whoever takes some takes it out

private:
    struct Impl;
    void start();
    size_t head_bytes_;
    bool answers_head_request_;
    std::unique_ptr<Impl> impl_;
};

}  // namespace gantry::http
