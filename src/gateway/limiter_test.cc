#include "gateway/limiter.h"

#include "gateway/gateway_test_support.h"

namespace gantry::gateway {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(ResetText, AsOpenAiWritesIt) {
    EXPECT_EQ(reset_text(0ns), "0s");
    EXPECT_EQ(reset_text(-5s), "0s");
    EXPECT_EQ(reset_text(1ns), "1ms");
    EXPECT_EQ(reset_text(999ms), "999ms");
    EXPECT_EQ(reset_text(999ms + 1us), "1s");
    EXPECT_EQ(reset_text(1001ms), "2s");
    EXPECT_EQ(reset_text(59s + 1ms), "1m0s");
    EXPECT_EQ(reset_text(6min), "6m0s");
    EXPECT_EQ(reset_text(59min + 59s), "59m59s");
    EXPECT_EQ(reset_text(25h + 61s), "25h1m1s");
}

class LimiterTest : public GatewayRig {
protected:
    ApiKey& key() { return auth_.keys.at(key_.public_id); }
    User& ann() { return auth_.users.at(UserId("usr_1")); }
    // As the control plane does after an edit.
    void publish() { tables_.set(auth_); }
    static bool has_limits(const http::SimpleResponse& response) { return !response.headers.get("x-ratelimit-limit-requests").empty(); }
};

TEST_F(LimiterTest, WithoutLimitsNothingIsSaid) {
    serve(answers(200, kAnswer));
    const auto response = chat(false);
    for (const auto& [name, value] : response.headers) EXPECT_THAT(name, Not(HasSubstr("ratelimit")));
}

TEST_F(LimiterTest, RequestsAMinuteWithTheFieldsThatSay) {
    key().limits.requests_per_minute = 2;
    publish();
    ScriptedEngine& engine = serve(answers(200, kAnswer));
    const auto first = chat(false);
    EXPECT_EQ(first.status, 200);
    EXPECT_EQ(first.headers.get("x-ratelimit-limit-requests"), "2");
    EXPECT_EQ(first.headers.get("x-ratelimit-remaining-requests"), "1");
    EXPECT_EQ(first.headers.get("x-ratelimit-reset-requests"), "30s");
    EXPECT_EQ(first.headers.get("x-ratelimit-limit-tokens"), "") << "there is no such limit";
    // A wrong request is one all the same.
    const auto wrong = send(call("POST", "/v1-openai/chat/completions", "{}"));
    EXPECT_EQ(wrong.status, 400);
    EXPECT_EQ(wrong.headers.get("x-ratelimit-remaining-requests"), "0");
    const auto over = chat(false);
    EXPECT_EQ(error_code(over, 429), "rate_limit_exceeded");
    EXPECT_EQ(over.headers.get("x-ratelimit-remaining-requests"), "0");
    EXPECT_EQ(over.headers.get("x-should-retry"), "");
    const int seconds = std::stoi(std::string(over.headers.get("retry-after")));
    const int ms = std::stoi(std::string(over.headers.get("retry-after-ms")));
    EXPECT_TRUE(seconds == 30 || seconds == 29) << seconds;
    EXPECT_EQ((ms + 999) / 1000, seconds);
    EXPECT_EQ(parse_json(over.body)->at_pointer("/error/type").as_string(), "rate_limit_error");
    EXPECT_EQ(engine.seen().size(), 1u);
    // Listing costs nothing, and says it too.
    for (const char* target : {"/v1/models", "/v1/models/tiny", "/v1/models/none"}) {
        EXPECT_EQ(get(target).headers.get("x-ratelimit-remaining-requests"), "0") << target;
    }
    EXPECT_THAT(metrics::text(), HasSubstr("gantry_gateway_limited_total{reason=\"requests\"}"));
    key().limits = {};
    publish();
    EXPECT_EQ(chat(false).status, 200) << "lifted, at once";
    records(2);
}

TEST_F(LimiterTest, TokensAreSettledWithTheAnswersUsage) {
    ann().limits.tokens_per_minute = 1000;
    publish();
    serve(answers(200, kAnswer));
    const auto first = chat(false);
    const std::string estimated(first.headers.get("x-ratelimit-remaining-tokens"));
    EXPECT_EQ(std::stoul(estimated), 1000 - chat_body(false).size() / 4);
    // 13 tokens were used, and meanwhile a few came back.
    EXPECT_TRUE(eventually([&] {
        const std::string left(get("/v1/models").headers.get("x-ratelimit-remaining-tokens"));
        return std::stoul(left) >= 987;
    }));
    ann().limits.tokens_per_minute = 10;
    publish();
    const auto over = chat(false);
    EXPECT_EQ(error_code(over, 429), "rate_limit_exceeded") << "a prompt of more than there is needs a full bucket";
    EXPECT_THAT(over.body, HasSubstr("10 tokens a minute of this user"));
}

TEST_F(LimiterTest, StreamsCarryTheFieldsAndAreSettled) {
    key().limits = {.requests_per_minute = 100, .tokens_per_minute = 1000};
    publish();
    serve(streams({data(chunk("a")), data(kFinish), data(kUsage), kDone}));
    const auto response = chat(true);
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.headers.get("x-ratelimit-limit-tokens"), "1000");
    EXPECT_EQ(response.headers.get("x-ratelimit-remaining-requests"), "99");
    const std::string left(get("/v1/models").headers.get("x-ratelimit-remaining-tokens"));
    EXPECT_GE(std::stoul(left), 987u);
}

