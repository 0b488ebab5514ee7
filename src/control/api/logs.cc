// GET /api/v1/instances/{id}/logs: what the engine wrote. For admins: it may hold parts of prompts, and paths.
#include <boost/asio/co_spawn.hpp>
#include <charconv>

#include "control/api/api.h"
#include "base/log.h"
#include "base/log_tail.h"

namespace gantry::control {
namespace {

constexpr size_t kTailMax = 10'000;
constexpr std::chrono::milliseconds kLookEvery{250};

struct Wanted {
    size_t tail = 200;
    bool follow = false;
    std::string worker;   // whose part, by name or id; empty: the leading one's
};

Result<Wanted> wanted(const http::Request& request) {
    Wanted out;
    if (const std::string_view tail = request.query_value("tail"); !tail.empty()) {
        const auto [end, error] = std::from_chars(tail.data(), tail.data() + tail.size(), out.tail);
        if (error != std::errc{} || end != tail.data() + tail.size() || out.tail > kTailMax) {
            return invalid_argument("\"tail\" must be a whole number from 0 to 10000", "tail");
        }
    }
    const std::string_view follow = request.query_value("follow");
    if (!follow.empty() && follow != "true" && follow != "false") {
        return invalid_argument("\"follow\" must be true or false", "follow");
    }
    out.follow = follow == "true";
    out.worker = request.query_value("worker");
    return out;
}

struct Files {
    std::vector<std::string> paths;
    std::string endpoint;   // of the worker's HTTP, where the files are elsewhere
};

Result<WorkerId> worker_of(ApiContext& api, const Instance& row, const std::string& wanted) {
    if (wanted.empty()) return row.worker_id;
    for (const Worker& w : api.publisher.view()->workers) {
        if ((w.id.text == wanted || w.name == wanted) && row.is_on(w.id)) return w.id;
    }
    return not_found("the instance has no part on a worker \"" + log::escape(wanted, 128) + "\"");
}

Result<Files> find_files(ApiContext& api, const InstanceId& id, const std::string& wanted) {
    const auto row = api.store.instance(id);
    if (!row) return row.error();
    const auto worker = worker_of(api, *row, wanted);
    if (!worker) return worker.error();
    std::function<std::vector<std::string>(const InstanceId&)> ask;
    Files files;
    api.workers.with([&](const auto& workers) {
        const auto found = workers.find(*worker);
        if (found == workers.end()) return;
        ask = found->second.log_files;
        files.endpoint = found->second.endpoint;
    });
    if (ask) files.paths = ask(id);
    return files;
}

http::Task<void> refuse(http::Exchange& exchange, Error error) {
    http::Response response = to_response(error_answer(error));
    co_await exchange.respond(std::move(response));
}

// One look at the log: its growth, and whether the instance is still there.
struct Look {
    std::string text;
    bool ended = false;
};
Look look(ApiContext& api, const InstanceId& id, const std::string& worker, LogTail& tail) {
    auto files = find_files(api, id, worker);
    if (files) tail.set_files(std::move(files->paths));
    Look out;
    out.text = tail.more();
    out.ended = !files && files.error().code == ErrorCode::kNotFound;
    return out;
}

http::Task<void> follow(ApiContext& api, http::Exchange& exchange, InstanceId id, std::string worker, LogTail& tail) {
    http::Signal gone(api.io);
    exchange.on_client_gone([&gone] { gone.notify(); });
    while (!exchange.client_gone() && !api.stopping && still_allowed(api, exchange)) {
        const Look seen = co_await api.pool.run([&api, &id, &worker, &tail] { return look(api, id, worker, tail); });
        if (!seen.text.empty()) {
            const bool written = co_await exchange.write(seen.text);
            if (!written) break;
            continue;  // there may be more at once
        }
        if (seen.ended) break;
        co_await gone.wait(kLookEvery);
    }
    exchange.on_client_gone({});
}

// Cancels what waits for a worker elsewhere once nobody may, or wants to, read on.
http::Task<void> guard_far(ApiContext& api, http::Exchange& exchange, http::Canceller reading, std::shared_ptr<http::Signal> done) {
    while (!exchange.client_gone() && !api.stopping && still_allowed(api, exchange)) {
        const bool over = co_await done->wait(kAskEvery);
        if (over) co_return;
    }
    reading.cancel();
    done->notify();
}

http::Task<void> pass_on(http::Exchange& exchange, http::ClientResponse& from) {
    http::Headers headers{{"content-type", "text/plain; charset=utf-8"},
                          {"cache-control", "no-store"},
                          {"x-content-type-options", "nosniff"}};
    const bool began = co_await exchange.start_stream(200, std::move(headers));
    if (!began) co_return;
    while (true) {
        const auto piece = co_await from.read();
        if (!piece || piece->empty()) break;
        const bool written = co_await exchange.write(*piece);
        if (!written) co_return;
    }
    co_await exchange.finish();
}

// The worker reads its files; what it says passes through.
http::Task<void> far_logs(ApiContext& api, http::Exchange& exchange, std::string endpoint, std::string target) {
    http::Canceller reading;
    // Shared: the guard's frame may end after this one.
    auto done = std::make_shared<http::Signal>(api.io);
    exchange.on_client_gone([reading]() mutable { reading.cancel(); });
    http::Client::Call call{.target = std::move(target)};
    auto answer = co_await api.far->send(std::move(endpoint), std::move(call), reading);
    if (!answer || (*answer)->status() != 200) {
        exchange.on_client_gone({});
        Error why = answer ? not_found("its worker has no log of it") : unavailable("its log is on another machine: " + answer.error().message);
        co_await refuse(exchange, std::move(why));
        co_return;
    }
    bool guarding = true;
    http::asio::co_spawn(api.io, guard_far(api, exchange, reading, done), [&guarding, done](const std::exception_ptr&) {
        guarding = false;
        done->notify();
    });
    co_await pass_on(exchange, **answer);
    exchange.on_client_gone({});
    done->notify();
    while (guarding) co_await done->wait(kAskEvery);   // it looks at the exchange
}

http::Task<void> logs(ApiContext& api, http::Exchange& exchange) {
    const auto options = wanted(exchange.request());
    if (!options) {
        co_await refuse(exchange, options.error());
        co_return;
    }
    const InstanceId id(exchange.request().params.at("id"));
    const auto files = co_await api.pool.run([&api, &id, &options] { return find_files(api, id, options->worker); });
    if (!files) {
        co_await refuse(exchange, files.error());
        co_return;
    }
    if (!files->endpoint.empty()) {
        std::string target = "/logs/" + id.text + "?tail=" + std::to_string(options->tail) + (options->follow ? "&follow=true" : "");
        co_await far_logs(api, exchange, files->endpoint, std::move(target));
        co_return;
    }
    LogTail tail(files->paths);
    const size_t lines = options->tail;
    const std::string text = co_await api.pool.run([&tail, lines] { return tail.last_lines(lines); });
    http::Headers headers{{"content-type", "text/plain; charset=utf-8"},
                          {"cache-control", "no-store"},
                          {"x-content-type-options", "nosniff"}};
    const bool began = co_await exchange.start_stream(200, std::move(headers));
    if (!began) co_return;
    if (!text.empty()) {
        const bool written = co_await exchange.write(text);
        if (!written) co_return;
    }
    if (options->follow) co_await follow(api, exchange, id, options->worker, tail);
    co_await exchange.finish();
}

}  // namespace

void add_log_routes(http::Router& router, ApiContext& api) {
    router.add({"GET", "/api/v1/instances/{id}/logs", gateway::kAdmin,
                [&api](http::Exchange& exchange) { return logs(api, exchange); }});
}

}  // namespace gantry::control
