// Models of outside providers: what goes there, and what clients see of it.

#include "gateway/body.h"
#include "gateway/gateway_test_support.h"

namespace gantry::gateway {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::string kKey = "sk-secret";

class OutsideTest : public GatewayRig {
protected:
    // "out/big", which is "org/big" at the provider that this engine plays.
    ScriptedEngine& provider(ScriptedEngine::Script script, const std::string& key = kKey) {
        ScriptedEngine& played = engine(std::move(script));
        model("out/big", {target_of("prv_1", played.endpoint(), key)}).outside = Outside{"out", "/out", "org/big"};
        return played;
    }
    void route(const std::string& target, const std::string& fallback) {
        Route r;
        r.name = "public";
        r.targets = {{target, 1}};
        r.fallback = fallback;
        routes_.routes[r.name] = r;
    }
};

TEST_F(OutsideTest, TheProviderGetsItsOwnNameAndNothingOfOurs) {
    ScriptedEngine& played = provider(answers(200, kAnswer));
    start();
    auto asked = call("POST", "/v1/chat/completions",
                      chat_body(false, R"(,"temperature":0.5,"top_k":3,"grammar":"x","priority":1,"cache_salt":"s","deadline_ms":9000,"service_tier":"flex")",
                                "out/big"));
    asked.headers.set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    const auto response = send(asked);
    ASSERT_EQ(response.status, 200) << response.body;
    EXPECT_EQ(parse_json(response.body)->at("model").as_string(), "out/big");
    ASSERT_EQ(played.seen().size(), 1u);
    const http::Request seen = played.seen()[0];
    EXPECT_EQ(seen.path, "/out/chat/completions");
    EXPECT_EQ(seen.headers.get("authorization"), "Bearer " + kKey);
    EXPECT_EQ(seen.headers.get("accept-encoding"), "identity");
    for (const char* name : {"x-request-id", "traceparent", "cookie", "x-api-key"}) EXPECT_EQ(seen.headers.count(name), 0u) << name;
    EXPECT_EQ(seen.headers.get("user-agent"), "gantry");
    json::object body = parse_json(seen.body)->as_object();
    EXPECT_EQ(body, parse_json(R"({"model":"org/big","messages":[{"role":"user","content":"hi"}],"stream":false,"temperature":0.5,"top_k":3})")->as_object());
    const UsageRecord& record = records(1)[0];
    EXPECT_EQ(record.model, "out/big");
    EXPECT_EQ(record.instance_id.text, "prv_1");
    EXPECT_EQ(record.prompt_tokens, 11u);
}

TEST_F(OutsideTest, StreamsSayTheNameThatWasAskedFor) {
    ScriptedEngine& played = provider(streams({data(chunk("a")), data(chunk("b")), data(kUsage), kDone}), "");
    start();
    const auto response = chat(true, {}, "out/big");
    EXPECT_EQ(response.status, 200);
    EXPECT_THAT(response.body, HasSubstr(R"("model":"out/big")"));
    EXPECT_THAT(response.body, Not(HasSubstr("tiny")));
    EXPECT_THAT(response.body, testing::EndsWith(kDone));
    EXPECT_EQ(played.seen()[0].headers.count("authorization"), 0u) << "it wants no key";
    EXPECT_EQ(parse_json(played.seen()[0].body)->at("stream_options").at("include_usage"), true);
    EXPECT_EQ(records(1)[0].completion_tokens, 2u);
}

TEST_F(OutsideTest, EachOperationGoesBehindTheBasePath) {
    ScriptedEngine& played = provider(answers(200, R"({"data":[],"results":[],"choices":[],"model":"x"})"));
    start();
    EXPECT_EQ(send(call("POST", "/v1/embeddings", R"({"model":"out/big","input":"a"})")).status, 200);
    EXPECT_EQ(send(call("POST", "/v1/completions", R"({"model":"out/big","prompt":"a"})")).status, 200);
    EXPECT_EQ(send(call("POST", "/v1/rerank", R"({"model":"out/big","query":"a","documents":["b"]})")).status, 200);
    std::vector<std::string> paths;
    for (const auto& request : played.seen()) paths.push_back(request.path);
    EXPECT_EQ(paths, (std::vector<std::string>{"/out/embeddings", "/out/completions", "/out/rerank"}));
    for (const char* path : {"/v1/tokenize", "/v1/detokenize"}) {
        const auto refused = send(call("POST", path, R"({"model":"out/big","prompt":"a","tokens":[1]})"));
        EXPECT_EQ(error_code(refused, 400), "unsupported_operation") << path;
    }
    EXPECT_EQ(played.seen().size(), 3u);
}

TEST_F(OutsideTest, AKeyThatIsRefusedIsNotTheClientsDoing) {
    for (const int status : {401, 403}) {
        const std::string said = R"({"error":{"message":"Incorrect API key provided: sk-secret","code":"invalid_api_key"}})";
        ScriptedEngine& played = engine(answers(status, said));
        model("out/" + std::to_string(status), {target_of("prv_1", played.endpoint(), kKey)}).outside = Outside{"out", "/out", "m"};
    }
    start();
    testing::internal::CaptureStderr();
    for (int i = 0; i < 4; ++i) {   // no circuit opens: it would hide why
        for (const char* name : {"out/401", "out/403"}) {
            for (const bool stream : {false, true}) {
                const auto response = chat(stream, {}, name);
                EXPECT_EQ(error_code(response, 502), "provider_refused");
                EXPECT_EQ(response.headers.get("x-should-retry"), "false");
                EXPECT_EQ(response.headers.count("retry-after"), 0u);
                EXPECT_THAT(response.body, HasSubstr("The provider of model '" + std::string(name) + "'"));
                EXPECT_THAT(response.body, Not(HasSubstr(kKey)));
            }
        }
    }
    const std::string logged = testing::internal::GetCapturedStderr();
    EXPECT_THAT(logged, HasSubstr("provider prv_1 refuses our key for out/401: it answered 401"));
    EXPECT_THAT(logged, Not(HasSubstr(kKey)));
}

TEST_F(OutsideTest, ItsOwnErrorsArePassedOnAndItsFailuresNamed) {
    ScriptedEngine& busy = provider(answers(429, R"({"error":{"message":"slow down","code":"rate_limit_exceeded"}})", {{"retry-after", "7"}}));
    ScriptedEngine& moved = engine(answers(302, "", {{"location", "http://127.0.0.1/"}}));
    ScriptedEngine& dying = engine(streams_and_dies({data(chunk("x"))}));
    model("out/gone", {target_of("prv_2", "unix:" + (dir_ / "nobody").string(), kKey)}).outside = Outside{"out", "/out", "m"};
    model("out/moved", {target_of("prv_3", moved.endpoint(), kKey)}).outside = Outside{"out", "/out", "m"};
    model("out/dying", {target_of("prv_4", dying.endpoint(), kKey)}).outside = Outside{"out", "/out", "m"};
    start();
    const auto limited = chat(false, {}, "out/big");
    EXPECT_EQ(error_code(limited, 429), "rate_limit_exceeded");
    EXPECT_EQ(limited.headers.get("retry-after"), "7");
    EXPECT_EQ(busy.seen().size(), 1u);
    const auto gone = chat(false, {}, "out/gone");
    EXPECT_EQ(error_code(gone, 502), "provider_failed");
    EXPECT_THAT(gone.body, Not(HasSubstr("restarted")));
    EXPECT_EQ(error_code(chat(false, {}, "out/moved"), 502), "provider_failed");
    EXPECT_EQ(moved.seen().size(), 1u) << "nobody follows";
    EXPECT_THAT(chat(true, {}, "out/dying").body, HasSubstr("provider_failed"));
}

TEST_F(OutsideTest, ARouteMayMixBoth) {
    ScriptedEngine& own = engine(answers(200, kAnswer));
    ScriptedEngine& down = engine(answers(503, "{}"));
    ScriptedEngine& played = provider(answers(429, "{}"));
    model("own", {target_of("ins_own", own.endpoint())});
    model("down", {target_of("ins_down", down.endpoint())});
    route("out/big", "own");
    start();
    const std::string more = R"(,"priority":1)";
    EXPECT_EQ(parse_json(chat(false, more, "public").body)->at("model").as_string(), "public") << "asked too often: the fallback";
    EXPECT_EQ(parse_json(played.seen()[0].body)->at("model").as_string(), "org/big");
    EXPECT_FALSE(parse_json(played.seen()[0].body)->as_object().contains("priority"));
    EXPECT_EQ(parse_json(own.seen()[0].body)->at("model").as_string(), "public");
    EXPECT_EQ(parse_json(own.seen()[0].body)->at("priority"), 1);
    EXPECT_EQ(own.seen()[0].path, "/v1/chat/completions");
    EXPECT_EQ(records(1)[0].instance_id.text, "ins_own");

    route("down", "out/big");
    tables_.set(routes_);
    error_code(chat(false, {}, "public"), 429);
    EXPECT_EQ(played.seen().size(), 2u);

    // What a provider can't do goes to those that can.
    route("out/big", "own");
    tables_.set(routes_);
    EXPECT_EQ(send(call("POST", "/v1/detokenize", R"({"model":"public","tokens":[1]})")).status, 200);
    EXPECT_EQ(own.seen().back().path, "/detokenize");

    const json::value list = parse_json(get("/v1/models").body).value();
    for (const json::value& item : list.at("data").as_array()) {
        const auto& meta = item.at("meta").as_object();
        EXPECT_EQ(meta.contains("provider"), item.at("id") == "out/big") << item;
    }
}

TEST_F(OutsideTest, AllowedModelsAreAboutTheWholeName) {
    provider(answers(200, kAnswer));
    auth_.keys.begin()->second.models = {"out/small"};
    tables_.set(auth_);
    start();
    EXPECT_EQ(chat(false, {}, "out/big").status, 403);
}

TEST(outside_body, is_the_beginning_of_an_engines) {
    const auto fields = [](const char* text) { return parse_json(text)->as_object(); };
    const Outside outside{"out", "/v1", "a\"b"};
    for (const auto& [whole, shared] : std::vector<std::pair<const char*, const char*>>{
             {R"({"model":"m","prompt":"p"})", R"({"prompt":"p"})"},
             {R"({"priority":1,"prompt":"}","model":"m","n":2,"deadline_ms":3})", R"({"prompt":"}","n":2})"},
             {R"({"model":"m"})", "{}"}}) {
        const Body body = write_body(fields(whole), true);
        EXPECT_EQ(fields(body.text.c_str()), fields(whole)) << body.text;
        json::object expected = fields(shared);
        expected["model"] = "a\"b";
        EXPECT_EQ(fields(body_for(body, outside).c_str()), expected) << body_for(body, outside);
        EXPECT_EQ(write_body(fields(whole), false).text, json::serialize(fields(whole)));
    }
}

}  // namespace
}  // namespace gantry::gateway
