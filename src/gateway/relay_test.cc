#include "gateway/gateway_test_support.h"

namespace gantry::gateway {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

const std::string kAskUsage = R"(,"stream_options":{"include_usage":true})";

class RelayTest : public GatewayRig {};

TEST_F(RelayTest, AWholeAnswerComesUnchanged) {
    ScriptedEngine& engine = serve(answers(200, kAnswer));
    const auto response = chat(false, R"(,"temperature":0.5,"grammar":"root ::= x","slot_id":3,"n_discard":1,"ignore_eos":true)");
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, kAnswer);
    ASSERT_EQ(engine.seen().size(), 1u);
    const http::Request seen = engine.seen()[0];
    // Row 26 and 18: engine internals and the client's credentials stay here.
    const json::object body = parse_json(seen.body)->as_object();
    EXPECT_TRUE(body.contains("temperature") && body.contains("ignore_eos"));
    EXPECT_FALSE(body.contains("grammar") || body.contains("slot_id") || body.contains("n_discard"));
    EXPECT_EQ(seen.headers.count("authorization"), 0u);
    EXPECT_EQ(seen.headers.get("x-request-id"), response.headers.get("x-request-id"));

    const UsageRecord& record = records(1)[0];
    EXPECT_EQ(record.request_id, response.headers.get("x-request-id"));
    EXPECT_EQ(record.user_id.text, "usr_1");
    EXPECT_EQ(record.key_id.text, "key_1");
    EXPECT_EQ(record.model, "tiny");
    EXPECT_EQ(record.instance_id.text, "ins_0");
    EXPECT_EQ(record.operation, "chat");
    EXPECT_EQ(record.prompt_tokens, 11u);
    EXPECT_EQ(record.completion_tokens, 2u);
    EXPECT_EQ(record.status, 200);
    EXPECT_FALSE(record.estimated || record.aborted);
}

TEST_F(RelayTest, TheEnginesOwnKeyIsSentToIt) {
    ScriptedEngine& only = engine(answers(200, kAnswer));
    model("tiny", {target_of("ins_0", only.endpoint(), "engine-secret")});
    start();
    EXPECT_EQ(chat(false).status, 200);
    EXPECT_EQ(only.seen()[0].headers.get("authorization"), "Bearer engine-secret");
}

TEST_F(RelayTest, CompletionsGoTheirWay) {
    ScriptedEngine& engine = serve(answers(200, R"({"choices":[{"text":"x"}],"usage":{"prompt_tokens":1,"completion_tokens":1}})"));
    for (const char* path : {"/v1/completions", "/v1-openai/completions"}) {
        const auto response = send(call("POST", path, R"({"model":"tiny","prompt":"once"})"));
        EXPECT_EQ(response.status, 200) << response.body;
    }
    EXPECT_EQ(engine.seen()[0].path, "/v1/completions");
    EXPECT_EQ(records(2)[1].operation, "completion");
}

TEST_F(RelayTest, EmbeddingsGoTheirWay) {
    const std::string answer = R"({"object":"list","data":[{"index":0,"embedding":[0.5]}],"model":"file","usage":{"prompt_tokens":3,"total_tokens":3}})";
    ScriptedEngine& engine = serve(answers(200, answer), BackendKind::kLlamaServer);
    for (const char* path : {"/v1/embeddings", "/v1-openai/embeddings"}) {
        const auto response = send(call("POST", path, R"({"model":"tiny","input":["a"],"dimensions":1,"embd_normalize":-1})"));
        EXPECT_EQ(response.status, 200) << response.body;
        EXPECT_EQ(parse_json(response.body)->at("model").as_string(), "tiny");
    }
    EXPECT_EQ(engine.seen()[0].path, "/v1/embeddings");
    EXPECT_EQ(parse_json(engine.seen()[0].body)->as_object().size(), 3u) << "only what engines share goes on";
    const UsageRecord& record = records(2)[1];
    EXPECT_EQ(record.operation, "embedding");
    EXPECT_EQ(record.prompt_tokens, 3u);
    EXPECT_EQ(record.completion_tokens, 0u);
    EXPECT_FALSE(record.estimated);
    error_code(send(call("POST", "/v1/embeddings", R"({"model":"tiny","input":""})")), 400);
    error_code(send(call("POST", "/v1/embeddings", R"({"input":"a"})")), 400);
    EXPECT_EQ(engine.seen().size(), 2u);
}

