// The load client against an http::Server that streams what a script says. The script's gaps are made by the server, so
// what the client measured may be longer, never shorter.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <map>
#include <thread>

#include "base/json.h"
#include "bench/bench.h"
#include "http/http.h"

namespace gantry::bench {
namespace {

using testing::HasSubstr;

constexpr std::chrono::milliseconds kGap{15};

// A line of a script: wait, then send these bytes. `cut`: break the connection instead.
struct Line {
    bool wait = false;
    std::string bytes;
    bool cut = false;
};

std::string token(const std::string& text) {
    return http::sse_event(R"({"choices":[{"index":0,"delta":{"content":")" + text + R"("},"finish_reason":null}]})");
}
const std::string kFinish = http::sse_event(R"({"choices":[{"index":0,"delta":{},"finish_reason":"length"}]})");
const std::string kUsage = http::sse_event(
    R"({"choices":[],"usage":{"prompt_tokens":300,"completion_tokens":7,"total_tokens":307,)"
    R"("prompt_tokens_details":{"cached_tokens":128}},"timings":{"queue_ms":1.5,"prompt_ms":20.0,"predicted_ms":30.0}})");
const std::string kDone = http::sse_event("[DONE]");

class ScriptedServer {
public:
    // No request is answered before `hold` of them have come.
    explicit ScriptedServer(std::vector<Line> script, int status = 200, size_t hold = 0)
        : script_(std::move(script)), status_(status), hold_(hold) {
        http::Route route;
        route.method = "POST";
        route.pattern = "/v1/chat/completions";
        route.access = "public";
        route.handler = [this](http::Exchange& exchange) { return answer(*this, exchange); };
        router_.add(route);
        http::ServerOptions options;
        options.error_response = [](int code, const std::string& message, const std::string&) {
            return http::text_response(code, message);
        };
        server_ = std::make_unique<http::Server>(io_, router_, options);
        port_ = server_->listen_tcp("127.0.0.1", 0, "public").value();
        thread_ = std::thread([this] { io_.run(); });
    }
    ~ScriptedServer() {
        http::asio::co_spawn(io_, server_->stop(Deadline::after(std::chrono::seconds(1))), http::asio::detached);
        thread_.join();
    }
    Target target() const {
        Target target;
        target.name = "scripted";
        target.endpoint = "tcp:127.0.0.1:" + std::to_string(port_);
        target.base_path = "/v1";
        target.model = "m";
        target.api_key = "k";
        return target;
    }
    // After run() returned.
    const std::vector<std::string>& bodies() const { return bodies_; }
    const std::vector<std::string>& keys() const { return keys_; }
    size_t most_at_once() const { return most_at_once_; }

private:
    static http::Task<void> answer(ScriptedServer& self, http::Exchange& exchange) {
        self.bodies_.push_back(exchange.request().body);
        self.keys_.emplace_back(exchange.request().headers.get("authorization"));
        self.most_at_once_ = std::max(self.most_at_once_, self.server_->exchanges());
        bool gone = false;
        exchange.on_client_gone([&gone] { gone = true; });
        while (self.bodies_.size() < self.hold_ && !gone) {
            co_await http::sleep_for(std::chrono::milliseconds(1));
        }
        if (self.status_ != 200) {
            http::Response refused = http::json_response(self.status_, self.script_.front().bytes);
            co_await exchange.respond(std::move(refused));
            co_return;
        }
        http::Headers headers;
        headers.set("content-type", "text/event-stream");
        co_await exchange.start_stream(200, headers);
        for (const Line& line : self.script_) {
            if (line.wait) {
                co_await http::sleep_for(kGap);
            }
            if (line.cut) {
                exchange.abort();
                co_return;
            }
            const bool written = co_await exchange.write(line.bytes);
            if (!written) {
                co_return;
            }
        }
        co_await exchange.finish();
    }

