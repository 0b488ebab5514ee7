// The endpoints over real sockets, with a FakeRunner behind them.

#include <fstream>
#include <sstream>

#include "engine_server/frontend_test_support.h"

namespace gantry::engine_server {
namespace {

class FrontendTest : public FrontendRig {};

TEST_F(FrontendTest, SaysThatItLoads) {
    start();
    frontend_->set_progress(0.5F);
    http::SimpleResponse health = call("GET", "/health");
    EXPECT_EQ(health.status, 503);
    const json::value loading = *parse_json(health.body);
    EXPECT_EQ(loading.at("status"), "loading");
    EXPECT_EQ(loading.at("progress").to_number<double>(), 0.5);
    const http::SimpleResponse chat = call("POST", "/v1/chat/completions", chat_body("hello"));
    EXPECT_EQ(chat.status, 503);
    EXPECT_FALSE(chat.headers.get("retry-after").empty());
    EXPECT_EQ(parse_json(chat.body)->at("error").at("code"), "model_loading");
    load();
    EXPECT_EQ(call("GET", "/health").status, 200);
}

TEST_F(FrontendTest, AnswersWhole) {
    start();
    load();
    const json::object answer = post(
        "/v1/chat/completions",
        chat_body("hello", R"(,"model":"any","max_tokens":9,"seed":1,"ignore_eos":true)"), 200);
    EXPECT_EQ(answer.at("model"), "any");
    EXPECT_EQ(content_of(answer).size(), 9U);
    EXPECT_EQ(answer.at("choices").at(0).at("finish_reason"), "length");
    EXPECT_EQ(answer.at("usage").at("prompt_tokens"), 5);
    EXPECT_EQ(answer.at("usage").at("completion_tokens"), 9);
    EXPECT_TRUE(answer.contains("timings"));
    const json::object again =
        post("/v1/chat/completions",
             chat_body("hello", R"(,"max_tokens":9,"seed":1,"ignore_eos":true)"), 200);
    EXPECT_EQ(content_of(again), content_of(answer)) << "the same seed";
    EXPECT_EQ(again.at("model"), "letters");
}

TEST_F(FrontendTest, StreamsInTheOrderThatClientsExpect) {
    start();
    load();
    const std::string body = chat_body(
        "hello",
        R"(,"max_tokens":6,"seed":1,"stream":true,"stream_options":{"include_usage":true})");
    const std::vector<std::string> events = stream("/v1/chat/completions", body);
    ASSERT_GE(events.size(), 5U);
    EXPECT_EQ(events.back(), "[DONE]");
    std::string text;
    std::string id;
    for (size_t i = 0; i + 1 < events.size(); ++i) {
        const json::value chunk = *parse_json(events[i]);
        id = id.empty() ? std::string(chunk.at("id").as_string()) : id;
        EXPECT_EQ(chunk.at("id"), json::value(id));
        const json::array& choices = chunk.at("choices").as_array();
        if (i + 2 == events.size()) {
            EXPECT_TRUE(choices.empty());
            EXPECT_EQ(chunk.at("usage").at("completion_tokens"), 6);
            continue;
        }
        EXPECT_FALSE(chunk.as_object().contains("usage"));
        const json::object& delta = choices.at(0).at("delta").as_object();
        EXPECT_EQ(delta.contains("role"), i == 0);
        EXPECT_EQ(choices.at(0).at("finish_reason").is_null(), i + 3 != events.size());
        if (delta.contains("content")) {
            text += delta.at("content").as_string();
        }
    }
    const json::object whole =
        post("/v1/chat/completions", chat_body("hello", R"(,"max_tokens":6,"seed":1)"), 200);
    EXPECT_EQ(text, content_of(whole));
}

TEST_F(FrontendTest, ManyChoicesAndPrompts) {
    start();
    load();
    const json::object chat =
        post("/v1/chat/completions", chat_body("hello", R"(,"n":3,"max_tokens":8,"seed":5)"), 200);
    EXPECT_EQ(chat.at("choices").as_array().size(), 3U);
    EXPECT_NE(content_of(chat, 0), content_of(chat, 1)) << "each choice has a seed of its own";
    EXPECT_EQ(chat.at("usage").at("prompt_tokens"), 5) << "the choices share their prompt";
    EXPECT_EQ(chat.at("usage").at("completion_tokens"), 24);
    const json::object completion = post(
        "/v1/completions", R"({"prompt":[[1,2],[3,4,5]],"n":2,"max_tokens":4,"echo":true})", 200);
    ASSERT_EQ(completion.at("choices").as_array().size(), 4U);
    EXPECT_EQ(completion.at("choices").at(1).at("text").as_string().subview(0, 2), "BC");
    EXPECT_EQ(completion.at("choices").at(2).at("text").as_string().size(), 7U);
    EXPECT_EQ(completion.at("usage").at("prompt_tokens"), 5);
    std::set<int64_t> indexes;
    for (const std::string& event :
         stream("/v1/chat/completions",
                chat_body("hello", R"(,"n":3,"max_tokens":8,"stream":true)"))) {
        if (event != "[DONE]") {
            indexes.insert(parse_json(event)->at("choices").at(0).at("index").to_number<int64_t>());
        }
    }
    EXPECT_EQ(indexes, (std::set<int64_t>{0, 1, 2}));
}

TEST_F(FrontendTest, StopStringsEndAnAnswer) {
    start();
    load();
    const std::string fields = R"(,"max_tokens":40,"seed":3,"ignore_eos":true)";
    const std::string whole =
        content_of(post("/v1/chat/completions", chat_body("hello", fields), 200));
    const std::string stop = whole.substr(10, 3);
    const json::object cut = post("/v1/chat/completions",
                                  chat_body("hello", fields + R"(,"stop":")" + stop + "\""), 200);
    EXPECT_EQ(content_of(cut), whole.substr(0, whole.find(stop)));
    EXPECT_EQ(cut.at("choices").at(0).at("finish_reason"), "stop");
    EXPECT_EQ(cut.at("usage").at("completion_tokens"), whole.find(stop) + 3);
    EXPECT_TRUE(eventually([this] { return engine_->stats().running == 0; }))
        << "the rest is not computed";
}

TEST_F(FrontendTest, Logprobs) {
    start();
    load();
    const json::object answer =
        post("/v1/chat/completions",
             chat_body("hello", R"(,"max_tokens":4,"logprobs":true,"top_logprobs":2)"), 200);
    const json::array& content = answer.at("choices").at(0).at("logprobs").at("content").as_array();
    ASSERT_EQ(content.size(), 4U);
    EXPECT_LE(content[0].at("logprob").to_number<double>(), 0);
    EXPECT_EQ(content[0].at("top_logprobs").as_array().size(), 2U);
}

TEST_F(FrontendTest, ContextOverflowNamesBothNumbers) {
    start();
    load();
    const json::object chat = post("/v1/chat/completions", chat_body(std::string(300, 'a')), 400);
    EXPECT_EQ(error_in(chat).at("code"), "context_length_exceeded");
    EXPECT_NE(error_in(chat).at("message").as_string().find("256"), json::string::npos);
    EXPECT_NE(error_in(chat).at("message").as_string().find("300"), json::string::npos);
    EXPECT_EQ(error_in(post("/v1/chat/completions", chat_body(std::string(1 << 20, ' ')), 400))
                  .at("code"),
              "context_length_exceeded");
    EXPECT_EQ(
        error_in(post("/v1/completions", R"({"prompt":")" + std::string(256, 'a') + "\"}", 400))
            .at("param"),
        "prompt");
}