TEST_F(RelayTest, RerankGoesItsWay) {
    ScriptedEngine& engine = serve(answers(200, R"({"results":[{"index":0,"relevance_score":1}],"usage":{"total_tokens":9}})"));
    const auto response = send(call("POST", "/v1/rerank", R"({"model":"tiny","query":"q","documents":["d"],"top_n":1,"x":2})"));
    EXPECT_EQ(response.status, 200) << response.body;
    EXPECT_EQ(engine.seen()[0].path, "/v1/rerank");
    EXPECT_FALSE(parse_json(engine.seen()[0].body)->as_object().contains("x"));
    EXPECT_EQ(records(1)[0].operation, "rerank");
    EXPECT_EQ(records(1)[0].prompt_tokens, 9u);
    error_code(send(call("POST", "/v1/rerank", R"({"model":"tiny","query":"q","documents":[]})")), 400);
}

TEST_F(RelayTest, AnAnswerOfAnotherKindIsNone) {
    serve(answers(200, kAnswer));
    EXPECT_EQ(error_code(send(call("POST", "/v1/embeddings", R"({"model":"tiny","input":"a"})")), 502), "engine_crashed");
}

TEST_F(RelayTest, WhatAModelCannotDoIsSaidAsTheEngineSaidIt) {
    serve(answers(400, R"({"error":{"message":"no","type":"invalid_request_error","param":"model","code":"unsupported_model_capability"}})"));
    EXPECT_EQ(error_code(send(call("POST", "/v1/embeddings", R"({"model":"tiny","input":"a"})")), 400), "unsupported_model_capability");
}

TEST_F(RelayTest, AStreamComesEventByEventWithoutUnaskedUsage) {
    ScriptedEngine& engine = serve(streams({data(chunk("a")), data(chunk("b")) + data(kFinish), data(kUsage), kDone}));
    const auto response = chat(true);
    EXPECT_EQ(response.status, 200);
    EXPECT_THAT(std::string(response.headers.get("content-type")), StartsWith("text/event-stream"));
    EXPECT_EQ(response.body, data(chunk("a")) + data(chunk("b")) + data(kFinish) + kDone);
    EXPECT_TRUE(parse_json(engine.seen()[0].body)->at("stream_options").at("include_usage").as_bool());
    const UsageRecord& record = records(1)[0];
    EXPECT_EQ(record.prompt_tokens, 11u);
    EXPECT_EQ(record.cached_tokens, 8u);
    EXPECT_EQ(record.completion_tokens, 2u);
    EXPECT_FALSE(record.estimated || record.aborted);
}

TEST_F(RelayTest, AStreamComesWithUsageForThoseWhoAsk) {
    serve(streams({data(chunk("a")), data(kUsage) + kDone}));
    EXPECT_EQ(chat(true, kAskUsage).body, data(chunk("a")) + data(kUsage) + kDone);
}

TEST_F(RelayTest, ConnectionsToEnginesAreReused) {
    ScriptedEngine& engine = serve(streams({data(chunk("a")), kDone}));
    for (int i = 0; i < 5; ++i) EXPECT_THAT(chat(true).body, EndsWith(kDone));
    EXPECT_EQ(engine.connections(), 1u);
    EXPECT_TRUE(eventually([&] { return in_flight("ins_0") == 0; }));
}

TEST_F(RelayTest, EnginesOfOthersAnswerUnderThePublicName) {
    std::string foreign = kAnswer;
    foreign.replace(foreign.find("tiny"), 4, "/models/secret/path.gguf");
    serve(answers(200, foreign), BackendKind::kLlamaServer);
    const auto response = chat(false);
    EXPECT_EQ(response.body, kAnswer) << "all else byte for byte";
}

TEST_F(RelayTest, StreamsOfOthersAreUnderThePublicNameToo) {
    serve(streams({data(R"({"model":"/secret.gguf","choices":[{"index":0,"delta":{"content":"x"}}],"usage":null})"), kDone}),
          BackendKind::kCustom);
    EXPECT_EQ(chat(true).body, data(R"({"model":"tiny","choices":[{"index":0,"delta":{"content":"x"}}]})") + kDone);
    EXPECT_TRUE(records(1)[0].estimated);
    EXPECT_EQ(records(1)[0].completion_tokens, 1u);
}

