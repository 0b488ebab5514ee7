#include "gateway/gateway_test_support.h"

namespace gantry::gateway {
namespace {

using testing::HasSubstr;
using testing::Not;

class GatewayTest : public GatewayRig {
protected:
    http::Client::Call bare(const std::string& method, const std::string& target, Headers headers = {}) const {
        return {method, target, std::move(headers), method == "POST" ? "{}" : ""};
    }
};

TEST_F(GatewayTest, ListsReadyModelsOrAll) {
    model("org/big:q4", {target_of("ins_0", "unix:/none")}).context_length = 8192;
    model("loading", {}).not_ready_reason = "loading (42 %)";
    model("also", {target_of("ins_1", "unix:/none")}).pooling = "mean";
    routes_.models["also"].modality = "embedding";
    ModelEntry& stopped = model("stopped", {target_of("ins_2", "unix:/none")});
    stopped.stopped = true;
    start();
    for (const char* root : {"/v1", "/v1-openai"}) {
        const auto ready = parse_json(get(std::string(root) + "/models").body);
        EXPECT_EQ(ready->at("object").as_string(), "list");
        const json::array& models = ready->at("data").as_array();
        ASSERT_EQ(models.size(), 2u);
        EXPECT_EQ(models[0].at("id").as_string(), "also");
        EXPECT_EQ(models[1].at("id").as_string(), "org/big:q4");
        EXPECT_EQ(models[0].at("meta").at("pooling").as_string(), "mean");
        EXPECT_EQ(models[0].at("meta").at("modality").as_string(), "embedding");
        for (const char* unsaid : {"pooling", "modality"}) EXPECT_FALSE(models[1].at("meta").as_object().contains(unsaid));
        EXPECT_EQ(parse_json(get(std::string(root) + "/models/also").body)->at("meta").at("modality").as_string(), "embedding");
        EXPECT_EQ(models[1].at("owned_by").as_string(), "gantry");
        EXPECT_EQ(models[1].at("created").to_number<int64_t>(), 1'700'000'000);
        const auto all = parse_json(get(std::string(root) + "/models?all=true").body);
        EXPECT_EQ(all->at("data").as_array().size(), 4u);
        for (const char* id : {"/models/org/big:q4", "/models/org%2Fbig%3Aq4"}) {
            const auto one = get(root + std::string(id));
            EXPECT_EQ(one.status, 200) << one.body;
            EXPECT_EQ(parse_json(one.body)->at("id").as_string(), "org/big:q4");
        }
        EXPECT_EQ(error_code(get(std::string(root) + "/models/none"), 404), "model_not_found");
    }
}

TEST_F(GatewayTest, UnknownRoutesAndMethodsAnswerInTheFourKeyShape) {
    start();
    EXPECT_EQ(error_code(get("/v1/nothing"), 404), "not_found");
    EXPECT_EQ(error_code(send(call("DELETE", "/v1/models")), 405), "method_not_allowed");
}

TEST_F(GatewayTest, SaysWhyAModelIsNotReady) {
    model("loading", {}).not_ready_reason = "loading (42 %)";
    model("stopped", {}).stopped = true;
    start();
    const auto loading = chat(true, {}, "loading");
    EXPECT_EQ(error_code(loading, 503), "no_ready_instance");
    EXPECT_THAT(loading.body, HasSubstr("loading (42 %)"));
    EXPECT_FALSE(loading.headers.get("retry-after").empty());
    const auto stopped = chat(false, {}, "stopped");
    EXPECT_EQ(error_code(stopped, 503), "model_stopped");
    EXPECT_EQ(stopped.headers.get("x-should-retry"), "false");
    EXPECT_EQ(error_code(chat(false, {}, "none"), 404), "model_not_found");
}

TEST_F(GatewayTest, BadBodiesNeverReachAnEngine) {
    ScriptedEngine& engine = serve(answers(200, kAnswer));
    std::string deep = "{\"model\":\"tiny\",\"messages\":";
    deep.append(100'000, '[');
    for (const std::string& body :
         {std::string("{"), std::string("null"), std::string("[]"), std::string("\"x\""), std::string("{'a':1}"), deep,
          std::string("\xef\xbb\xbf{}"), std::string("{\"model\":\"tiny\",\"messages\":[]}"),
          std::string("{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}"),
          std::string("{\"model\":5,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}"),
          std::string("{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"\xc3\x28\"}]}")}) {
        error_code(send(call("POST", "/v1/chat/completions", body)), 400);
    }
    error_code(send(call("POST", "/v1/chat/completions")), 400);
    for (const char* more : {R"(,"n":0)", R"(,"temperature":"hot")", R"(,"max_tokens":-1)", R"(,"stream_options":5)"}) {
        error_code(chat(true, more), 400);
    }
    http::Client::Call form = call("POST", "/v1/chat/completions", chat_body(false));
    form.headers.set("content-type", "multipart/form-data; boundary=x");
    error_code(send(form), 415);
    form.headers.set("content-type", "application/x-www-form-urlencoded");
    EXPECT_EQ(send(form).status, 200) << "curl -d says so";
    form.headers.set("content-encoding", "gzip");
    error_code(send(form), 415);
    EXPECT_EQ(engine.seen().size(), 1u);
}

TEST_F(GatewayTest, EveryRouteNeedsAPrincipalUnlessPublic) {
    start();
    for (const char* target : {"/v1/models", "/v1/models/x", "/v1-openai/models", "/test/user", "/test/admin", "/test/typo"}) {
        const auto response = send(bare("GET", target));
        EXPECT_EQ(error_code(response, 401), "invalid_api_key") << target;
        EXPECT_EQ(response.headers.get("www-authenticate"), "Bearer");
    }
    for (const char* target : {"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/rerank", "/test/user", "/test/password"}) {
        error_code(send(bare("POST", target)), 401);
    }
    EXPECT_EQ(send(bare("GET", "/test/public")).body, "all");
    EXPECT_EQ(get("/test/user").body, "ann");
    // Row 51: a user's key on an admin's route; and a route whose access nobody understands stays closed.
    EXPECT_EQ(error_code(get("/test/admin"), 403), "admin_required");
    error_code(get("/test/typo"), 403);
    // Row 45: keys in the query, two headers.
    error_code(send(bare("GET", "/v1/models?api_key=" + key_.text)), 401);
    Headers twice{{"authorization", "Bearer " + key_.text}};
    twice.add("authorization", "Bearer " + key_.text);
    error_code(send(bare("GET", "/v1/models", twice)), 401);
}

// P11: the next request after a change of the table is refused.
TEST_F(GatewayTest, ARevokedKeyIsRefusedAtOnce) {
    start();
    EXPECT_EQ(get("/test/user").status, 200);
    auth_.keys.begin()->second.disabled = true;
    tables_.set(auth_);
    EXPECT_EQ(get("/test/user").status, 401);
}

TEST_F(GatewayTest, WhoMustChangeThePasswordMayDoNothingElse) {
    start();
    const Headers cookie{{"cookie", "gantry_session=root-token"}, {"sec-fetch-site", "same-origin"}};
    EXPECT_EQ(error_code(send(bare("GET", "/test/user", cookie)), 403), "password_change_required");
    EXPECT_EQ(error_code(send(bare("GET", "/test/admin", cookie)), 403), "password_change_required");
    EXPECT_EQ(error_code(send(bare("GET", "/v1/models", cookie)), 403), "password_change_required");
    EXPECT_EQ(send(bare("POST", "/test/password", cookie)).body, "root");
}

// Row 47.
TEST_F(GatewayTest, CookiesNeedASameSiteOriginToChangeAnything) {
    start();
    const std::string self = "http://127.0.0.1:" + std::to_string(port_);
    struct Case {
        Headers headers;
        int status;
    };
    for (const Case& c : std::vector<Case>{{{}, 403},
                                           {{{"origin", "null"}}, 403},
                                           {{{"origin", "http://evil.example"}}, 403},
                                           {{{"origin", self + ".evil.example"}}, 403},
                                           {{{"origin", "ftp://127.0.0.1:" + std::to_string(port_)}}, 403},
                                           {{{"origin", "http://127.0.0.1"}}, 403},
                                           {{{"sec-fetch-site", "cross-site"}, {"origin", self}}, 403},
                                           {{{"sec-fetch-site", "same-site"}}, 403},
                                           {{{"referer", self}}, 403},
                                           {{{"origin", self}}, 200},
                                           {{{"sec-fetch-site", "same-origin"}}, 200}}) {
        Headers headers = c.headers;
        headers.add("cookie", "gantry_session=ann-token");
        http::Client::Call post = bare("POST", "/test/user", headers);
        post.headers.set("host", "127.0.0.1:" + std::to_string(port_));
        EXPECT_EQ(send(post).status, c.status) << c.headers.get("origin") << c.headers.get("sec-fetch-site");
    }
    EXPECT_EQ(send(bare("GET", "/test/user", {{"cookie", "gantry_session=ann-token"}})).body, "ann");
    EXPECT_EQ(send(call("POST", "/test/user", "{}")).body, "ann") << "a key needs no origin";
}

// Row 44.
TEST_F(GatewayTest, GuessingIsThrottledAndLocksNobodyOut) {
    start();
    int refused = 0;
    int throttled = 0;
    for (int i = 0; i < 40; ++i) {
        const auto response = send(bare("GET", "/v1/models", {{"x-api-key", make_key(system_random()).text}}));
        refused += response.status == 401;
        if (response.status == 429) {
            ++throttled;
            EXPECT_EQ(error_code(response, 429), "rate_limit_exceeded");
            EXPECT_FALSE(response.headers.get("retry-after").empty());
        }
    }
    EXPECT_GE(refused, 20);
    EXPECT_GE(throttled, 15);
    EXPECT_EQ(get("/test/user").status, 200) << "the owner of a key still gets in";
}

// Row 14.
TEST_F(GatewayTest, ABadKeyIsRefusedBeforeTheBodyIsRead) {
    start();
    http::RawClient client(port_);
    ASSERT_TRUE(client.send("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30000000\r\n"
                            "Expect: 100-continue\r\nAuthorization: Bearer wrong\r\n\r\n"));
    const std::string answer = client.read_to_end();
    EXPECT_THAT(answer, testing::StartsWith("HTTP/1.1 401"));
    EXPECT_THAT(answer, Not(HasSubstr("100 Continue")));
    EXPECT_TRUE(client.closed);
}

// Row 16.
TEST_F(GatewayTest, ForeignHostsAreRefused) {
    start();
    const auto status = [this](const std::string& head) {
        http::RawClient client(port_);
        EXPECT_TRUE(client.send(head + "\r\nConnection: close\r\n\r\n"));
        const std::string answer = client.read_to_end();
        return answer.size() > 12 ? answer.substr(9, 3) : answer;
    };
    EXPECT_EQ(status("GET /test/public HTTP/1.1\r\nHost: localhost"), "200");
    EXPECT_EQ(status("GET /test/public HTTP/1.1\r\nHost: known.example:9090"), "200");
    EXPECT_EQ(status("GET /test/public HTTP/1.1\r\nHost: 127.0.0.1"), "200");
    EXPECT_EQ(status("GET /test/public HTTP/1.1\r\nHost: evil.example"), "421");
    EXPECT_EQ(status("GET /test/public HTTP/1.1"), "400");
    EXPECT_EQ(status("GET /test/public HTTP/1.1\r\nHost: localhost\r\nHost: evil.example"), "400");
    EXPECT_EQ(status("GET http://localhost/test/public HTTP/1.1\r\nHost: localhost"), "400");
}

// Row 59.
TEST_F(GatewayTest, NamesThatClientsMakeUpAreNoLabels) {
    serve(answers(200, kAnswer));
    EXPECT_EQ(chat(false).status, 200);
    for (int i = 0; i < 20; ++i) chat(false, {}, "made-up-" + std::to_string(i));
    const std::string text = metrics::text();
    EXPECT_THAT(text, Not(HasSubstr("made-up")));
    EXPECT_THAT(text, HasSubstr("gantry_gateway_requests_total{operation=\"chat\",status=\"200\"}"));
    EXPECT_THAT(text, HasSubstr("gantry_gateway_tokens_total{direction=\"completion\",model=\"tiny\"}"));
    EXPECT_THAT(text, HasSubstr("gantry_gateway_time_to_first_token_seconds_count{model=\"tiny\"}"));
}

}  // namespace
}  // namespace gantry::gateway
