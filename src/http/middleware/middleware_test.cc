#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/log.h"
#include "base/metrics.h"
#include "http/http_test_support.h"
#include "http/middleware/access_log.h"
#include "http/middleware/exception_guard.h"

namespace gantry::http {
namespace {

TEST(Middleware, RunsOutermostFirstAndMayAnswerItself) {
    TestServer server;
    std::string order;
    const auto named = [&order](char name) {
        return [&order, name](Exchange& exchange, const Route* route, const Next& next) -> Task<void> {
            order += name;
            if (name == 'b' && route != nullptr && route->access == "closed") {
                co_await exchange.respond(text_response(403, "no"));
                co_return;
            }
            exchange.context = std::string("principal");
            co_await next(exchange);
            order += name;
        };
    };
    Router router;
    std::string seen;
    server.route("GET", "/open", [&](Exchange& exchange) -> Task<void> {
        order += 'h';
        seen = std::any_cast<std::string>(exchange.context);
        co_await exchange.respond(text_response(200, "yes"));
    });
    server.server().use(named('a'));
    server.server().use(named('b'));
    server.start();
    // The client has its answer before the middlewares have their end.
    EXPECT_EQ(fetch(server.endpoint(), {.target = "/open"})->status, 200);
    ASSERT_TRUE(eventually([&] { return server.exchanges() == 0; }));
    EXPECT_EQ(fetch(server.endpoint(), {.target = "/none"})->status, 404);
    ASSERT_TRUE(eventually([&] { return server.exchanges() == 0; }));
    EXPECT_EQ(order, "abhbaabba");
    EXPECT_EQ(seen, "principal");
}

TEST(Middleware, GuardTurnsExceptionsIntoThisApisErrors) {
    TestServer server;
    server.route("GET", "/throw", [](Exchange&) -> Task<void> {
        throw std::runtime_error("secret");
        co_return;
    });
    server.route("GET", "/half", [](Exchange& exchange) -> Task<void> {
        co_await exchange.start_stream(200, Headers{});
        throw 7;
    });
    server.server().use(access_log());
    server.server().use(exception_guard(test_error));
    server.start();
    const auto answer = fetch(server.endpoint(), {.target = "/throw"});
    ASSERT_TRUE(answer.ok());
    EXPECT_EQ(answer->status, 500);
    EXPECT_TRUE(answer->body.starts_with("{\"error\":")) << answer->body;
    EXPECT_EQ(answer->body.find("secret"), std::string::npos);
    EXPECT_NE(answer->body.find(answer->headers.get("x-request-id")), std::string::npos);
    EXPECT_FALSE(fetch(server.endpoint(), {.target = "/half"}).ok()) << "a broken stream is no success";
}

// The log of what `ask` makes happen.
std::string logged(const std::function<void()>& ask) {
    const std::string file = std::filesystem::temp_directory_path() / ("gantry_log_" + std::to_string(::getpid()) + ".log");
    log::start({.file = file, .to_stderr = false});
    ask();
    log::start({});
    std::ostringstream text;
    text << std::ifstream(file).rdbuf();
    std::filesystem::remove(file);
    return text.str();
}

TEST(Middleware, LogsThePathAsSentAndNoSecrets) {
    const std::string lines = logged([] {
        TestServer server;
        server.route("GET", "/{name}", [](Exchange& exchange) -> Task<void> {
            co_await exchange.respond(text_response(200, "yes"));
        });
        server.server().use(access_log());
        server.start();
        RawClient client(server.port());
        client.send("GET /a%20200%20b%0A?key=secret HTTP/1.1\r\nHost: x\r\n\r\n"
                    "GET http://me:secret@x/proxied?secret HTTP/1.1\r\nHost: x\r\n\r\n"
                    "GET ?secret HTTP/1.1\r\nHost: x\r\n\r\n");
        EXPECT_EQ(status_of(client.read_answer()), 200);
        EXPECT_EQ(status_of(client.read_answer()), 200);
        EXPECT_EQ(status_of(client.read_answer()), 404);
        server.stop(1s);
    });
    EXPECT_NE(lines.find(" GET /a%20200%20b%0A 200 "), std::string::npos) << lines;
    EXPECT_NE(lines.find(" GET /proxied 200 "), std::string::npos) << lines;
    EXPECT_NE(lines.find(" GET / 404 "), std::string::npos) << lines;
    EXPECT_EQ(lines.find("secret"), std::string::npos) << lines;
}

TEST(Middleware, WhatNeverReachesItIsLoggedByTheConnection) {
    const std::string lines = logged([] {
        TestServer server;
        server.route("POST", "/small", [](Exchange& exchange) -> Task<void> {
            co_await exchange.respond(text_response(200, "yes"));
        }, 10);
        server.server().use(access_log());
        server.server().on_head([](const Request& head) -> std::optional<Response> {
            if (head.path != "/closed") return std::nullopt;
            return text_response(401, "key\n");
        });
        const uint16_t port = server.start();
        for (const auto& [path, status] : {std::pair("/no%20ne", 404), std::pair("/closed", 401), std::pair("/small", 413)}) {
            RawClient client(port);
            client.send("POST " + std::string(path) + "?secret HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n");
            EXPECT_EQ(status_of(client.read_answer()), status);
        }
        server.stop(1s);
    });
    for (const char* line : {"POST /no%20ne refused: 404", "POST /closed refused: 401", "POST /small refused: 413"}) {
        EXPECT_NE(lines.find(line), std::string::npos) << line << " in " << lines;
    }
    EXPECT_EQ(lines.find("secret"), std::string::npos) << lines;
}

TEST(Middleware, CountsWithBoundedLabels) {
    TestServer server;
    server.route("GET", "/ok", [](Exchange& exchange) -> Task<void> {
        co_await exchange.respond(text_response(200, "yes"));
    });
    server.server().use(access_log({.quiet_paths = {"/ok"}}));
    server.start();
    const auto value_of = [](const std::string& line) {
        const std::string text = metrics::text();
        const size_t at = text.find(line);
        return at == std::string::npos ? 0.0 : std::stod(text.substr(at + line.size()));
    };
    const std::string ok = R"(gantry_http_requests_total{listener="public",method="GET",status="200"} )";
    const std::string odd = R"(gantry_http_requests_total{listener="public",method="other",status="404"} )";
    const std::string bad = R"(gantry_http_requests_total{listener="public",method="other",status="400"} )";
    const double ok_before = value_of(ok);
    const double odd_before = value_of(odd);
    const double bad_before = value_of(bad);
    EXPECT_EQ(fetch(server.endpoint(), {.target = "/ok"})->status, 200);
    EXPECT_EQ(fetch(server.endpoint(), {.method = "BREW", .target = "/pot"})->status, 404);
    ASSERT_TRUE(eventually([&] { return server.exchanges() == 0; }));  // counted behind the answer
    RawClient client(server.port());
    client.send("nonsense\r\n\r\n");
    EXPECT_EQ(status_of(client.read_to_end()), 400);
    EXPECT_EQ(value_of(ok), ok_before + 1);
    EXPECT_EQ(value_of(odd), odd_before + 1);
    EXPECT_EQ(value_of(bad), bad_before + 1);
    EXPECT_EQ(metrics::text().find("BREW"), std::string::npos);
    EXPECT_NE(metrics::text().find("gantry_http_request_seconds_bucket{listener=\"public\""), std::string::npos);
}

}  // namespace
}  // namespace gantry::http
