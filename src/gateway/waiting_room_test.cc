// Requests to models that are asleep, end to end: held, woken for once, answered, or told why not.

#include "gateway/waiting_room.h"

#include <future>

#include "gateway/gateway_test_support.h"

namespace gantry::gateway {
namespace {

using testing::HasSubstr;
using testing::Not;

class WaitingRoomTest : public GatewayRig {
protected:
    // A model "tiny" that is asleep, and its engine to be.
    ScriptedEngine& asleep(ScriptedEngine::Script script) {
        engine_ = &engine(std::move(script));
        model("tiny", {}).not_ready_reason = "asleep, a request wakes it";
        routes_.models["tiny"].holds = true;
        options_.wake = [this](const DeploymentId&, const WokenBy& by) {
            const std::lock_guard lock(mutex_);
            woken_by_.push_back(by);
        };
        return *engine_;
    }
    ScriptedEngine& asleep_and_started(ScriptedEngine::Script script) {
        ScriptedEngine& one = asleep(std::move(script));
        start();
        return one;
    }
    void awakes() {
        ModelEntry& entry = routes_.models["tiny"];
        entry.targets = {target_of("ins_0", engine_->endpoint())};
        entry.holds = false;
        tables_.set(routes_);
    }
    void fails(const std::string& reason) {
        ModelEntry& entry = routes_.models["tiny"];
        entry.not_ready_reason = reason;
        entry.holds = false;
        tables_.set(routes_);
    }
    void TearDown() override {
        for (std::thread& thread : clients_) thread.join();
        GatewayRig::TearDown();
    }
    // On a thread of its own.
    std::future<http::SimpleResponse> ask(bool stream, const std::string& path = "/v1/chat/completions", std::string body = {}) {
        if (body.empty()) body = chat_body(stream);
        std::packaged_task<http::SimpleResponse()> task([this, path, body] { return send(call("POST", path, body)); });
        auto answer = task.get_future();
        clients_.emplace_back(std::move(task));
        return answer;
    }
    http::SimpleResponse post(const std::string& path, const std::string& body) { return send(call("POST", path, body)); }
    std::vector<LiveRequest> live() {
        return on_io([](const LiveRequests& all) { return all.list({}, system_clock().steady()).items; });
    }
    // A request is in the list from its beginning on, and on that thread in the same go held.
    bool held(size_t count) {
        return eventually([&] { return live().size() == count; });
    }
    std::vector<WokenBy> woken_by() {
        const std::lock_guard lock(mutex_);
        return woken_by_;
    }
    static double wakes_counted() {
        const std::string name = "gantry_gateway_wake_seconds_count{model=\"tiny\"} ";
        const std::string text = metrics::text();
        const size_t at = text.find(name);
        return at == std::string::npos ? 0 : std::stod(text.substr(at + name.size()));
    }