// F15: whatever an engine sends in a stream, the client gets whole frames, then an error and no [DONE].
struct BrokenStream {
    const char* what;
    ScriptedEngine::Script script;
    std::string before;   // what comes through
    std::string code;
};
class RelayBroken : public GatewayRig, public testing::WithParamInterface<size_t> {
public:
    static std::vector<BrokenStream> cases() {
        const std::string a = data(chunk("a"));
        return {
            {"dies", streams_and_dies({a}), a, "engine_crashed"},
            {"dies at once", streams_and_dies({}), "", "engine_crashed"},
            {"dies inside an event", streams_and_dies({a, "data: {\"choices\":["}), a, "engine_crashed"},
            {"ends without [DONE]", streams({a, data(kFinish)}), a + data(kFinish), "engine_crashed"},
            {"ends inside an event", streams({a, "data: {\"choi"}), a, "engine_crashed"},
            {"garbage", streams({a, "data: \x01\x02garbage\n\n", a, kDone}), a, "engine_crashed"},
            {"no UTF-8", streams({a, data("{\"choices\":\"\xc3\x28\"}"), kDone}), a, "engine_crashed"},
            {"two objects", streams({a, data("{}{}"), kDone}), a, "engine_crashed"},
            {"an array", streams({a, data("[]"), kDone}), a, "engine_crashed"},
            {"a line without an end", streams({a, "data: " + std::string(3u << 20, 'x')}), a, "engine_crashed"},
            {"no lines at all", streams({a, std::string(2u << 20, 'y')}), a, "engine_crashed"},
            {"an HTML page", streams({"<html>\n<body>oops</body>\n\n"}), "", "engine_crashed"},
            {"its own error", streams({a, data(R"({"error":{"message":"out of memory","code":"oom"}})"), kDone}), a, "oom"},
            {"an error event", streams({a, "event: error\ndata: {\"error\":{\"message\":\"bad\"}}\n\n"}), a, "internal_error"},
            {"stalls", stalls({a}), a, "upstream_timeout"},
        };
    }
};

TEST_P(RelayBroken, EndsInAnErrorWithoutDone) {
    const BrokenStream c = cases()[GetParam()];
    SCOPED_TRACE(c.what);
    options_.idle_timeout = 300ms;
    serve(c.script);
    const auto response = chat(true);
    EXPECT_EQ(response.status, 200);
    ASSERT_THAT(response.body, StartsWith(c.before));
    const std::string rest = response.body.substr(c.before.size());
    ASSERT_THAT(rest, StartsWith("data: {\"error\":{"));
    ASSERT_THAT(rest, EndsWith("}\n\n"));
    EXPECT_THAT(response.body, Not(HasSubstr("[DONE]")));
    const auto error = parse_json(std::string_view(rest).substr(6, rest.size() - 8));
    ASSERT_TRUE(error.ok()) << rest;
    EXPECT_EQ(error->at("error").as_object().size(), 4u);
    EXPECT_EQ(error->at("error").at("code").as_string(), c.code);
    EXPECT_TRUE(records(1)[0].estimated);
    EXPECT_TRUE(eventually([&] { return in_flight("ins_0") == 0; }));
}
INSTANTIATE_TEST_SUITE_P(All, RelayBroken, testing::Range<size_t>(0, RelayBroken::cases().size()));

TEST_F(RelayTest, OddButValidFramesAreTidied) {
    const std::string crlf = "data: " + chunk("a") + "\r\n\r\n";
    const std::string no_space = "event: message\nid: 7\nretry: 1\ndata:" + chunk("b") + "\n\n";
    std::vector<std::string> pieces;
    for (const char c : crlf + ": comment\n\n" + no_space + kDone + data(chunk("late")) + kDone) pieces.emplace_back(1, c);
    serve(streams(pieces));
    const auto response = chat(true);
    std::string body = response.body;
    for (size_t ping; (ping = body.find(": ping\n\n")) != std::string::npos;) body.erase(ping, 8);
    EXPECT_EQ(body, data(chunk("a")) + data(chunk("b")) + kDone);
}

TEST_F(RelayTest, PingsPassOn) {
    serve(stalls({": busy with the prompt\n\n"}));
    http::RawClient client(port_);
    ASSERT_TRUE(client.send(raw_chat(true)));
    EXPECT_THAT(client.read_until(": ping\n\n"), HasSubstr(": ping\n\n"));
}

