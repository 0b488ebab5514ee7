// The APIs that the gateway translates, end to end: what the engine is asked, what the client gets, what is metered.

#include "gateway/gateway_test_support.h"

namespace gantry::gateway {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class Translated : public GatewayRig {
protected:
    http::SimpleResponse post(const std::string& path, const std::string& body) { return send(call("POST", path, body)); }
    static json::value parsed(const std::string& text) {
        const Result<json::value> value = parse_json(text);
        EXPECT_TRUE(value.ok()) << text;
        return value ? *value : json::value();
    }
};

constexpr char kMessage[] = R"({"model":"tiny","max_tokens":9,"messages":[{"role":"user","content":"hi"}]})";

TEST_F(Translated, MessagesAreAskedAsAChat) {
    const ScriptedEngine& engine = serve(answers(200, kAnswer));
    const http::SimpleResponse answer = post("/v1/messages", kMessage);
    EXPECT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(parsed(answer.body).at("content").at(0).at("text"), "hé");
    EXPECT_EQ(parsed(answer.body).at("model"), "tiny");
    EXPECT_FALSE(answer.headers.get("request-id").empty());
    EXPECT_EQ(answer.headers.get("request-id"), answer.headers.get("x-request-id"));
    EXPECT_EQ(engine.seen()[0].path, "/v1/chat/completions");
    EXPECT_EQ(parsed(engine.seen()[0].body).at("max_completion_tokens"), 9);
    const UsageRecord record = records(1)[0];
    EXPECT_EQ(record.operation, "message");
    EXPECT_EQ(record.prompt_tokens, 11u);
    EXPECT_FALSE(record.estimated);
}

TEST_F(Translated, ResponsesStream) {
    const ScriptedEngine& engine = serve(streams({data(chunk("he")), data(chunk("y")), data(kFinish), data(kUsage), kDone}));
    const http::SimpleResponse answer = post("/v1/responses", R"({"model":"tiny","input":"hi","stream":true})");
    EXPECT_EQ(answer.headers.get("content-type"), "text/event-stream");
    EXPECT_THAT(answer.body, StartsWith("event: response.created\n"));
    EXPECT_THAT(answer.body, HasSubstr("event: response.completed\n"));
    EXPECT_THAT(answer.body, HasSubstr(R"("input_tokens":11)"));
    EXPECT_THAT(answer.body, testing::Not(HasSubstr("[DONE]")));
    EXPECT_EQ(parsed(engine.seen()[0].body).at("stream_options").at("include_usage"), true);
    const UsageRecord record = records(1)[0];
    EXPECT_EQ(record.operation, "response");
    EXPECT_EQ(record.completion_tokens, 2u);
}

TEST_F(Translated, BrokenStreamsEndInTheApisOwnEvent) {
    serve(streams_and_dies({data(chunk("he"))}));
    EXPECT_THAT(post("/v1/responses", R"({"model":"tiny","input":"hi","stream":true})").body, HasSubstr("event: response.failed\n"));
    const std::string body = post("/v1/messages", R"({"model":"tiny","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]})").body;
    EXPECT_THAT(body, HasSubstr("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\""));
    EXPECT_TRUE(records(2)[0].estimated);
}

TEST_F(Translated, AnthropicsErrorsHaveItsShape) {
    serve(answers(400, R"({"error":{"message":"'messages[0].content' is odd","param":"messages[0].content","code":"x"}})"));
    const auto type_of = [this](const http::SimpleResponse& response, int status) {
        EXPECT_EQ(response.status, status) << response.body;
        const json::value body = parsed(response.body);
        EXPECT_EQ(body.at("type"), "error");
        return std::string(body.at("error").at("type").as_string());
    };
    EXPECT_EQ(type_of(send({"POST", "/v1/messages", {}, kMessage}), 401), "authentication_error");
    EXPECT_EQ(type_of(post("/v1/messages", "{"), 400), "invalid_request_error");
    EXPECT_EQ(type_of(post("/v1/messages", R"({"model":"other","max_tokens":9,"messages":[{"role":"user","content":"hi"}]})"), 404), "not_found_error");
    EXPECT_EQ(type_of(post("/v1/messages", kMessage), 400), "invalid_request_error");
    EXPECT_EQ(type_of(send(call("GET", "/v1/messages")), 405), "invalid_request_error");
}

TEST_F(Translated, EnginesErrorsNameTheClientsFields) {
    serve(answers(400, R"({"error":{"message":"'messages[1].content' is odd","param":"messages[1].content","code":"x"}})"));
    const http::SimpleResponse answer = post("/v1/responses", R"({"model":"tiny","instructions":"i","input":[{"role":"user","content":"x"}]})");
    EXPECT_EQ(error_code(answer, 400), "x");
    EXPECT_EQ(parsed(answer.body).at("error").at("param"), "input[0].content");
    EXPECT_EQ(parsed(answer.body).at("error").at("message"), "'input[0].content' is odd");
}

TEST_F(Translated, TokensAreCounted) {
    const ScriptedEngine& engine = serve(answers(200, R"({"count":3,"max_model_len":99,"tokens":[1,2,3]})"));
    EXPECT_EQ(post("/v1/messages/count_tokens", R"({"model":"tiny","messages":[{"role":"user","content":"hi"}]})").body, R"({"input_tokens":3})");
    EXPECT_EQ(engine.seen()[0].path, "/tokenize");
    EXPECT_EQ(parsed(post("/v1/tokenize", R"({"model":"tiny","prompt":"hi"})").body).at("max_model_len"), 99);
    const UsageRecord record = records(2)[0];
    EXPECT_EQ(record.operation, "count_tokens");
    EXPECT_FALSE(record.estimated);
    EXPECT_EQ(record.prompt_tokens, 0u);
    EXPECT_EQ(error_code(post("/v1/tokenize", R"({"prompt":"hi"})"), 400), "invalid_value");
    EXPECT_EQ(error_code(post("/v1/tokenize", R"({"model":5,"prompt":"hi"})"), 400), "invalid_type");
}

TEST_F(Translated, LlamaServerCountsTextsOnly) {
    const ScriptedEngine& engine = serve(answers(200, R"({"tokens":[1,2]})"), BackendKind::kLlamaServer);
    EXPECT_EQ(parsed(post("/v1/tokenize", R"({"model":"tiny","prompt":"hi"})").body).at("count"), 2);
    EXPECT_EQ(parsed(engine.seen()[0].body).at("content"), "hi");
    const http::SimpleResponse refused = post("/v1/tokenize", R"({"model":"tiny","messages":[{"role":"user","content":"hi"}]})");
    EXPECT_EQ(error_code(refused, 400), "unsupported_operation");
}

TEST_F(Translated, RerankShapes) {
    serve(answers(200, R"({"results":[{"index":1,"relevance_score":0.5},{"index":0,"relevance_score":0.25}],"usage":{"total_tokens":4}})"));
    EXPECT_EQ(post("/v1/rerank", R"({"model":"tiny","query":"q","texts":["a","b"]})").body, R"([{"index":1,"score":5E-1},{"index":0,"score":2.5E-1}])");
    EXPECT_EQ(parsed(post("/v1/score", R"({"model":"tiny","text_1":"q","text_2":["a","b"]})").body).at("data").at(0).at("score"), 0.25);
    EXPECT_EQ(post("/v2/rerank", R"({"model":"tiny","query":"q","documents":["a","b"]})").status, 200);
    EXPECT_EQ(records(3)[1].operation, "score");
}

}  // namespace
}  // namespace gantry::gateway