    ScriptedEngine* engine_ = nullptr;

private:
    std::vector<std::thread> clients_;
    std::mutex mutex_;
    std::vector<WokenBy> woken_by_;
};

TEST_F(WaitingRoomTest, ARequestWakesItAndIsAnswered) {
    ScriptedEngine& engine = asleep_and_started(answers(200, kAnswer));
    const double before = wakes_counted();
    auto answer = ask(false);
    ASSERT_TRUE(held(1));
    EXPECT_EQ(live()[0].state, RequestState::kQueued);
    ASSERT_EQ(woken_by().size(), 1u);
    EXPECT_EQ(woken_by()[0].user_name, "ann");
    EXPECT_EQ(woken_by()[0].key_id.text, "key_1");
    EXPECT_EQ(woken_by()[0].request_id, live()[0].id);
    EXPECT_TRUE(engine.seen().empty());
    tables_.set(routes_);   // something else changed
    EXPECT_TRUE(held(1));
    awakes();
    EXPECT_EQ(answer.get().status, 200);
    EXPECT_EQ(engine.seen().size(), 1u);
    EXPECT_EQ(records(1)[0].instance_id.text, "ins_0");
    EXPECT_EQ(wakes_counted(), before + 1);
    EXPECT_EQ(chat(false).status, 200) << "awake it stays";
    EXPECT_EQ(woken_by().size(), 1u);
}

TEST_F(WaitingRoomTest, ManyAtOnceWakeItOnce) {
    ScriptedEngine& engine = asleep_and_started(answers(200, kAnswer));
    std::vector<std::future<http::SimpleResponse>> all;
    for (int i = 0; i < 20; ++i) all.push_back(ask(false));
    ASSERT_TRUE(held(20));
    awakes();
    for (auto& one : all) EXPECT_EQ(one.get().status, 200);
    EXPECT_EQ(woken_by().size(), 1u);
    EXPECT_EQ(engine.seen().size(), 20u);
}

TEST_F(WaitingRoomTest, AStreamBeginsAtOnceAndPings) {
    asleep(streams({data(chunk("he")), data(kFinish), data(kUsage), kDone}));
    options_.hold_ping_every = 5ms;
    start();
    http::RawClient client(port_);
    ASSERT_TRUE(client.send(raw_chat(true)));
    const std::string head = client.read_until(": ping\n\n");
    EXPECT_THAT(head, HasSubstr("HTTP/1.1 200"));
    EXPECT_THAT(head, HasSubstr("text/event-stream"));
    EXPECT_THAT(client.read_until(": ping\n\n"), Not(HasSubstr("data:")));
    awakes();
    EXPECT_THAT(client.read_until(kDone), HasSubstr(data(chunk("he"))));
    EXPECT_EQ(records(1)[0].completion_tokens, 2u);
}

TEST_F(WaitingRoomTest, PastItsTimeItIsToldToComeAgain) {
    ScriptedEngine& engine = asleep(answers(200, kAnswer));
    options_.hold_timeout = 30ms;
    start();
    const auto refused = chat(false);
    EXPECT_EQ(error_code(refused, 503), "model_waking");
    EXPECT_EQ(refused.headers.get("retry-after"), "5");
    EXPECT_THAT(refused.body, HasSubstr("asleep, a request wakes it"));
    const auto stream = chat(true);
    EXPECT_EQ(stream.status, 200);
    EXPECT_THAT(stream.body, HasSubstr(": ping\n\ndata: {\"error\":{\"message\":\"The model 'tiny' was asleep"));
    EXPECT_THAT(stream.body, HasSubstr("\"code\":\"model_waking\""));
    EXPECT_THAT(stream.body, Not(HasSubstr("[DONE]")));
    EXPECT_TRUE(engine.seen().empty());
    EXPECT_EQ(records(2)[0].status, 503);
    EXPECT_TRUE(live().empty());
}

TEST_F(WaitingRoomTest, WhyItCantBeWokenIsSaidAtOnce) {
    asleep_and_started(answers(200, kAnswer));
    auto whole = ask(false);
    auto stream = ask(true);
    ASSERT_TRUE(held(2));
    fails("no worker has room for it");
    const auto refused = whole.get();
    EXPECT_EQ(error_code(refused, 503), "no_ready_instance");
    EXPECT_THAT(refused.body, HasSubstr("no worker has room for it"));
    EXPECT_FALSE(refused.headers.get("retry-after").empty());
    EXPECT_THAT(stream.get().body, HasSubstr("no worker has room for it"));
    EXPECT_EQ(error_code(chat(false), 503), "no_ready_instance") << "nobody is held for that";
}

TEST_F(WaitingRoomTest, StoppedOrGoneMeanwhile) {
    asleep_and_started(answers(200, kAnswer));
    auto first = ask(false);
    ASSERT_TRUE(held(1));
    routes_.models["tiny"].stopped = true;
    tables_.set(routes_);
    EXPECT_EQ(error_code(first.get(), 503), "model_stopped");
    ASSERT_TRUE(held(0));
    routes_.models["tiny"].stopped = false;
    tables_.set(routes_);
    auto second = ask(false);
    ASSERT_TRUE(held(1));
    const ModelEntry old = routes_.models["tiny"];
    routes_.models["tiny"].deployment_id = DeploymentId("another");
    tables_.set(routes_);
    EXPECT_EQ(error_code(second.get(), 503), "no_ready_instance") << "of the same name, and not what was asked for";
    ASSERT_TRUE(held(0));
    routes_.models["tiny"] = old;
    tables_.set(routes_);
    auto third = ask(false);
    ASSERT_TRUE(held(1));
    routes_.models.clear();
    tables_.set(routes_);
    EXPECT_EQ(error_code(third.get(), 404), "model_not_found");
}

TEST_F(WaitingRoomTest, AClientThatLeavesGivesUpItsPlace) {
    asleep(answers(200, kAnswer));
    options_.queue_limit = 1;
    start();
    for (const bool stream : {false, true}) {
        http::RawClient client(port_);
        ASSERT_TRUE(client.send(raw_chat(stream)));
        ASSERT_TRUE(held(1));
        EXPECT_EQ(error_code(chat(false), 429), "queue_full");
        client.close();
        ASSERT_TRUE(held(0));
    }
    auto last = ask(false);
    ASSERT_TRUE(held(1));
    awakes();
    EXPECT_EQ(last.get().status, 200);
    EXPECT_EQ(woken_by().size(), 3u) << "whoever comes into an empty room asks for it";
    size_t left = 0;
    for (const UsageRecord& record : records(5)) left += record.status == 499 ? 1 : 0;
    EXPECT_EQ(left, 2u);
}

TEST_F(WaitingRoomTest, BeyondTheQueueItIsA429) {
    asleep(answers(200, kAnswer));
    options_.queue_limit = 2;
    start();
    auto first = ask(false);
    auto second = ask(false);
    ASSERT_TRUE(held(2));
    const auto refused = chat(true);
    EXPECT_EQ(error_code(refused, 429), "queue_full") << "its answer had not begun";
    EXPECT_FALSE(refused.headers.get("retry-after").empty());
    awakes();
    EXPECT_EQ(first.get().status, 200);
    EXPECT_EQ(second.get().status, 200);
}

TEST_F(WaitingRoomTest, WhoIsHeldCanBeCancelled) {
    asleep_and_started(answers(200, kAnswer));
    const auto cancel = [this] {
        const std::string id = live().at(0).id;
        on_io([&id](LiveRequests& all) {
            const Error why{ErrorCode::kCancelled, "stop that", {}, "cancelled_by_admin"};
            return all.cancel(id, {}, why, system_clock().steady()).has_value();
        });
    };
    auto whole = ask(false);
    ASSERT_TRUE(held(1));
    cancel();
    EXPECT_EQ(error_code(whole.get(), 499), "cancelled_by_admin");
    ASSERT_TRUE(held(0));
    auto stream = ask(true);
    ASSERT_TRUE(held(1));
    cancel();
    EXPECT_THAT(stream.get().body, HasSubstr("cancelled_by_admin"));
}

TEST_F(WaitingRoomTest, BehindAClosedDoorARequestWaitsWhateverTheTablesSay) {
    ScriptedEngine& engine = asleep(stalls({data(chunk("a"))}));
    awakes();
    start();
    const auto close = [this] {
        return on_gateway([](Gateway& gateway) { return gateway.activity().close_idle({{DeploymentId(), Duration(0)}}).size(); });
    };
    {
        http::RawClient busy(port_);
        ASSERT_TRUE(busy.send(raw_chat(true)));
        EXPECT_FALSE(busy.read_until(data(chunk("a"))).empty());
        EXPECT_EQ(close(), 0u) << "nothing is slept under";
    }
    ASSERT_TRUE(held(0));
    EXPECT_EQ(close(), 1u);
    http::RawClient client(port_);
    ASSERT_TRUE(client.send(raw_chat(true)));
    ASSERT_TRUE(held(1));
    EXPECT_EQ(engine.seen().size(), 1u);
    EXPECT_EQ(woken_by().size(), 1u);
    EXPECT_EQ(close(), 0u);
    on_gateway([](Gateway& gateway) {
        gateway.activity().open({DeploymentId()});
        return true;
    });
    EXPECT_THAT(client.read_until(data(chunk("a"))), HasSubstr(": ping"));
    EXPECT_EQ(engine.seen().size(), 2u);
}

TEST_F(WaitingRoomTest, TheOtherApisAreHeldTooAndToldInTheirWords) {
    ScriptedEngine& engine = asleep(answers(200, R"({"object":"list","data":[],"model":"tiny","usage":{"prompt_tokens":1,"total_tokens":1}})"));
    options_.hold_timeout = 30ms;
    start();
    const auto messages = post("/v1/messages", R"({"model":"tiny","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]})");
    EXPECT_EQ(messages.status, 200);
    EXPECT_THAT(messages.body, HasSubstr("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\""));
    const auto responses = post("/v1/responses", R"({"model":"tiny","input":"hi","stream":true})");
    EXPECT_THAT(responses.body, HasSubstr("event: response.failed\n"));
    const auto whole = post("/v1/messages", R"({"model":"tiny","max_tokens":9,"messages":[{"role":"user","content":"hi"}]})");
    EXPECT_EQ(whole.status, 503);
    EXPECT_EQ(whole.headers.get("retry-after"), "5");
    EXPECT_THAT(whole.body, HasSubstr("overloaded_error"));
    EXPECT_TRUE(engine.seen().empty());
}

