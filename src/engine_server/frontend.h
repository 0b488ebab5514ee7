#pragma once
// The HTTP side of `gantry engine` without a process around it: routes, key, errors.
// engine_server.cc puts a model, signals and an exit file around it; tests put a FakeRunner into
// it. Io thread only.

#include <memory>
#include <string>

#include "base/clock.h"
#include "engine_server/services.h"
#include "http/http.h"

namespace gantry::engine_server {

struct FrontendOptions {
    std::string model_name;   // in answers; empty: the request's own
    std::string listed_name;  // at /v1/models
    std::string api_key;      // empty: none needed
    AnswerLimits limits{};
};

class Frontend {
public:
    Frontend(http::asio::io_context& io, FrontendOptions options);
    ~Frontend();

    http::Server& server();
    void set_progress(float progress);                   // any thread
    void set_model(std::unique_ptr<LoadedModel> model);  // once; from then on requests are answered
    // Lets what runs go on until the deadline, then ends it with an error that clients see, then
    // cuts it off.
    http::Task<void> stop(Deadline deadline);

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace gantry::engine_server