TEST_F(FrontendTest, RefusalsHaveFourKeysAndLeaveNothingBehind) {
    start();
    load();
    const std::pair<std::string, std::string> cases[] = {
        {"/v1/chat/completions", "{"},
        {"/v1/chat/completions", R"({"messages":"x"})"},
        {"/v1/chat/completions", chat_body("a", R"(,"logit_bias":{"61":1})")},
        {"/v1/chat/completions", chat_body("a", R"(,"stop_token_ids":[61])")},
        {"/v1/chat/completions", chat_body("a", R"(,"response_format":{"type":"json_schema"})")},
        {"/v1/chat/completions", chat_body("")},
        {"/v1/completions", R"({"prompt":""})"},
        {"/v1/completions", R"({"prompt":[61]})"},
        {"/v1/completions", R"({"prompt":"a","echo":true,"logprobs":1})"},
        {"/tokenize", R"({})"},
        {"/detokenize", R"({"tokens":[61]})"},
    };
    for (const auto& [target, body] : cases) {
        const json::object answer = post(target, body, 400);
        ASSERT_TRUE(answer.contains("error")) << body;
        EXPECT_EQ(error_in(answer).size(), 4U) << body;
    }
    EXPECT_EQ(error_in(post("/v1/nothing", "{}", 404)).size(), 4U);
    EXPECT_EQ(call("PUT", "/v1/models").status, 405);
    EXPECT_EQ(engine_->stats().running + engine_->stats().waiting, 0U);
}