TEST_F(WaitingRoomTest, EmbeddingsWait) {
    asleep_and_started(answers(200, R"({"object":"list","data":[],"model":"tiny","usage":{"prompt_tokens":1,"total_tokens":1}})"));
    auto vectors = ask(false, "/v1/embeddings", R"({"model":"tiny","input":"hi"})");
    ASSERT_TRUE(held(1));
    awakes();
    EXPECT_EQ(vectors.get().status, 200);
}

TEST_F(WaitingRoomTest, AnEnginesRefusalOfAStreamThatHasBegunIsAnEvent) {
    asleep_and_started(answers(400, R"({"error":{"message":"too long a prompt","code":"context_length_exceeded"}})"));
    auto stream = ask(true);
    ASSERT_TRUE(held(1));
    awakes();
    const auto answer = stream.get();
    EXPECT_EQ(answer.status, 200);
    EXPECT_THAT(answer.body, HasSubstr("too long a prompt"));
    EXPECT_THAT(answer.body, Not(HasSubstr("[DONE]")));
}

TEST_F(WaitingRoomTest, ARoutesFallbackAnswersForWhatDoesNotWake) {
    asleep(answers(200, kAnswer));
    options_.hold_timeout = 30ms;
    model("spare", {target_of("ins_1", engine(streams({data(chunk("spare")), kDone})).endpoint())});
    routes_.routes["public"] = Route{.name = "public", .targets = {{"tiny", 1}}, .fallback = "spare"};
    start();
    const auto answer = chat(true, {}, "public");
    EXPECT_THAT(answer.body, HasSubstr("spare"));
    EXPECT_THAT(answer.body, HasSubstr("[DONE]"));
    EXPECT_EQ(woken_by().size(), 1u);
}

TEST_F(WaitingRoomTest, WhenTheServerStopsNobodyWaits) {
    asleep_and_started(answers(200, kAnswer));
    auto first = ask(false);
    ASSERT_TRUE(held(1));
    on_gateway([](Gateway& gateway) {
        gateway.end_holds();
        return true;
    });
    EXPECT_EQ(error_code(first.get(), 503), "server_stopping");
    EXPECT_EQ(error_code(chat(false), 503), "server_stopping");
}

TEST_F(WaitingRoomTest, ItIsListedAsleep) {
    asleep_and_started(answers(200, kAnswer));
    const auto list = parse_json(get("/v1/models").body);
    ASSERT_EQ(list->at("data").as_array().size(), 1u);
    EXPECT_EQ(list->at("data").at(0).at("meta").at("not_ready_reason").as_string(), "asleep, a request wakes it");
    EXPECT_EQ(get("/v1/models/tiny").status, 200);
}

}  // namespace
}  // namespace gantry::gateway