// Before the first byte an honest status is possible.
TEST_F(RelayTest, WhatIsNoAnswerIsA502) {
    struct Case {
        bool stream;
        ScriptedEngine::Script script;
    };
    const std::string error = R"({"error":{"message":"it said","type":"x","code":null}})";
    for (const Case& c : std::vector<Case>{{false, answers(200, error)},
                                           {false, answers(200, "<html>")},
                                           {false, answers(200, "")},
                                           {false, answers(200, "[]")},
                                           {false, answers(200, "{}")},
                                           {false, answers(204, "")},
                                           {false, answers(302, "", {{"location", "http://127.0.0.1/"}})},
                                           {false, answers(401, error)},
                                           {false, answers(403, error)},
                                           {false, streams_and_dies({"{\"choices\":"})},
                                           {true, answers(200, error)},
                                           {true, answers(200, kAnswer)},
                                           {true, streams({"hello"}, "text/html")},
                                           {true, streams({"hello"}, "text/event-streamer")}}) {
        ScriptedEngine& one = engine(c.script);
        const std::string number = std::to_string(engines_.size());
        model("m" + number, {target_of("ins_" + number, one.endpoint())});
    }
    start();
    for (size_t i = 1; i <= engines_.size(); ++i) {
        const auto response = chat(i > 10, {}, "m" + std::to_string(i));
        error_code(response, 502);
        EXPECT_EQ(response.headers.count("location"), 0u);
    }
    EXPECT_THAT(chat(false, {}, "m1").body, HasSubstr("it said"));
}

TEST_F(RelayTest, TheEnginesRefusalIsPassedOnInOurShape) {
    const std::string error = R"({"error":{"message":"prompt too long: 9000 > 8192","type":"invalid_request_error","param":"messages","code":"context_length_exceeded","extra":1}})";
    ScriptedEngine& bad = engine(answers(400, error));
    ScriptedEngine& busy = engine(answers(429, error, {{"retry-after", "7"}, {"x-internal", "secret"}}));
    ScriptedEngine& vague = engine(answers(500, "Internal Server Error at /opt/engine.py"));
    model("bad", {target_of("ins_0", bad.endpoint())});
    model("busy", {target_of("ins_1", busy.endpoint())});
    model("vague", {target_of("ins_2", vague.endpoint())});
    start();
    for (const bool stream : {false, true}) {
        const auto response = chat(stream, {}, "bad");
        EXPECT_EQ(error_code(response, 400), "context_length_exceeded");
        EXPECT_THAT(response.body, HasSubstr("9000 > 8192"));
        const auto limited = chat(stream, {}, "busy");
        error_code(limited, 429);
        EXPECT_EQ(limited.headers.get("retry-after"), "7");
        EXPECT_EQ(limited.headers.count("x-internal"), 0u);
        const auto failed = chat(stream, {}, "vague");
        error_code(failed, 500);
        EXPECT_THAT(failed.body, Not(HasSubstr("/opt")));
    }
}

TEST_F(RelayTest, AnEngineThatNeverAnswersIsA504) {
    options_.answer_timeout = 200ms;
    serve(stalls({}));
    EXPECT_EQ(error_code(chat(false), 504), "upstream_timeout");
    EXPECT_EQ(error_code(chat(true), 504), "upstream_timeout");
}

// P6.
TEST_F(RelayTest, AnotherInstanceIsTriedBeforeTheFirstByteOnly) {
    ScriptedEngine& good = engine(streams({data(chunk("a")), kDone}));
    ScriptedEngine& busy = engine(answers(503, "{}"));
    ScriptedEngine& gateway_error = engine(answers(502, "{}"));
    ScriptedEngine& dying = engine(streams_and_dies({data(chunk("x"))}));
    ScriptedEngine& spare = engine(streams({data(chunk("y")), kDone}));
    const Target gone = target_of("ins_gone", "unix:" + (dir_ / "nobody").string());
    model("retried", {gone, target_of("ins_busy", busy.endpoint()), target_of("ins_502", gateway_error.endpoint()),
                      target_of("ins_good", good.endpoint())});
    model("broken", {target_of("ins_dying", dying.endpoint())});
    start();
    for (int i = 0; i < 6; ++i) EXPECT_EQ(chat(true, {}, "retried").body, data(chunk("a")) + kDone);
    EXPECT_EQ(good.seen().size(), 6u);
    EXPECT_EQ(records(6)[5].instance_id.text, "ins_good");
    EXPECT_LE(busy.seen().size(), 2u) << "a suspect is not asked each time";

    EXPECT_THAT(chat(true, {}, "broken").body, HasSubstr("engine_crashed"));
    routes_.models["broken"].targets.push_back(target_of("ins_spare", spare.endpoint()));
    tables_.set(routes_);
    // The dying one is suspect now; make it the only choice that is not tried yet by asking until it is used again.
    const size_t before = dying.seen().size();
    EXPECT_EQ(chat(true, {}, "broken").body, data(chunk("y")) + kDone);
    EXPECT_EQ(dying.seen().size(), before);
}

