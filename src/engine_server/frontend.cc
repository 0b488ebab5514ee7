#include "engine_server/frontend.h"

#include <sodium.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <functional>
#include <optional>

#include "base/assert.h"
#include "engine_server/deep_stacks.h"
#include "engine_server/endpoints/endpoints.h"
#include "protocol/openai/errors.h"

namespace gantry::engine_server {
namespace {

constexpr size_t kPoolThreads = 2;
// While stopping: how long before the deadline streams are ended with an error, how long after it
// handlers may take to unwind.
constexpr std::chrono::milliseconds kFarewell{500};
constexpr std::chrono::milliseconds kUnwind{2'000};
constexpr std::chrono::milliseconds kPollStep{10};

using Digest = std::array<unsigned char, 32>;

Digest digest(std::string_view text) {
    Digest out{};
    crypto_generichash(out.data(), out.size(), reinterpret_cast<const unsigned char*>(text.data()),
                       text.size(), nullptr, 0);
    return out;
}

// Digests, so that neither the key's length nor where it first differs can be told by the time.
bool same(const Digest& key, std::string_view given) {
    const Digest other = digest(given);
    return sodium_memcmp(key.data(), other.data(), key.size()) == 0;
}

std::string_view given_key(const http::Request& request) {
    constexpr std::string_view kBearer = "Bearer ";
    const std::string_view header = request.headers.get("authorization");
    if (header.starts_with(kBearer)) {
        return header.substr(kBearer.size());
    }
    return request.headers.get("x-api-key");
}

Error no_key() {
    return {ErrorCode::kUnauthenticated,
            "no valid API key: send it as \"Authorization: Bearer KEY\"",
            {},
            {}};
}

// Before a body is read: nobody without a key makes this process keep one.
std::function<std::optional<http::Response>(const http::Request&)> require_key(
    const std::string& key, const http::Router& router) {
    return [expected = digest(key),
            &router](const http::Request& head) -> std::optional<http::Response> {
        const auto match = router.match(head.method, head.path);
        const bool open = match.route != nullptr && match.route->access == kPublic;
        if (open || same(expected, given_key(head))) {
            return std::nullopt;
        }
        return error_response(no_key());
    };
}

http::ServerOptions server_options() {
    http::ServerOptions options;
    options.error_response = [](int status, const std::string& message, const std::string&) {
        http::Response response =
            error_response(protocol::openai::error_from_status(status, message));
        response.status = status;
        return response;
    };
    return options;
}

}  // namespace

// Members are destroyed from the last to the first: the server, then the pools whose work reads the
// model, then the model with its engine, which still sends its last events to the hub.
struct Frontend::State {
    State(http::asio::io_context& io, FrontendOptions options)
        : hub(io),
          services{.pool = pool,
                   .large_pool = large_pool,
                   .grammar_pool = grammar_pool,
                   .hub = hub,
                   .io = io,
                   .model_name = std::move(options.model_name),
                   .listed_name = std::move(options.listed_name),
                   .limits = options.limits,
                   .clock = system_clock(),
                   .random = system_random(),
                   .started_at = system_clock().wall(),
                   .model = nullptr},
          pool(deep_pool(kPoolThreads)),
          large_pool(deep_pool(1)),
          grammar_pool(deep_pool(1)),
          server(io, with_routes(router, services), server_options()) {
        if (!options.api_key.empty()) {
            server.on_head(require_key(options.api_key, router));
        }
    }

    static http::BlockingPool deep_pool(size_t threads) {
        const DeepStacks deep;
        return http::BlockingPool(threads);
    }
    static const http::Router& with_routes(http::Router& router, Services& services) {
        add_routes(router, services);
        return router;
    }

    EventHub hub;
    Services services;
    http::BlockingPool pool;
    http::BlockingPool large_pool;
    http::BlockingPool grammar_pool;
    http::Router router;
    http::Server server;
};

Frontend::Frontend(http::asio::io_context& io, FrontendOptions options)
    : state_(std::make_unique<State>(io, std::move(options))) {}
Frontend::~Frontend() = default;

http::Server& Frontend::server() { return state_->server; }

void Frontend::set_progress(float progress) { state_->services.progress = progress; }

void Frontend::set_model(std::unique_ptr<LoadedModel> model) {
    GANTRY_ASSERT(!state_->services.model, "a frontend has one model for all its life");
    if (model->tokenizer) {
        model->grammars = std::make_unique<GrammarCompiler>(*model->tokenizer);
    }
    state_->services.model = std::move(model);
}

http::Task<void> Frontend::stop(Deadline deadline) {
    http::asio::co_spawn(state_->services.io, state_->server.stop(deadline), http::asio::detached);
    const auto passed = [deadline](std::chrono::milliseconds before) {
        return deadline.passed(std::chrono::steady_clock::now() + before);
    };
    while (state_->server.exchanges() > 0 && !passed(kFarewell)) {
        co_await http::sleep_for(kPollStep);
    }
    state_->hub.cancel_all();
    // What is cut off still unwinds: its handlers must not outlive what they refer to.
    while (state_->server.exchanges() > 0 && !passed(-kUnwind)) {
        co_await http::sleep_for(kPollStep);
    }
}

}  // namespace gantry::engine_server
