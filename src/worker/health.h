#pragma once
// Asks an engine whether it answers. On the worker's own io_context, never blocking it.

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"

namespace boost::asio {
class io_context;
}

namespace gantry::worker {

struct HealthAnswer {
    enum class Kind {
        kReady,     // 2xx
        kLoading,   // 503 with {"status":"loading"}, or llama-server's "Loading model"
        kFailed,    // any other answer
        kSilent,    // nothing listens, or no answer in time
        kUnknown,   // we could not ask: this process is out of handles
    };
    Kind kind = Kind::kSilent;
    double progress = 0;    // when loading, if it says
    std::string text;       // for a person: "answered 404", "no answer within 5 s"
};

// What an answer means. Pure.
HealthAnswer read_health(int status, const std::string& body);

class HealthProber {
public:
    HealthProber(boost::asio::io_context& io, std::chrono::milliseconds timeout);
    ~HealthProber();
    // `path`: asked for by HTTP; empty: it is ready if a connection comes about.
    // Calls `done` once, on the io_context, within the timeout and a little.
    void probe(const std::string& endpoint, const std::string& path, std::function<void(HealthAnswer)> done);

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace gantry::worker