TEST_F(RelayTest, ADeadlineThatPassedIsNotTheEnginesFault) {
    const std::string late = R"({"error":{"message":"late","type":"server_error","param":"deadline_ms","code":"deadline_exceeded"}})";
    ScriptedEngine& streaming = engine(streams({data(chunk("a")), data(late)}));
    ScriptedEngine& other = engine(streams({data(chunk("a")), kDone}));
    ScriptedEngine& whole = engine(answers(504, late));
    model("streamed", {target_of("ins_0", streaming.endpoint()), target_of("ins_1", other.endpoint())});
    model("whole", {target_of("ins_2", whole.endpoint())});
    start();
    const auto refused = chat(false, R"(,"deadline_ms":5,"cache_salt":"s","service_tier":"priority","priority":-1)", "whole");
    EXPECT_EQ(error_code(refused, 504), "deadline_exceeded");
    EXPECT_EQ(refused.headers.get("x-should-retry"), "false");
    EXPECT_EQ(whole.seen().size(), 1u) << "no other try";
    const json::object seen = parse_json(whole.seen()[0].body)->as_object();
    EXPECT_EQ(seen.at("deadline_ms"), 5);
    EXPECT_EQ(seen.at("cache_salt"), "s");
    EXPECT_EQ(seen.at("service_tier"), "default");
    EXPECT_EQ(seen.at("priority"), 0);
    size_t ended = 0;
    for (int i = 0; i < 6; ++i) {
        const std::string body = chat(true, {}, "streamed").body;
        EXPECT_THAT(body, testing::AnyOf(HasSubstr("deadline_exceeded"), EndsWith(kDone)));
        ended += body.find("deadline_exceeded") != std::string::npos ? 1 : 0;
    }
    EXPECT_GE(ended, 2u) << "it is asked as before, for it is no suspect";
}

TEST_F(RelayTest, AWholeAnswerThatBreaksOffIsAskedOfAnother) {
    ScriptedEngine& dying = engine(streams_and_dies({"{\"choices\":"}));
    ScriptedEngine& good = engine(answers(200, kAnswer));
    model("tiny", {target_of("ins_0", dying.endpoint()), target_of("ins_1", good.endpoint())});
    start();
    for (int i = 0; i < 4; ++i) EXPECT_EQ(chat(false).status, 200) << "nothing of the first one's has gone out";
    EXPECT_EQ(good.seen().size(), 4u);
    EXPECT_GE(dying.seen().size(), 1u);
    EXPECT_EQ(records(4)[3].instance_id.text, "ins_1");
}

TEST_F(RelayTest, ABrokenStreamIsNotBegunAgainElsewhere) {
    ScriptedEngine& dying = engine(streams_and_dies({data(chunk("x"))}));
    ScriptedEngine& other = engine(streams_and_dies({data(chunk("x"))}));
    model("tiny", {target_of("ins_0", dying.endpoint()), target_of("ins_1", other.endpoint())});
    start();
    EXPECT_THAT(chat(true).body, HasSubstr("engine_crashed"));
    EXPECT_EQ(dying.seen().size() + other.seen().size(), 1u);
}

TEST_F(RelayTest, WithNoEngineLeftItIsA502WithRetryAfter) {
    model("tiny", {target_of("ins_0", "unix:" + (dir_ / "a").string()), target_of("ins_1", "unix:" + (dir_ / "b").string())});
    start();
    const auto response = chat(true);
    EXPECT_EQ(error_code(response, 502), "engine_crashed");
    EXPECT_FALSE(response.headers.get("retry-after").empty());
    EXPECT_THAT(response.body, Not(HasSubstr(dir_.string())));
}

