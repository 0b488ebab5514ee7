// Blocking calls, for the command line and tests: an io_context of their own for one request.

#include <boost/asio/co_spawn.hpp>

#include "http/http.h"

namespace gantry::http {
namespace {

using Sink = std::function<bool(std::string_view)>;
constexpr int kFirstError = 400;

Task<Result<SimpleResponse>> run_call(Client& client, const std::string& endpoint, const Client::Call& call, const Sink* sink) {
    auto sent = co_await client.send(endpoint, call);
    if (!sent) co_return std::move(sent).error();
    ClientResponse& response = **sent;
    SimpleResponse simple;
    simple.status = response.status();
    simple.headers = response.headers();
    if (sink == nullptr || simple.status >= kFirstError) {
        auto body = co_await response.read_all();
        if (!body) co_return std::move(body).error();
        simple.body = std::move(body).value();
        co_return simple;
    }
    while (true) {
        auto piece = co_await response.read();
        if (!piece) co_return std::move(piece).error();
        if (piece->empty() || !(*sink)(*piece)) break;
    }
    co_return simple;
}

// co_spawn wants a result that can be made from nothing; so it gets none and the outcome is left here.
Task<void> run(Client& client, const std::string& endpoint, const Client::Call& call, const Sink* sink,
               std::optional<Result<SimpleResponse>>& outcome) {
    auto result = co_await run_call(client, endpoint, call, sink);
    outcome = std::move(result);
}

Result<SimpleResponse> block_on(const std::string& endpoint, const Client::Call& call, const Sink* sink,
                                const ClientOptions& options) {
    asio::io_context io(1);
    Client client(io, options);
    std::optional<Result<SimpleResponse>> outcome;
    std::exception_ptr failure;
    asio::co_spawn(io, run(client, endpoint, call, sink, outcome), [&](const std::exception_ptr& thrown) {
        failure = thrown;
        io.stop();
    });
    io.run();
    if (failure) {
        try {
            std::rethrow_exception(failure);
        } catch (const std::exception& what) {
            return internal_error(std::string("the request failed: ") + what.what());
        }
    }
    GANTRY_ASSERT(outcome.has_value(), "the io_context ended before the call");
    return std::move(*outcome);
}

}  // namespace

Result<SimpleResponse> fetch(const std::string& endpoint, const Client::Call& call, const ClientOptions& options) {
    return block_on(endpoint, call, nullptr, options);
}

Result<SimpleResponse> fetch_stream(const std::string& endpoint, const Client::Call& call,
                                    const std::function<bool(std::string_view)>& sink, const ClientOptions& options) {
    return block_on(endpoint, call, &sink, options);
}

}  // namespace gantry::http