TEST_F(FrontendTest, ASchemaThatWouldNotBeEnforcedIsRefusedByItsPath) {
    start();
    load();
    const auto refused = [this](const std::string& schema) {
        const json::object answer = post(
            "/v1/chat/completions",
            chat_body("a", R"(,"response_format":{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":)" +
                               schema + "}}"),
            400);
        return error_in(answer);
    };
    EXPECT_EQ(refused(R"({"properties":{"a":{"not":{}}}})").at("param").as_string(),
              "response_format.json_schema.schema.properties.a.not");
    EXPECT_EQ(refused(R"({"properties":{"a":{"not":{}}}})").at("code"), "unsupported_schema");
    EXPECT_EQ(refused(R"({"type":"string","pattern":"((a{99}){99}){99}"})").at("code"), "unsupported_schema");
    EXPECT_EQ(refused(R"({"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]})").at("code"), "invalid_schema");
    EXPECT_EQ(engine_->stats().running + engine_->stats().waiting, 0U);
}

TEST_F(FrontendTest, TooManySchemasThatWaitAreA429) {
    start();
    load();
    const std::string body =
        chat_body("a", R"(,"max_tokens":1,"response_format":{"type":"json_object"})");
    {
        std::vector<Result<GrammarCompiler::Place>> places;
        for (int i = 0; i < kGrammarsWaitingMax; ++i) {
            places.push_back(model_->grammars->take_place());
            EXPECT_TRUE(places.back().ok());
        }
        EXPECT_EQ(model_->grammars->take_place().error().code, ErrorCode::kRateLimited);
        post("/v1/chat/completions", body, 429);
    }
    EXPECT_TRUE(model_->grammars->take_place().ok()) << "refused ones hold no place";
}

TEST_F(FrontendTest, AFullQueueIsA429) {
    start({"", "letters", ""}, {.queue_limit = 1});
    load();
    gate_.permit(0);
    // The first is held in its step, so nothing leaves the queue, which holds one.
    std::thread first(
        [this] { post("/v1/chat/completions", chat_body("hello", R"(,"max_tokens":2)"), 200); });
    ASSERT_TRUE(gate_.wait_arrived(1));
    Result<http::SimpleResponse> refused = unavailable("not yet");
    std::mutex mutex;
    std::vector<std::thread> more;
    std::atomic<int> statuses_429{0};
    for (int i = 0; i < 3; ++i) {
        more.emplace_back([this, &statuses_429, &mutex, &refused] {
            Result<http::SimpleResponse> response = http::fetch(
                endpoint_,
                {"POST", "/v1/chat/completions", {}, chat_body("hello", R"(,"max_tokens":2)")});
            if (response && response->status == 429) {
                const std::lock_guard lock(mutex);
                refused = *response;
                ++statuses_429;
            }
        });
    }
    EXPECT_TRUE(eventually([&] { return statuses_429 >= 1; }));
    gate_.open();
    first.join();
    for (std::thread& client : more) {
        client.join();
    }
    ASSERT_TRUE(refused.ok());
    EXPECT_FALSE(refused->headers.get("retry-after").empty());
    EXPECT_EQ(parse_json(refused->body)->at("error").at("type"), "rate_limit_error");
}

TEST_F(FrontendTest, AClientThatLeavesFreesItsSequence) {
    start();
    load();
    const auto leave_at_first = [](std::string_view) { return false; };
    (void)http::fetch_stream(endpoint_,
                             {"POST",
                              "/v1/chat/completions",
                              {},
                              chat_body("hello", R"(,"stream":true,"ignore_eos":true)")},
                             leave_at_first);
    EXPECT_TRUE(eventually([this] { return engine_->stats().running == 0; }));
    EXPECT_LT(engine_->stats().generated_tokens_total, kContext)
        << "it was not computed to its end";
}

TEST_F(FrontendTest, AnEngineErrorBeforeTheFirstTokenIsA500) {
    start();
    load();
    gate_.fail_at(1);
    const json::object answer =
        post("/v1/chat/completions", chat_body("hello", R"(,"stream":true)"), 500);
    EXPECT_EQ(error_in(answer).at("type"), "server_error");
}

TEST_F(FrontendTest, AnEngineErrorMidStreamEndsItWithoutDone) {
    start();
    load();
    gate_.permit(1);
    std::vector<std::string> events;
    http::SseReader reader;
    const auto sink = [&](std::string_view bytes) {
        const Result<std::vector<http::SseEvent>> more = reader.feed(bytes);
        for (const http::SseEvent& event : *more) {
            events.push_back(event.data);
        }
        gate_.fail_at(1);
        gate_.open();
        return true;
    };
    const std::string body = chat_body("hello", R"(,"stream":true,"ignore_eos":true)");
    ASSERT_TRUE(
        http::fetch_stream(endpoint_, {"POST", "/v1/chat/completions", {}, body}, sink).ok());
    ASSERT_GE(events.size(), 2U);
    EXPECT_TRUE(parse_json(events.back())->as_object().contains("error")) << events.back();
    EXPECT_EQ(std::count(events.begin(), events.end(), "[DONE]"), 0);
}

