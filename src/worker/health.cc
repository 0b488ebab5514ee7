#include "worker/health.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"
#include "base/platform/process.h"
#include "http/http.h"

namespace gantry::worker {
namespace {

constexpr size_t kBodyBytesMax = 64 * 1024;

using Done = std::function<void(HealthAnswer)>;

http::Task<void> run_connect(boost::asio::io_context& io, std::string endpoint, std::chrono::milliseconds timeout, Done done) {
    HealthAnswer answer;
    const auto stream = co_await http::Stream::connect(io, endpoint, timeout);
    answer.text = stream.ok() ? "it listens" : "nothing answers at its address";
    if (stream.ok()) answer.kind = HealthAnswer::Kind::kReady;
    else if (platform::handles_exhausted()) answer.kind = HealthAnswer::Kind::kUnknown;
    done(std::move(answer));
}

// A free function, its state passed by value: a coroutine lambda's captures would die with the lambda.
http::Task<void> run_probe(http::Client& client, std::string endpoint, std::string path, std::chrono::milliseconds timeout,
                           Done done) {
    HealthAnswer answer;
    http::Client::Call call;
    call.target = std::move(path);
    // A connection of its own each time: a kept one would say nothing about whether the engine still takes new ones.
    call.headers.set("Connection", "close");
    auto sent = co_await client.send(endpoint, std::move(call));
    if (!sent.ok()) {
        answer.text = sent.error().code == ErrorCode::kDeadlineExceeded
                          ? fmt::format("no answer within {:.1f} s", static_cast<double>(timeout.count()) / 1000.0)
                          : "nothing answers at its address";
        if (platform::handles_exhausted()) {
            answer.kind = HealthAnswer::Kind::kUnknown;
            answer.text = "the worker can open no more files (ulimit -n) to ask it";
        }
        done(std::move(answer));
        co_return;
    }
    const std::unique_ptr<http::ClientResponse> response = std::move(*sent);
    auto body = co_await response->read_all();
    if (body.ok()) {
        answer = read_health(response->status(), *body);
    } else {
        answer.text = "its health check broke off";
    }
    done(std::move(answer));
}

}  // namespace

HealthAnswer read_health(int status, const std::string& body) {
    HealthAnswer answer;
    answer.text = "its health check answers " + std::to_string(status);
    if (status >= 200 && status < 300) {
        answer.kind = HealthAnswer::Kind::kReady;
        answer.progress = 1;
        return answer;
    }
    answer.kind = HealthAnswer::Kind::kFailed;
    const Result<json::value> value = status == 503 ? parse_json(body) : Result<json::value>(not_found(""));
    if (!value.ok() || !value->is_object()) {
        return answer;
    }
    const json::object& object = value->as_object();
    const json::value* state = object.if_contains("status");
    const json::value* progress = object.if_contains("progress");
    if (state != nullptr && state->is_string()) {
        if (state->as_string() == "loading") {
            answer.kind = HealthAnswer::Kind::kLoading;
        } else if (state->as_string() == "stalled") {
            answer.text = "it makes no progress with its work";
        }
    }
    boost::system::error_code failed;
    const double share = progress != nullptr ? progress->to_number<double>(failed) : 0;
    if (!failed && share >= 0) {
        answer.progress = std::min(1.0, share);
    }
    // llama-server: {"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}
    if (const json::value* error = object.if_contains("error"); error != nullptr && error->is_object()) {
        const json::value* message = error->as_object().if_contains("message");
        if (message != nullptr && message->is_string() && message->as_string() == "Loading model") {
            answer.kind = HealthAnswer::Kind::kLoading;
        }
    }
    return answer;
}

struct HealthProber::State {
    boost::asio::io_context& io;
    std::chrono::milliseconds timeout;
    http::Client client;
};

HealthProber::HealthProber(boost::asio::io_context& io, std::chrono::milliseconds timeout) {
    http::ClientOptions options;
    options.connect_timeout = timeout;
    options.header_timeout = timeout;
    options.idle_timeout = timeout;
    options.body_bytes = kBodyBytesMax;
    state_.reset(new State{io, timeout, http::Client(io, options)});
}

HealthProber::~HealthProber() = default;

void HealthProber::probe(const std::string& endpoint, const std::string& path, Done done) {
    if (path.empty()) {
        boost::asio::co_spawn(state_->io, run_connect(state_->io, endpoint, state_->timeout, std::move(done)), boost::asio::detached);
        return;
    }
    boost::asio::co_spawn(state_->io, run_probe(state_->client, endpoint, path, state_->timeout, std::move(done)),
                          boost::asio::detached);
}

}  // namespace gantry::worker