Task<void> respond_when(Exchange& exchange, std::shared_future<void> event) {
    while (event.wait_for(0s) != std::future_status::ready) co_await http::sleep_for(1ms);
    co_await exchange.respond(http::json_response(200, kAnswer));
}

TEST_F(LimiterTest, APlaceIsFreeWhenTheAnswerIsThere) {
    key().limits.concurrent_requests = 1;
    publish();
    std::promise<void> go;
    ScriptedEngine& engine = serve([event = go.get_future().share()](Exchange& exchange, ScriptedEngine&) {
        return respond_when(exchange, event);
    });
    std::thread first([&] { EXPECT_EQ(chat(false).status, 200); });
    EXPECT_TRUE(eventually([&] { return engine.seen().size() == 1; }));
    const auto second = chat(false);
    EXPECT_EQ(error_code(second, 429), "rate_limit_exceeded");
    EXPECT_EQ(second.headers.get("retry-after"), "1");
    EXPECT_FALSE(has_limits(second));
    go.set_value();
    first.join();
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(chat(false).status, 200) << "the very next one, on another connection";
        EXPECT_EQ(send(call("POST", "/v1/chat/completions", "{}")).status, 400);
    }
}

TEST_F(LimiterTest, AClientThatLeavesGivesItsPlaceBack) {
    key().limits.concurrent_requests = 1;
    publish();
    ScriptedEngine& engine = serve(stalls({data(chunk("a"))}));
    {
        http::RawClient client(port_);
        ASSERT_TRUE(client.send(raw_chat(true)));
        ASSERT_TRUE(eventually([&] { return engine.running() == 1; }));
        EXPECT_EQ(chat(false).status, 429);
    }
    ASSERT_TRUE(eventually([&] { return engine.running() == 0; }));
    EXPECT_TRUE(records(1)[0].aborted);
    http::RawClient next(port_);
    ASSERT_TRUE(next.send(raw_chat(true)));
    EXPECT_TRUE(eventually([&] { return engine.running() == 1; }));
}

// Row 51.
TEST_F(LimiterTest, ModelsOutsideTheListAreForbiddenAndHidden) {
    ScriptedEngine& only = engine(answers(200, kAnswer));
    for (const char* name : {"a", "b", "c"}) model(name, {target_of("ins_0", only.endpoint())});
    key().models = {"a", "b", "later"};
    ann().models = {"b", "c", "later"};
    publish();
    start();
    for (const char* name : {"a", "c", "none"}) {
        const auto refused = chat(false, {}, name);
        EXPECT_EQ(error_code(refused, 403), "model_not_allowed") << name;
        EXPECT_EQ(parse_json(refused.body)->at_pointer("/error/type").as_string(), "permission_error");
        EXPECT_EQ(parse_json(refused.body)->at_pointer("/error/param").as_string(), "model");
        EXPECT_EQ(error_code(get(std::string("/v1/models/") + name), 404), "model_not_found") << name;
    }
    EXPECT_EQ(chat(false, {}, "b").status, 200);
    EXPECT_EQ(error_code(chat(false, {}, "later"), 404), "model_not_found") << "allowed, once it is there";
    EXPECT_EQ(get("/v1-openai/models/b").status, 200);
    for (const char* list : {"/v1/models", "/v1/models?all=1", "/v1-openai/models"}) {
        const auto listed = parse_json(get(list).body);
        ASSERT_EQ(listed->at("data").as_array().size(), 1u) << list;
        EXPECT_EQ(listed->at("data").as_array()[0].at("id").as_string(), "b");
    }
    // The user's own list holds for the console as well.
    const Headers cookie{{"cookie", "gantry_session=ann-token"}};
    EXPECT_EQ(send({"GET", "/v1/models/a", cookie, ""}).status, 404);
    EXPECT_EQ(send({"GET", "/v1/models/c", cookie, ""}).status, 200);
    EXPECT_EQ(only.seen().size(), 1u);
}