    const std::vector<Line> script_;
    const int status_;
    const size_t hold_;
    http::asio::io_context io_{1};
    http::Router router_;
    std::unique_ptr<http::Server> server_;
    uint16_t port_ = 0;
    std::thread thread_;
    // Written on the io thread, read when no request is in flight.
    std::vector<std::string> bodies_;
    std::vector<std::string> keys_;
    size_t most_at_once_ = 0;
};

Workload workload(uint32_t concurrency, uint32_t requests) {
    Workload made;
    made.prompts = {"hello"};
    made.concurrency = concurrency;
    made.requests = requests;
    made.max_tokens = 7;
    made.seed = 100;
    return made;
}

TEST(LoadClient, TimesEachTokenEventAndCountsByUsage) {
    ScriptedServer server({{true, token("")}, {true, token("a")}, {true, token("b")}, {true, token("c")}, {true, kFinish + kUsage + kDone}});
    std::string live;
    Hooks hooks;
    hooks.on_token = [&](uint32_t request, const std::string& piece) {
        EXPECT_EQ(request, 0u);
        live += piece;
    };
    const Result<bench::Run> run = bench::run(server.target(), workload(1, 1), hooks);
    ASSERT_TRUE(run) << run.error().message;
    const RequestSample& sample = run->samples.at(0);
    ASSERT_TRUE(sample.ok) << sample.error;
    ASSERT_EQ(sample.token_ms.size(), 3u) << "an empty delta is no token";
    EXPECT_GE(sample.ttft_ms, 2.0 * kGap.count()) << "the empty first event does not count as first token";
    EXPECT_EQ(sample.ttft_ms, sample.token_ms[0]);
    EXPECT_EQ(sample.e2e_ms, sample.token_ms[2]) << "to the last token, not to the end of the stream";
    EXPECT_GE(sample.token_ms[2], 4.0 * kGap.count());
    EXPECT_LT(sample.token_ms[0], sample.token_ms[1]);
    EXPECT_LT(sample.token_ms[1], sample.token_ms[2]);
    EXPECT_TRUE(sample.counted_from_usage);
    EXPECT_EQ(sample.output_tokens, 7u);
    EXPECT_EQ(sample.prompt_tokens, 300u);
    EXPECT_EQ(sample.cached_tokens, 128u);
    EXPECT_EQ(sample.queue_ms, 1.5);
    EXPECT_EQ(sample.prefill_ms, 20.0);
    EXPECT_EQ(sample.decode_ms, 30.0);
    EXPECT_EQ(sample.text, "abc");
    EXPECT_EQ(live, "abc");
    EXPECT_GE(run->wall_s, 5.0 * kGap.count() / 1000) << "the run lasts until the stream ended";
    EXPECT_DOUBLE_EQ(run->throughput_tok_s, 7 / run->wall_s);
}

TEST(LoadClient, CountsEventsWhereThereIsNoUsageAndReasoningCounts) {
    const std::string reasoning = http::sse_event(R"({"choices":[{"index":0,"delta":{"reasoning_content":"hm"}}]})");
    ScriptedServer server({{false, reasoning}, {true, token("a")}, {true, kFinish + kDone}});
    const Result<bench::Run> run = bench::run(server.target(), workload(1, 1));
    ASSERT_TRUE(run);
    EXPECT_TRUE(run->samples[0].ok);
    EXPECT_FALSE(run->samples[0].counted_from_usage);
    EXPECT_EQ(run->samples[0].output_tokens, 2u);
}

TEST(LoadClient, SendsTheWorkloadWithASeedEach) {
    ScriptedServer server({{true, token("a")}, {true, kFinish + kDone}});
    Workload six = workload(6, 6);
    six.ignore_eos = true;
    const Result<bench::Run> run = bench::run(server.target(), six);
    ASSERT_TRUE(run);
    EXPECT_EQ(run->requests_ok, 6u);
    ASSERT_EQ(server.bodies().size(), 6u);
    std::vector<int64_t> seeds;
    for (const std::string& text : server.bodies()) {
        const json::value body = parse_json(text).value();
        seeds.push_back(body.at("seed").to_number<int64_t>());
        EXPECT_EQ(body.at("model").as_string(), "m");
        EXPECT_TRUE(body.at("stream").as_bool());
        EXPECT_TRUE(body.at("stream_options").at("include_usage").as_bool());
        EXPECT_TRUE(body.at("ignore_eos").as_bool());
        EXPECT_DOUBLE_EQ(body.at("temperature").to_number<double>(), 0.7);
        EXPECT_EQ(body.at("messages").at(0).at("content").as_string(), "hello");
    }
    std::sort(seeds.begin(), seeds.end());
    EXPECT_THAT(seeds, testing::ElementsAre(100, 101, 102, 103, 104, 105));
    EXPECT_THAT(server.keys(), testing::Each("Bearer k"));
}

TEST(LoadClient, NeverMoreAtOnceThanAskedFor) {
    ScriptedServer server({{true, token("a")}, {true, kFinish + kDone}});
    const Result<bench::Run> run = bench::run(server.target(), workload(2, 7));
    ASSERT_TRUE(run);
    EXPECT_EQ(run->requests_ok, 7u);
    EXPECT_LE(server.most_at_once(), 2u);
}

TEST(LoadClient, AnOpenLoopSendsWhenDueHoweverManyRun) {
    ScriptedServer server({{true, token("a")}, {true, kFinish + kDone}}, 200, 3);
    Workload open = workload(1, 3);
    open.arrivals_s = {0, 0.01, 0.02};
    open.offered_rate = 150;
    const Result<bench::Run> run = bench::run(server.target(), open);   // A closed loop would hang here.
    ASSERT_TRUE(run) << run.error().message;
    EXPECT_EQ(run->requests_ok, 3u);
    EXPECT_DOUBLE_EQ(run->offered_rate, 150);
    for (uint32_t i = 0; i < 3; ++i) {
        EXPECT_NEAR(run->samples[i].start_s, open.arrivals_s[i], 1e-6);
        EXPECT_GE(run->samples[i].late_ms, 0);
    }
    EXPECT_GE(run->samples[0].ttft_ms, 20 + kGap.count()) << "answered once the third had come";
    EXPECT_GE(run->samples[2].ttft_ms, run->samples[2].late_ms + kGap.count()) << "times count from when it was due";
    EXPECT_GT(run->client_cpu_s, 0);
}

TEST(LoadClient, AnOpenLoopNeedsAnArrivalForEachRequest) {
    Workload open = workload(1, 3);
    open.arrivals_s = {0, 1};
    EXPECT_FALSE(bench::run(Target{}, open));
    open.requests = 2;
    open.turns = 2;
    EXPECT_FALSE(bench::run(Target{}, open)) << "a chat has no rate";
}

TEST(LoadClient, AnswersMayHaveLengthsOfTheirOwn) {
    ScriptedServer server({{true, token("a")}, {true, kFinish + kDone}});
    Workload mixed = workload(1, 3);
    mixed.output_tokens = {5, 6, 9};
    ASSERT_TRUE(bench::run(server.target(), mixed));
    std::vector<int64_t> limits;
    for (const std::string& body : server.bodies()) {
        limits.push_back(parse_json(body).value().at("max_tokens").to_number<int64_t>());
    }
    EXPECT_THAT(limits, testing::ElementsAre(5, 6, 9));
}

TEST(LoadClient, AChatCarriesWhatWasSaid) {
    ScriptedServer server({{true, token("so ")}, {true, token("it is")}, {true, kFinish + kDone}});
    Workload chats = workload(2, 6);
    chats.turns = 3;
    chats.prompts = {"a1", "a2", "a3", "b1", "b2", "b3"};
    const Result<bench::Run> run = bench::run(server.target(), chats);
    ASSERT_TRUE(run) << run.error().message;
    EXPECT_EQ(run->requests_ok, 6u);
    ASSERT_EQ(server.bodies().size(), 6u);
    std::map<std::string, std::vector<std::string>> said;   // by what was asked last
    for (const std::string& text : server.bodies()) {
        const json::value body = parse_json(text).value();
        std::vector<std::string> lines;
        for (const json::value& message : body.at("messages").as_array()) {
            lines.push_back(std::string(message.at("role").as_string()) + " " + std::string(message.at("content").as_string()));
        }
        const std::string last = lines.back();
        said[last] = std::move(lines);
    }
    EXPECT_THAT(said["user a1"], testing::ElementsAre("user a1"));
    EXPECT_THAT(said["user b3"], testing::ElementsAre("user b1", "assistant so it is", "user b2", "assistant so it is", "user b3"));
    EXPECT_EQ(run->samples[5].turn, 2u);
    EXPECT_GE(run->samples[5].start_s, run->samples[4].start_s + 3.0 * kGap.count() / 1000) << "one turn after the other";
}

TEST(LoadClient, AChatEndsWithItsFirstFailure) {
    ScriptedServer server({{false, R"({"error":{"message":"no such model"}})"}}, 404);
    Workload chat = workload(1, 3);
    chat.turns = 3;
    const Result<bench::Run> run = bench::run(server.target(), chat);
    ASSERT_TRUE(run);
    EXPECT_EQ(run->requests_failed, 3u);
    EXPECT_EQ(server.bodies().size(), 1u);
    EXPECT_THAT(run->samples[2].error, HasSubstr("earlier turn"));
}

TEST(LoadClient, ABrokenStreamIsAFailure) {
    ScriptedServer server({{false, token("a")}, {true, "", true}});
    const Result<bench::Run> run = bench::run(server.target(), workload(1, 1));
    ASSERT_TRUE(run);
    EXPECT_FALSE(run->samples[0].ok);
    EXPECT_FALSE(run->samples[0].error.empty());
    EXPECT_EQ(run->requests_failed, 1u);
    EXPECT_EQ(run->output_tokens, 0u);
}

TEST(LoadClient, AStreamThatEndsWithoutFinishIsAFailure) {
    ScriptedServer server({{false, token("a")}});
    const Result<bench::Run> run = bench::run(server.target(), workload(1, 1));
    ASSERT_TRUE(run);
    EXPECT_FALSE(run->samples[0].ok);
    EXPECT_THAT(run->samples[0].error, HasSubstr("ended early"));
}

TEST(LoadClient, ARunThatIsStoppedEndsAtOnceWhateverItWaitsFor) {
    ScriptedServer unheard({{false, kFinish + kDone}}, 200, 1000);                     // no head ever comes
    ScriptedServer endless(std::vector<Line>(2000, Line{true, token("a")}));           // half a minute of tokens
    for (const ScriptedServer* server : {&unheard, &endless}) {
        std::stop_source source;
        Hooks hooks;
        hooks.stop = source.get_token();
        hooks.on_token = [&](uint32_t, const std::string&) { source.request_stop(); };
        int ended = 0;
        hooks.on_request = [&](const RequestSample&) { ++ended; };
        std::jthread other;
        if (server == &unheard) {
            other = std::jthread([&] { source.request_stop(); });
        }
        const SteadyTime began = std::chrono::steady_clock::now();
        const Result<bench::Run> run = bench::run(server->target(), workload(2, 500), hooks);
        ASSERT_FALSE(run);
        EXPECT_EQ(run.error().code, ErrorCode::kCancelled);
        EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(10)) << "a whole answer takes three times as long";
        EXPECT_EQ(ended, 0) << "what was cut is no result";
    }
}

TEST(LoadClient, AStoppedOpenLoopDoesNotWaitForArrivals) {
    Target nobody;
    nobody.endpoint = "unix:/tmp/gantry-no-such-socket";
    Workload open = workload(1, 2);
    open.arrivals_s = {0, 3600};
    std::stop_source source;
    Hooks hooks;
    hooks.stop = source.get_token();
    hooks.on_request = [&](const RequestSample& sample) {
        EXPECT_FALSE(sample.ok);
        source.request_stop();
    };
    const Result<bench::Run> run = bench::run(nobody, open, hooks);   // Without the stop this takes an hour.
    ASSERT_FALSE(run);
    EXPECT_EQ(run.error().code, ErrorCode::kCancelled);
}

TEST(LoadClient, ARunByTimeBeginsNothingLateAndHasOnlyWhatItSent) {
    ScriptedServer server({{true, token("a")}, {true, kFinish + kUsage + kDone}});
    Workload timed = workload(2, 100'000);
    timed.begin_within_s = 0.2;
    size_t ended = 0;
    Hooks hooks;
    hooks.on_request = [&](const RequestSample& sample) { ended += sample.ok ? 1 : 0; };
    const Result<bench::Run> run = bench::run(server.target(), timed, hooks);
    ASSERT_TRUE(run) << run.error().message;
    EXPECT_GE(run->requests_ok, 2u);
    EXPECT_LT(run->requests_ok, 100'000u);
    EXPECT_EQ(run->samples.size(), run->requests_ok);
    EXPECT_EQ(ended, run->samples.size());
    for (const RequestSample& sample : run->samples) {
        EXPECT_LT(sample.start_s, 0.2);
    }
    EXPECT_GE(run->wall_s, 0.2);
    Workload open = workload(1, 1);
    open.arrivals_s = {0};
    open.begin_within_s = 1;
    EXPECT_FALSE(bench::run(server.target(), open)) << "a rate has its own end";
}

TEST(LoadClient, AnAnswerFarBeyondWhatWasAskedForIsCutOff) {
    std::string many;
    for (int i = 0; i < 8 * (7 + 64) + 1; ++i) {
        many += token("a");
    }
    ScriptedServer talkative({{false, many}, {false, kFinish + kDone}});
    const Result<bench::Run> run = bench::run(talkative.target(), workload(1, 1));
    ASSERT_TRUE(run);
    EXPECT_FALSE(run->samples[0].ok);
    EXPECT_THAT(run->samples[0].error, HasSubstr("far beyond"));
    ScriptedServer long_error({{false, R"({"error":{"message":")" + std::string(600, 'x') + R"("}})"}}, 500);
    const Result<bench::Run> failed = bench::run(long_error.target(), workload(1, 1));
    ASSERT_TRUE(failed);
    EXPECT_LT(failed->samples[0].error.size(), 530u);
}

TEST(LoadClient, AnErrorInTheStreamIsTold) {
    ScriptedServer server({{false, token("a")}, {false, http::sse_event(R"({"error":{"message":"engine died","type":"x","param":null,"code":null}})")}});
    const Result<bench::Run> run = bench::run(server.target(), workload(1, 1));
    ASSERT_TRUE(run);
    EXPECT_FALSE(run->samples[0].ok);
    EXPECT_EQ(run->samples[0].error, "engine died");
}

TEST(LoadClient, ARefusalCarriesStatusAndMessage) {
    ScriptedServer server({{false, R"({"error":{"message":"no such model"}})"}}, 404);
    const Result<bench::Run> run = bench::run(server.target(), workload(1, 2));
    ASSERT_TRUE(run);
    EXPECT_EQ(run->requests_failed, 2u);
    EXPECT_EQ(run->samples[0].error, "status 404: no such model");
}

TEST(LoadClient, NobodyThereIsAFailureOfEachRequest) {
    Target target;
    target.endpoint = "unix:/tmp/gantry-no-such-socket";
    target.base_path = "/v1";
    const Result<bench::Run> run = bench::run(target, workload(2, 3));
    ASSERT_TRUE(run);
    EXPECT_EQ(run->requests_failed, 3u);
    EXPECT_FALSE(run->samples[2].error.empty());
}

}  // namespace
}  // namespace gantry::bench
