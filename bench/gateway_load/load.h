#pragma once
// The two ends of the load, and the marks by which they know each other's events.

#include <cstdint>
#include <string>

namespace gantry::load {

// What an event says to its reader: when it was sent, and which of its stream it is: "@<nanoseconds, 19 digits>.<number>".
inline constexpr char kMark[] = "\"content\":\"@";

struct UpstreamOptions {
    uint16_t port = 0;
    int ttft_ms = 0;             // until the first event, or the whole answer
    double events_per_s = 20;    // of each stream
};
// Serves chat completions until it is killed: as many events as max_tokens says, usage at the end if it is asked for.
int run_upstream(const UpstreamOptions& options);

struct ClientOptions {
    uint16_t port = 0;
    int connections = 1;
    double seconds = 0;          // stop asking after; 0: when each connection had its chats
    int chats = 1;               // of each connection, one after the other; counted only where seconds is 0
    int ramp_ms = 0;             // over which the connections begin
    bool stream = false;
    int events = 16;             // max_tokens
    size_t body_bytes = 1024;
    std::string key;
    std::string model = "mock";
    bool progress = false;       // a line of JSON a second on the way
};
// Prints one JSON object.
int run_client(const ClientOptions& options);

}  // namespace gantry::load