TEST_F(LimiterTest, ScopesOpenOneSideOnly) {
    ScriptedEngine& engine = serve(answers(200, kAnswer));
    for (const bool inference : {true, false}) {
        key().scopes = {.inference = inference, .management = !inference};
        publish();
        for (const bool bearer : {true, false}) {
            const auto as = [&](const std::string& method, const std::string& target, const std::string& body) {
                http::Client::Call sent{method, target, {{"content-type", "application/json"}}, body};
                bearer ? sent.headers.add("authorization", "Bearer " + key_.text) : sent.headers.add("x-api-key", key_.text);
                return send(sent);
            };
            for (const char* target : {"/v1/models", "/v1/models/tiny", "/v1-openai/models"}) {
                EXPECT_EQ(as("GET", target, "").status, inference ? 200 : 403) << target;
            }
            const auto answer = as("POST", "/v1/chat/completions", chat_body(false));
            EXPECT_EQ(answer.status, inference ? 200 : 403);
            const auto user = as("GET", "/test/user", "");
            EXPECT_EQ(user.status, inference ? 403 : 200);
            EXPECT_EQ(as("POST", "/test/password", "{}").status, inference ? 403 : 200);
            EXPECT_EQ(error_code(inference ? user : answer, 403), "insufficient_scope");
        }
    }
    EXPECT_EQ(engine.seen().size(), 2u);
    EXPECT_EQ(send({"GET", "/test/user", {{"cookie", "gantry_session=ann-token"}}, ""}).status, 200);
    EXPECT_EQ(send({"GET", "/v1/models", {{"cookie", "gantry_session=ann-token"}}, ""}).status, 200);
}

class BudgetTest : public LimiterTest {
protected:
    // What the usage table would say, once `gate_` is open.
    static Task<Result<std::vector<TokensUsed>>> used(BudgetTest* test) {
        ++test->loads_;
        while (!test->open_) co_await http::sleep_for(1ms);
        if (test->broken_.exchange(false)) co_return internal_error("damaged");
        co_return std::vector<TokensUsed>{{UserId("usr_1"), ApiKeyId("key_1"), 90}};
    }
    void SetUp() override {
        LimiterTest::SetUp();
        options_.tokens_used = [this](WallTime, WallTime) { return used(this); };
    }
    std::atomic<int> loads_{0};
    std::atomic<bool> open_{true};
    std::atomic<bool> broken_{false};
};

TEST_F(BudgetTest, GoesOnFromWhatTheTableSaysAndIsNotRetried) {
    key().limits.tokens_per_month = 104;
    publish();
    serve(answers(200, kAnswer));   // 13 tokens each
    EXPECT_EQ(chat(false).status, 200);
    EXPECT_EQ(chat(false).status, 200) << "103 of 104: the last one may go over";
    const auto over = chat(false);
    EXPECT_EQ(error_code(over, 429), "insufficient_quota");
    EXPECT_EQ(over.headers.get("x-should-retry"), "false");
    EXPECT_EQ(over.headers.get("retry-after"), "");
    EXPECT_FALSE(has_limits(over)) << "no limit a minute";
    EXPECT_EQ(loads_, 1) << "at the start, not with each request";
    key().limits.tokens_per_month = 1000;
    publish();
    EXPECT_EQ(chat(false).status, 200);
    EXPECT_EQ(loads_, 1);
}

TEST_F(BudgetTest, ARequestWaitsForTheFirstLookAndABrokenOneIsRepeated) {
    open_ = false;
    broken_ = true;
    key().limits.tokens_per_month = 1000;
    publish();
    ScriptedEngine& engine = serve(answers(200, kAnswer));
    std::thread first([&] { EXPECT_EQ(chat(false).status, 200); });
    EXPECT_TRUE(eventually([&] { return loads_ == 1; }));
    // Sessions of the same user, who has no budget, are not affected.
    http::Client::Call console = call("POST", "/v1/chat/completions", chat_body(false));
    console.headers = {{"cookie", "gantry_session=ann-token"}, {"sec-fetch-site", "same-origin"}};
    EXPECT_EQ(send(console).status, 200);
    EXPECT_EQ(engine.seen().size(), 1u);
    open_ = true;
    first.join();
    EXPECT_EQ(engine.seen().size(), 2u);
    EXPECT_EQ(loads_, 2);
}

TEST_F(BudgetTest, ABudgetSetLaterIsLookedUpThen) {
    serve(answers(200, kAnswer));
    EXPECT_EQ(chat(false).status, 200);
    EXPECT_EQ(loads_, 0);
    key().limits.tokens_per_month = 90;
    publish();
    const auto asked = std::chrono::steady_clock::now();
    EXPECT_EQ(error_code(chat(false), 429), "insufficient_quota");
    EXPECT_LT(std::chrono::steady_clock::now() - asked, 4s) << "a look that ends at once is not waited for";
    EXPECT_EQ(loads_, 1);
    ann().limits.tokens_per_month = 500;
    key().limits = {};
    publish();
    EXPECT_EQ(chat(false).status, 200);
    EXPECT_EQ(loads_, 2);
}

}  // namespace
}  // namespace gantry::gateway
