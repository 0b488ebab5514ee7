#pragma once
// What a Stream is inside. Private to this folder.

#include "http/http.h"
#include "http/timed_socket.h"

namespace gantry::http {

struct Stream::State {
    State(std::shared_ptr<TimedSocket> s, std::string i) : socket(std::move(s)), input(std::move(i)) {}
    ~State() {
        if (!socket) return;   // moved on
        socket->end_tls();
        socket->close();
    }
    std::shared_ptr<TimedSocket> socket;   // shared with reads and writes in progress
    std::string input;                     // read, and not yet given
};

}  // namespace gantry::http