TEST_F(RelayTest, AFullQueueIsA429AtOnce) {
    options_.queue_limit = 1;
    ScriptedEngine& engine = serve(stalls({data(chunk("a"))}));
    http::RawClient first(port_);
    ASSERT_TRUE(first.send(raw_chat(true)));
    EXPECT_FALSE(first.read_until(data(chunk("a"))).empty());
    const auto begun = std::chrono::steady_clock::now();
    const auto refused = chat(true);
    EXPECT_LT(std::chrono::steady_clock::now() - begun, 1s) << "it waits for nothing";
    EXPECT_EQ(error_code(refused, 429), "queue_full");
    EXPECT_FALSE(refused.headers.get("retry-after").empty());
    EXPECT_EQ(engine.seen().size(), 1u);
}

TEST_F(RelayTest, AfterFailuresInARowTheEngineIsGivenARest) {
    ScriptedEngine& engine = serve(streams_and_dies({data(chunk("x"))}));
    for (int i = 0; i < 3; ++i) EXPECT_THAT(chat(true).body, HasSubstr("engine_crashed"));
    const auto refused = chat(true);
    EXPECT_EQ(error_code(refused, 503), "circuit_open");
    EXPECT_FALSE(refused.headers.get("retry-after").empty());
    EXPECT_EQ(engine.seen().size(), 3u);
    EXPECT_TRUE(eventually([&] { return chat(true).status == 200 && engine.seen().size() == 4; }, 10s)) << "then one tries";
}

TEST_F(RelayTest, PromptsOfOneBeginningGoToOneInstance) {
    std::vector<Target> targets;
    for (int i = 0; i < 3; ++i) {
        targets.push_back(target_of("ins_" + std::to_string(i), engine(streams({data(chunk("a")), data(kUsage), kDone})).endpoint()));
    }
    model("tiny", targets);
    start();
    const std::string beginning(2000, 's');
    for (int i = 0; i < 9; ++i) {
        const std::string body = R"({"model":"tiny","stream":true,"messages":[{"role":"system","content":")" + beginning +
                                 R"("},{"role":"user","content":"question )" + std::to_string(i) + R"("}]})";
        EXPECT_EQ(send(call("POST", "/v1/chat/completions", body)).status, 200);
    }
    size_t most = 0;
    for (const auto& one : engines_) most = std::max(most, one->seen().size());
    EXPECT_EQ(most, 9u);
}

TEST_F(RelayTest, ARoutesFallbackAnswersUnderTheRoutesName) {
    ScriptedEngine& bad = engine(answers(500, "{}"));
    ScriptedEngine& good = engine(answers(200, kAnswer));
    model("bad", {target_of("ins_bad", bad.endpoint())});
    model("good", {target_of("ins_good", good.endpoint())}, BackendKind::kLlamaServer);
    Route route;
    route.name = "public";
    route.targets = {{"bad", 1}};
    route.fallback = "good";
    routes_.routes["public"] = route;
    start();
    const auto response = chat(false, {}, "public");
    EXPECT_EQ(response.status, 200) << response.body;
    EXPECT_EQ(parse_json(response.body)->at("model").as_string(), "public");
    EXPECT_EQ(bad.seen().size(), 1u);
    const UsageRecord& record = records(1)[0];
    EXPECT_EQ(record.model, "public");
    EXPECT_EQ(record.instance_id.text, "ins_good");
    EXPECT_EQ(error_code(chat(false, {}, "bad"), 500), "internal_error") << "asked by its own name there is no other";
    const auto list = parse_json(get("/v1/models").body);
    EXPECT_EQ(list->at("data").as_array().size(), 3u);
    EXPECT_EQ(get("/v1/models/public").status, 200);
}

// F14, P5, P12.
class RelayClientGone : public GatewayRig, public testing::WithParamInterface<int> {};