TEST_F(FrontendTest, StoppingTellsTheClientsOfStreams) {
    start();
    load();
    gate_.permit(1);  // so that the answer goes on for as long as the test wants
    std::vector<std::string> events;
    std::promise<void> begun;
    std::thread client([&] {
        http::SseReader reader;
        bool first = true;
        const auto sink = [&](std::string_view bytes) {
            const Result<std::vector<http::SseEvent>> more = reader.feed(bytes);
            for (const http::SseEvent& event : *more) {
                events.push_back(event.data);
            }
            if (std::exchange(first, false)) {
                begun.set_value();
            }
            return true;
        };
        (void)http::fetch_stream(endpoint_,
                                 {"POST",
                                  "/v1/chat/completions",
                                  {},
                                  chat_body("hello", R"(,"stream":true,"ignore_eos":true)")},
                                 sink);
    });
    begun.get_future().wait();
    std::promise<void> stopped;
    auto stop = [](Frontend& frontend, std::promise<void>& done) -> http::Task<void> {
        co_await frontend.stop(Deadline::after(std::chrono::milliseconds(600)));
        done.set_value();
    };
    asio::co_spawn(io_, stop(*frontend_, stopped), asio::detached);
    client.join();
    gate_.open();
    stopped.get_future().wait();
    ASSERT_FALSE(events.empty());
    EXPECT_NE(events.back().find("engine_stopping"), std::string::npos) << events.back();
}

TEST_F(FrontendTest, SpecialTokensInContentStayText) {
    start();
    load();
    EXPECT_EQ(post("/v1/chat/completions", chat_body("a<|x|>b", R"(,"max_tokens":1)"), 200)
                  .at("usage")
                  .at("prompt_tokens"),
              7);
    EXPECT_EQ(post("/v1/completions", R"({"prompt":"a<|x|>b","max_tokens":1})", 200)
                  .at("usage")
                  .at("prompt_tokens"),
              3);
}

TEST_F(FrontendTest, KeysModelsMetricsTokens) {
    start({"", "dir/letters", "secret"});
    load();
    EXPECT_EQ(call("GET", "/health").status, 200) << "needs no key";
    for (const char* target : {"/v1/models", "/metrics", "/nothing"}) {
        EXPECT_EQ(call("GET", target).status, 401) << target;
        EXPECT_EQ(call("GET", target, "", {{"authorization", "Bearer secreT"}}).status, 401);
    }
    const http::Headers key{{"authorization", "Bearer secret"}};
    const json::value models = *parse_json(call("GET", "/v1/models", "", key).body);
    EXPECT_EQ(models.at("data").at(0).at("id"), "dir/letters");
    EXPECT_EQ(models.at("data").at(0).at("meta").at("context_tokens"), kContext);
    EXPECT_EQ(call("GET", "/v1/models/dir/letters", "", {{"x-api-key", "secret"}}).status, 200);
    EXPECT_EQ(call("GET", "/v1/models/other", "", key).status, 404);
    EXPECT_NE(call("GET", "/metrics", "", key).body.find("gantry_engine_sequences_running 0"),
              std::string::npos);
    EXPECT_EQ(call("POST", "/tokenize", R"({"content":"<|x|>"})", key).body,
              R"({"count":1,"max_model_len":256,"tokens":[60]})");
    EXPECT_EQ(call("POST", "/tokenize", R"({"content":"<","parse_special":false})", key).body,
              R"({"count":1,"max_model_len":256,"tokens":[0]})");
    EXPECT_EQ(call("POST", "/detokenize", R"({"tokens":[0,1]})", key).body, R"({"content":"AB"})");
}

TEST_F(FrontendTest, EveryMetricIsDocumented) {
    start();
    load();
    post("/v1/chat/completions", chat_body("hello", R"(,"max_tokens":3)"), 200);
    std::ifstream file(GANTRY_SOURCE_DIR "/docs/metrics.md");
    const std::string documented{std::istreambuf_iterator<char>(file), {}};
    ASSERT_FALSE(documented.empty());
    std::istringstream lines(call("GET", "/metrics").body);
    int metrics = 0;
    for (std::string line; std::getline(lines, line);) {
        constexpr std::string_view kType = "# TYPE ";
        if (line.starts_with(kType)) {
            const std::string name = line.substr(kType.size(), line.find(' ', kType.size()) - kType.size());
            EXPECT_NE(documented.find("`" + name + "`"), std::string::npos) << name;
            ++metrics;
        }
    }
    EXPECT_GE(metrics, 10);
}

}  // namespace
}  // namespace gantry::engine_server
