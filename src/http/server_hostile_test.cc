// What a client may do wrong or with intent; rows 6-11, 13, 14 and 56 of the trust list.

#include <dirent.h>

#include "base/no_descriptors_for_test.h"
#include "http/http_test_support.h"

namespace gantry::http {
namespace {

struct Row {
    const char* name;
    std::string bytes;
    int status;
};
void PrintTo(const Row& row, std::ostream* out) { *out << row.name; }

const std::string kHead = "POST /echo HTTP/1.1\r\nHost: x\r\n";
const std::string kSmall = "POST /small HTTP/1.1\r\nHost: x\r\n";
const std::string kChunked = kHead + "Transfer-Encoding: chunked\r\n\r\n";

std::vector<Row> rows() {
    std::string many_fields = "GET /echo HTTP/1.1\r\nHost: x\r\n";
    for (int i = 0; i < 10'000; ++i) many_fields += "a:b\r\n";
    std::string some_fields = "GET /echo HTTP/1.1\r\nHost: x\r\n";
    for (int i = 0; i < 300; ++i) some_fields += "a:b\r\n";
    return {
        {"length_and_chunked", kHead + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        {"chunked_and_length", kHead + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400},
        {"two_lengths", kHead + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400},
        {"two_equal_lengths", kHead + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400},
        {"list_of_lengths", kHead + "Content-Length: 3, 3\r\n\r\nabc", 400},
        {"negative_length", kHead + "Content-Length: -1\r\n\r\n", 400},
        {"length_in_words", kHead + "Content-Length: abc\r\n\r\n", 400},
        {"length_with_sign", kHead + "Content-Length: +3\r\n\r\nabc", 400},
        {"length_in_hex", kHead + "Content-Length: 0x3\r\n\r\nabc", 400},
        {"length_overflows", kHead + "Content-Length: 99999999999999999999999\r\n\r\n", 400},
        {"empty_length", kHead + "Content-Length:\r\n\r\n", 400},
        {"xchunked", kHead + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400},
        {"chunked_identity", kHead + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400},
        {"gzip_chunked", kHead + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400},
        {"chunked_twice", kHead + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        {"chunked_in_1_0", "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        {"obs_fold", "GET /echo HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", 400},
        {"space_before_first_field", "GET /echo HTTP/1.1\r\n Host: x\r\n\r\n", 400},
        {"space_before_colon", kHead + "Content-Length : 3\r\n\r\nabc", 400},
        {"bare_lf", "GET /echo HTTP/1.1\nHost: x\n\n", 400},
        {"bare_lf_in_field", "GET /echo HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", 400},
        {"bare_cr", "GET /echo HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n", 400},
        {"nul_in_field", "GET /echo HTTP/1.1\r\nHost: x\r\nA: b" + std::string(1, '\0') + "c\r\n\r\n", 400},
        {"nul_in_target", "GET /ec" + std::string(1, '\0') + "ho HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"no_colon", "GET /echo HTTP/1.1\r\nHost: x\r\nnothing\r\n\r\n", 400},
        {"no_host", "GET /echo HTTP/1.1\r\n\r\n", 400},
        {"two_hosts", "GET /echo HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400},
        {"http_0_9", "GET /echo\r\n\r\n", 400},
        {"http_2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
        {"tls_hello", std::string("\x16\x03\x01\x02\x00\x01\x00\x01", 8), 400},
        {"empty_lines", "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nGET /echo HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"endless_method", std::string(5'000, 'A'), 400},
        {"chunk_negative", kChunked + "-2\r\nab\r\n0\r\n\r\n", 400},
        {"chunk_huge", kChunked + "ffffffffffffffff\r\nab", 413},
        {"chunk_overflow", kChunked + "ffffffffffffffff1\r\nab", 400},
        {"chunk_0x", kChunked + "0x3\r\nabc\r\n0\r\n\r\n", 400},
        {"chunk_empty_size", kChunked + "\r\nabc\r\n0\r\n\r\n", 400},
        {"chunk_too_short", kChunked + "2\r\nabc\r\n0\r\n\r\n", 400},
        {"chunk_bare_lf", kChunked + "3\nabc\n0\n\n", 400},
        {"chunk_extension", kChunked + "3;a=b\r\nabc\r\n0\r\n\r\n", 400},
        {"chunk_extension_of_the_last", kChunked + "3\r\nabc\r\n0;a\r\n\r\n", 400},
        {"chunk_extension_with_bare_lf", kChunked + "2;\nxx\r\n3c\r\n0\r\n\r\n", 400},
        {"chunk_endless_extension", kChunked + "3;" + std::string(20'000, 'a'), 400},
        {"endless_trailers", kChunked + "0\r\nA: " + std::string(200'000, 'a'), 400},
        {"length_over_limit", kHead + "Content-Length: 10737418240\r\n\r\nabc", 413},
        {"one_byte_over_limit", kHead + "Content-Length: 100001\r\n\r\n", 413},
        {"chunk_over_limit", kChunked + "186a1\r\nabc", 413},
        {"get_with_a_body_over_limit", "GET /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n", 413},
        {"get_with_chunks_over_limit", "GET /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n10001\r\nabc", 413},
        {"length_over_the_routes_limit", kSmall + "Content-Length: 11\r\n\r\n", 413},
        {"chunk_over_the_routes_limit", kSmall + "Transfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n5\r\nabcde\r\n0\r\n\r\n", 413},
        {"body_for_nobody", "POST /none HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 404},
        {"endless_body_for_nobody", "POST /none HTTP/1.1\r\nHost: x\r\nContent-Length: 10737418240\r\n\r\nabc", 404},
        {"chunks_for_nobody", "POST /none HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", 404},
        {"body_for_another_method", "PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 405},
        {"header_64k", "GET /echo HTTP/1.1\r\nHost: x\r\nA: " + std::string(64 * 1024, 'a') + "\r\n\r\n", 431},
        {"headers_10k", many_fields + "\r\n", 431},
        {"headers_300", some_fields + "\r\n", 431},
        {"url_1m", "GET /" + std::string(1 << 20, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n", 414},
        {"dot_dot", "GET /a/../echo HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"dot_dot_encoded", "GET /a/%2e%2E/echo HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"dot_dot_behind_slash", "GET /a%2f..%2fecho HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"path_nul", "GET /a%00b HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"path_no_utf8", "GET /a%ff HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"path_overlong", "GET /%c0%af HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"path_broken_percent", "GET /a%2 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"no_slash", "GET echo HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"fragment", "GET /echo#x HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    };
}

class Hostile : public testing::TestWithParam<Row> {};

// One server for all rows: none may harm the next.
TestServer& shared_server() {
    static TestServer* server = [] {
        ServerLimits limits;
        limits.body_bytes = 100'000;
        auto* made = new TestServer(limits);  // lives as long as the process
        const auto echo = [](Exchange& exchange) -> Task<void> {
            Response response = text_response(200, "[" + exchange.request().body + "]");
            co_await exchange.respond(std::move(response));
        };
        for (const char* method : {"GET", "POST"}) made->route(method, "/echo", echo);
        made->route("POST", "/small", echo, 10);
        made->route("POST", "/large", echo, 1'000'000);
        made->start();
        return made;
    }();
    return *server;
}

TEST_P(Hostile, IsRefusedOnceAndClosed) {
    const Row& row = GetParam();
    TestServer& server = shared_server();
    RawClient client(server.port());
    // A request smuggled behind the doubtful one must not be answered.
    client.send(row.bytes + "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
    const std::string answer = client.read_until("\r\n\r\n");
    EXPECT_EQ(status_of(answer), row.status) << answer;
    EXPECT_NE(answer.find("connection: close"), std::string::npos) << answer;
    EXPECT_NE(answer.find("x-request-id: "), std::string::npos) << answer;
    client.shutdown_send();
    const std::string rest = client.read_to_end();
    EXPECT_TRUE(client.closed);
    EXPECT_TRUE(rest.starts_with("{\"error\":")) << rest;
    EXPECT_EQ(rest.find("HTTP/1.1 2"), std::string::npos) << "a second answer: " << rest;

    RawClient next(server.port());
    next.send("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(status_of(next.read_answer()), 200);
}

INSTANTIATE_TEST_SUITE_P(Server, Hostile, testing::ValuesIn(rows()),
                         [](const testing::TestParamInfo<Row>& row) { return row.param.name; });

TEST(ServerLimitsTest, ABodyAtTheLimitIsTaken) {
    TestServer& server = shared_server();
    RawClient client(server.port());
    client.send(kHead + "Content-Length: 100000\r\n\r\n" + std::string(100'000, 'b'));
    const std::string answer = client.read_answer();
    EXPECT_EQ(status_of(answer), 200);
    EXPECT_TRUE(answer.ends_with("b]"));
    // One byte a chunk costs six on the wire and nothing in memory.
    std::string chunks;
    for (int i = 0; i < 100'000; ++i) chunks += "1\r\nc\r\n";
    client.send(kChunked + chunks + "0\r\n\r\n");
    EXPECT_EQ(status_of(client.read_answer()), 200);
    client.send(kChunked + chunks + "1\r\nc\r\n0\r\n\r\n");
    EXPECT_EQ(status_of(client.read_answer()), 413);
}

TEST(ServerLimitsTest, ARouteHasItsOwnLimitAndNoneOverTheServers) {
    TestServer& server = shared_server();
    RawClient client(server.port());
    client.send(kSmall + "Content-Length: 10\r\n\r\n0123456789" + kSmall + "Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n");
    EXPECT_TRUE(client.read_answer().ends_with("[0123456789]"));
    EXPECT_TRUE(client.read_answer().ends_with("[0123456789]"));
    client.send("GET /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 65536\r\n\r\n" + std::string(65'536, 'g'));
    EXPECT_EQ(status_of(client.read_answer()), 200);
    client.send("POST /large HTTP/1.1\r\nHost: x\r\nContent-Length: 100001\r\n\r\n");
    EXPECT_EQ(status_of(client.read_answer()), 413);
    // The connection stays open for whoever asks for nothing in vain without a body.
    RawClient kept(server.port());
    kept.send("POST /none HTTP/1.1\r\nHost: x\r\n\r\nPUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" + kHead + "\r\n");
    EXPECT_EQ(status_of(kept.read_answer()), 404);
    EXPECT_EQ(status_of(kept.read_answer()), 405);
    EXPECT_EQ(status_of(kept.read_answer()), 200);
}

TEST(ServerLimitsTest, NobodyIsAskedForABodyThatWouldBeRefused) {
    TestServer& server = shared_server();
    const std::pair<std::string, int> cases[] = {{"POST /none", 404}, {"PUT /echo", 405}, {"POST /small", 413}, {"GET /echo", 413}};
    for (const auto& [line, status] : cases) {
        RawClient client(server.port());
        client.send(line + " HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 90000\r\n\r\n");
        const std::string answer = client.read_answer();
        EXPECT_EQ(status_of(answer), status) << line << ": " << answer;
        EXPECT_NE(answer.find("connection: close"), std::string::npos) << answer;
        EXPECT_EQ(answer.find("allow: GET, HEAD, POST\r\n") != std::string::npos, status == 405) << answer;
    }
}

TEST(ServerLimitsTest, WhatIsUnusualButRightIsTaken) {
    TestServer& server = shared_server();
    for (const std::string& request : {
             std::string("\r\nGET /echo HTTP/1.1\r\nHost: x\r\n\r\n"),
             std::string("GET http://x/echo HTTP/1.1\r\nHost: x\r\n\r\n"),
             std::string("GET //echo/ HTTP/1.1\r\nhOST:x\r\n\r\n"),
             std::string("GET /%65cho?a=%20+b&c HTTP/1.1\r\nHost: x\r\nEmpty:\r\n\r\n"),
             std::string("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n"),
             std::string("POST /echo HTTP/1.1\r\nHost: x\r\n\r\n"),
         }) {
        RawClient client(server.port());
        client.send(request);
        EXPECT_EQ(status_of(client.read_answer()), 200) << request;
        // Byte by byte it must be the same request.
        RawClient slow(server.port());
        for (const char c : request) slow.send({&c, 1});
        EXPECT_EQ(status_of(slow.read_answer()), 200) << request;
    }
}

TEST(ServerLimitsTest, SlowHeadersAndBodies) {
    ServerLimits limits;
    limits.header_timeout = 50ms;
    limits.body_timeout = 50ms;
    limits.idle_timeout = 50ms;
    TestServer server(limits);
    server.route("POST", "/echo", [](Exchange& exchange) -> Task<void> {
        co_await exchange.respond(text_response(200, "whole"));
    });
    const uint16_t port = server.start();
    for (const std::string& part : {std::string("GET / HTTP/1.1\r\nHos"), kHead + "Content-Length: 9\r\n\r\nab"}) {
        RawClient client(port);
        client.send(part);
        const std::string answer = client.read_until("\r\n\r\n");
        EXPECT_EQ(status_of(answer), 408) << answer;
        EXPECT_NE(answer.find("connection: close"), std::string::npos);
        client.shutdown_send();
        client.read_to_end();
        EXPECT_TRUE(client.closed);
    }
    RawClient idle(port);
    EXPECT_EQ(idle.read_to_end(), "") << "an idle connection is closed without a word";
    EXPECT_TRUE(idle.closed);
}

TEST(ServerLimitsTest, WhoNeverSpeaksGoesSoonerThanWhoRests) {
    ServerLimits limits;
    limits.header_timeout = 50ms;
    limits.idle_timeout = 10min;
    TestServer server(limits);
    server.route("GET", "/hello", [](Exchange& exchange) -> Task<void> {
        co_await exchange.respond(text_response(200, "hello"));
    });
    const uint16_t port = server.start();
    RawClient resting(port);
    resting.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(status_of(resting.read_answer()), 200);
    RawClient silent(port);
    EXPECT_EQ(silent.read_to_end(), "");
    EXPECT_TRUE(silent.closed);
    resting.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(status_of(resting.read_answer()), 200) << "it has rested longer than the silent one was there";
}

TEST(ServerLimitsTest, TricklingDoesNotStretchTheHeaderTimeout) {
    ServerLimits limits;
    limits.header_timeout = 100ms;
    TestServer server(limits);
    RawClient client(server.start());
    const auto start = std::chrono::steady_clock::now();
    // One byte every few milliseconds; the server must not start to count anew with each.
    std::string answer;
    while (answer.empty() && std::chrono::steady_clock::now() - start < 5s) {
        client.send("G");
        answer = client.read_until("\r\n\r\n", 5ms);
        if (std::chrono::steady_clock::now() - start > 20ms && answer.empty()) client.send("");
    }
    // Endless letters make the method too long at some point; either way it ends soon.
    EXPECT_TRUE(status_of(answer) == 408 || status_of(answer) == 400) << answer;
    EXPECT_LT(std::chrono::steady_clock::now() - start, 2s);
}

TEST(ServerLimitsTest, AReaderThatTakesNothingIsCutOff) {
    ServerLimits limits;
    limits.write_timeout = 100ms;
    TestServer server(limits);
    std::atomic<bool> cut = false;
    std::atomic<bool> told = false;
    server.route("GET", "/flood", [&](Exchange& exchange) -> Task<void> {
        exchange.on_client_gone([&] { told = true; });
        const std::string much(1 << 20, 'x');
        bool taken = co_await exchange.start_stream(200, Headers{});
        while (taken) taken = co_await exchange.write(much);
        co_await sleep_for(1ms);
        cut = exchange.client_gone();
    });
    server.route("GET", "/hello", [](Exchange& exchange) -> Task<void> {
        co_await exchange.respond(text_response(200, "hello"));
    });
    const uint16_t port = server.start();
    RawClient slow(port, 4096);
    slow.send("GET /flood HTTP/1.1\r\nHost: x\r\n\r\n");
    // Others are served meanwhile.
    RawClient other(port);
    other.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(status_of(other.read_answer()), 200);
    EXPECT_TRUE(eventually([&] { return cut.load(); }));
    EXPECT_TRUE(told);
    EXPECT_TRUE(eventually([&] { return server.exchanges() == 0; }));
}

TEST(ServerLimitsTest, AcceptPausesOverTheConnectionLimit) {
    ServerLimits limits;
    limits.connections = 2;
    TestServer server(limits);
    server.route("GET", "/hello", [](Exchange& exchange) -> Task<void> {
        co_await exchange.respond(text_response(200, "hello"));
    });
    const uint16_t port = server.start();
    auto first = std::make_unique<RawClient>(port);
    RawClient second(port);
    ASSERT_TRUE(eventually([&] { return server.connections() == 2; }));
    RawClient third(port);  // waits in the kernel's queue
    third.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(third.read_until("\r\n\r\n", 30ms), "");
    EXPECT_EQ(server.connections(), 2u);
    first.reset();
    EXPECT_EQ(status_of(third.read_answer()), 200);
}

TEST(ServerLimitsTest, RunningOutOfFileDescriptorsIsOutlived) {
    TestServer server;
    server.route("GET", "/hello", [](Exchange& exchange) -> Task<void> {
        co_await exchange.respond(text_response(200, "hello"));
    });
    const uint16_t port = server.start();
    RawClient kept(port);
    ASSERT_TRUE(eventually([&] { return server.connections() == 1; }));
    RawClient late(port);
    ASSERT_TRUE(eventually([&] { return server.connections() == 2; }));
    // From here on no new descriptor can be had: the next connection is complete in the kernel and can't be accepted.
    const int next = ::socket(AF_INET, SOCK_STREAM, 0);
    std::optional<NoDescriptors> none(std::in_place);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(::connect(next, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    const std::string request = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";
    ASSERT_EQ(::send(next, request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
    kept.send(request);
    EXPECT_EQ(status_of(kept.read_answer()), 200) << "who is connected is served on";
    EXPECT_EQ(server.connections(), 2u);
    none.reset();
    char answer[512] = {};
    pollfd ready{next, POLLIN, 0};
    ASSERT_EQ(::poll(&ready, 1, 5000), 1) << "the waiting connection is accepted once there are descriptors again";
    EXPECT_GT(::recv(next, answer, sizeof(answer), 0), 0);
    EXPECT_EQ(status_of(answer), 200);
    ::close(next);
}

TEST(HeadCheck, AnswersBeforeTheBodyIsRead) {
    TestServer server;
    std::atomic<int> handled = 0;
    server.route("POST", "/v1", [&handled](Exchange& exchange) -> Task<void> {
        ++handled;
        Response response = text_response(200, exchange.request().body);
        co_await exchange.respond(std::move(response));
    });
    server.server().on_head([](const Request& head) -> std::optional<Response> {
        EXPECT_TRUE(head.body.empty());
        if (head.headers.get("authorization") == "Bearer good") return std::nullopt;
        return json_response(401, "{\"error\":\"key\"}");
    });
    const uint16_t port = server.start();
    {
        RawClient client(port);
        client.send("POST /v1 HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n");
        const std::string answer = client.read_until("\r\n\r\n");
        EXPECT_EQ(status_of(answer), 401) << "not 100: " << answer;
        EXPECT_NE(answer.find("connection: close"), std::string::npos);
        EXPECT_NE(answer.find("x-request-id: "), std::string::npos);
    }
    {
        // The body is sent anyway: the answer still arrives, since the server doesn't reset the connection under it.
        RawClient client(port);
        client.send("POST /v1 HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n");
        client.send(std::string(4'000'000, 'b'));
        client.shutdown_send();
        const std::string answer = client.read_to_end();
        EXPECT_EQ(status_of(answer), 401) << answer;
    }
    {
        RawClient client(port);
        client.send("POST /v1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\nExpect: 100-continue\r\n"
                    "Content-Length: 2\r\n\r\n");
        EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
        client.send("hi");
        EXPECT_TRUE(client.read_answer().ends_with("hi"));
    }
    EXPECT_EQ(handled, 1);
}

TEST(Headers, FromOutsideCannotSplitAnAnswer) {
    TestServer server;
    server.route("GET", "/", [](Exchange& exchange) -> Task<void> {
        Response response = text_response(200, "x");
        response.headers.add("x-copied", "a\r\nset-cookie: b");
        response.headers.add("bad\r\nname", "c");
        co_await exchange.respond(std::move(response));
    });
    RawClient client(server.start());
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    const std::string answer = client.read_answer();
    EXPECT_NE(answer.find("x-copied: a  set-cookie: b\r\n"), std::string::npos) << answer;
    EXPECT_EQ(answer.find("\r\nset-cookie"), std::string::npos);
    EXPECT_EQ(answer.find("name"), std::string::npos);
}

}  // namespace
}  // namespace gantry::http