TEST_P(RelayClientGone, CancelsTheEngineAtOnceAndIsCounted) {
    const bool mid_stream = GetParam() == 0;
    const bool stream = GetParam() != 2;
    ScriptedEngine& engine = serve(mid_stream ? stalls({data(chunk("a")), data(chunk("b"))}) : stalls({}));
    {
        http::RawClient client(port_);
        ASSERT_TRUE(client.send(raw_chat(stream)));
        if (mid_stream) {
            EXPECT_FALSE(client.read_until(data(chunk("b"))).empty());
        }
        ASSERT_TRUE(eventually([&] { return engine.running() == 1 && in_flight("ins_0") == 1; }));
    }
    const auto left = std::chrono::steady_clock::now();
    EXPECT_TRUE(eventually([&] { return engine.running() == 0 && in_flight("ins_0") == 0; }));
    EXPECT_LT(std::chrono::steady_clock::now() - left, 1s);
    const UsageRecord& record = records(1)[0];
    EXPECT_TRUE(record.aborted && record.estimated);
    EXPECT_EQ(record.completion_tokens, mid_stream ? 2u : 0u);
    EXPECT_EQ(record.status, mid_stream ? 200 : 499);
}
INSTANTIATE_TEST_SUITE_P(All, RelayClientGone, testing::Values(0, 1, 2));

Task<void> endless(Exchange& exchange, ScriptedEngine&) {
    Headers headers;
    headers.set("content-type", "text/event-stream");
    co_await exchange.start_stream(200, std::move(headers));
    const std::string piece = data(chunk(std::string(1000, 'x')));
    bool going = true;
    while (going) going = co_await exchange.write(piece);
}

TEST_F(RelayTest, AClientThatLeavesAnEndlessStreamFreesTheEngine) {
    ScriptedEngine& engine = serve(endless);
    for (int i = 0; i < 20; ++i) {
        http::RawClient client(port_);
        ASSERT_TRUE(client.send(raw_chat(true)));
        EXPECT_FALSE(client.read_until("xxx").empty());
    }
    EXPECT_TRUE(eventually([&] { return engine.running() == 0 && in_flight("ins_0") == 0; }, 1s));
    for (const UsageRecord& record : records(20)) {
        EXPECT_TRUE(record.aborted);
        EXPECT_GT(record.completion_tokens, 0u);
    }
}

size_t lines_of(const std::filesystem::path& file) {
    std::ifstream journal(file);
    return static_cast<size_t>(std::count(std::istreambuf_iterator<char>(journal), {}, '\n'));
}

// The record is on its way to the disk before the client can see the end.
TEST_F(RelayTest, TheRecordIsWrittenBeforeTheEnd) {
    serve(streams({data(chunk("a")), kDone}));
    for (size_t i = 1; i <= 50; ++i) {
        http::RawClient client(port_);
        ASSERT_TRUE(client.send(raw_chat(true)));
        ASSERT_FALSE(client.read_until("[DONE]").empty());
        EXPECT_EQ(lines_of(dir_ / "journal" / "usage-1.jsonl"), i);
    }
}

TEST_F(RelayTest, TheRecordIsWrittenBeforeAWholeAnswer) {
    serve(answers(200, kAnswer));
    for (size_t i = 1; i <= 50; ++i) {
        ASSERT_EQ(chat(false).body, kAnswer);
        EXPECT_EQ(lines_of(dir_ / "journal" / "usage-1.jsonl"), i);
    }
}

Task<void> answer_together(Exchange& exchange, std::shared_ptr<std::atomic<int>> awaited) {
    --*awaited;
    while (*awaited > 0) co_await http::sleep_for(1ms);
    std::vector<std::string> pieces = {data(chunk("a")), data(kUsage), kDone};
    co_await write_all(exchange, std::move(pieces), "text/event-stream", true);
}

TEST_F(RelayTest, ManyAtOnceSpreadOverInstances) {
    const auto awaited = std::make_shared<std::atomic<int>>(12);
    std::vector<Target> targets;
    for (int i = 0; i < 3; ++i) {
        const auto script = [=](Exchange& exchange, ScriptedEngine&) { return answer_together(exchange, awaited); };
        targets.push_back(target_of("ins_" + std::to_string(i), engine(script).endpoint()));
    }
    model("tiny", targets);
    start();
    std::atomic<int> good = 0;
    {
        std::vector<std::jthread> clients;
        for (int i = 0; i < 12; ++i) {
            clients.emplace_back([&] { good += chat(true).body == data(chunk("a")) + kDone; });
        }
    }
    EXPECT_EQ(good, 12);
    for (const auto& one : engines_) EXPECT_EQ(one->seen().size(), 4u);
    EXPECT_EQ(records(12).size(), 12u);
}

}  // namespace
}  // namespace gantry::gateway
