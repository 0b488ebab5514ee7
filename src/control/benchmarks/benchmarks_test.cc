// Benchmarks through the API, against a server elsewhere that does as the test says.
#include "control/benchmarks/benchmarks.h"

#include "control/control_test_support.h"

namespace gantry::control {
namespace {

// OpenAI-compatible: answers with three tokens and their usage.
class Elsewhere {
public:
    Elsewhere() {
        http::Route route;
        route.method = "POST";
        route.pattern = "/v1/chat/completions";
        route.access = "public";
        route.handler = [this](http::Exchange& exchange) { return answer(exchange); };
        router_.add(route);
        http::ServerOptions options;
        options.error_response = [](int code, const std::string& message, const std::string&) { return http::text_response(code, message); };
        server_ = std::make_unique<http::Server>(io_, router_, options);
        port_ = server_->listen_tcp("127.0.0.1", 0, "public").value();
        thread_ = std::thread([this] { io_.run(); });
    }
    ~Elsewhere() {
        held_from = kNever;
        std::promise<void> stopped;
        http::asio::co_spawn(io_, server_->stop(Deadline::after(2s)), [&](const std::exception_ptr&) { stopped.set_value(); });
        stopped.get_future().get();
        guard_.reset();
        io_.stop();
        thread_.join();
    }
    std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
    // A target of this server.
    std::string target(const std::string& name) const {
        return R"({"name":")" + name + R"(","url":")" + url() + R"(","model":"m","api_key":"s3cret-key"})";
    }

    static constexpr int kNever = 1 << 30;
    std::atomic<int> held_from{kNever};   // the request of this number and later ones are not answered while this is so
    std::atomic<int> asked{0};
    std::atomic<int> answers{kNever};    // so many are answered, then refused, naming the key
    std::atomic<int> right_key{0};

private:
    http::Task<void> answer(http::Exchange& exchange) {
        const int number = ++asked;
        right_key += exchange.request().headers.get("authorization") == "Bearer s3cret-key" ? 1 : 0;
        if (number > answers) {
            http::Response refused = http::json_response(500, R"({"error":{"message":"out of memory for s3cret-key"}})");
            co_await exchange.respond(std::move(refused));
            co_return;
        }
        bool gone = false;
        exchange.on_client_gone([&gone] { gone = true; });
        while (number >= held_from && !gone) co_await http::sleep_for(1ms);
        http::Headers headers{{"content-type", "text/event-stream"}};
        co_await exchange.start_stream(200, std::move(headers));
        std::string body;
        for (const char* token : {"one", "two", "three"}) {
            body += std::string(R"(data: {"choices":[{"index":0,"delta":{"content":")") + token + R"("},"finish_reason":null}]})" + "\n\n";
        }
        body += "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
                "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":30,\"completion_tokens\":3}}\n\ndata: [DONE]\n\n";
        co_await exchange.write(body);
        co_await exchange.finish();
    }

    http::asio::io_context io_{1};
    http::asio::executor_work_guard<http::asio::io_context::executor_type> guard_{io_.get_executor()};
    http::Router router_;
    std::unique_ptr<http::Server> server_;
    uint16_t port_ = 0;
    std::thread thread_;
};

class BenchmarksTest : public testing::Test {
protected:
    TempDir dir_;
    Elsewhere elsewhere_;
    std::unique_ptr<Plane> plane_ = std::make_unique<Plane>(dir_.path());

    std::string start(const std::string& body, const std::string& who = "admin") {
        plane_->clock().advance(1ms);   // so that their order is by time
        const Reply made = plane_->ask("POST", "/api/v1/benchmarks", body, who);
        EXPECT_EQ(made.status, 201) << made.text;
        return made.status == 201 ? made.string("/id") : "";
    }
    std::string load(const std::string& targets, const std::string& more = "") {
        return R"({"targets":[)" + targets + R"(],"prompt_tokens":30,"output_tokens":3)" + more + "}";
    }
    Reply get(const std::string& id) const { return plane_->get("/api/v1/benchmarks/" + id); }
    std::string state(const std::string& id) const { return get(id).string("/state"); }
    Reply over(const std::string& id) const {
        EXPECT_TRUE(eventually([&] {
            const std::string now = state(id);
            return now != "queued" && now != "running";
        })) << get(id).text;
        return get(id);
    }
};

TEST_F(BenchmarksTest, MeasureAnOutsideServerAndKeepTheReport) {
    const std::string id = start(load(elsewhere_.target("a") + "," + elsewhere_.target("b"), R"(,"concurrencies":[2,1],"requests":4)"));
    const Reply done = over(id);
    EXPECT_EQ(done.string("/state"), "done") << done.text;
    EXPECT_EQ(done.string("/reason"), "");
    EXPECT_EQ(done.number("/progress/requests_done"), 16);
    EXPECT_EQ(done.number("/progress/requests_total"), 16);
    EXPECT_DOUBLE_EQ(done.body.at_pointer("/progress/fraction").to_number<double>(), 1);
    EXPECT_EQ(done.body.at_pointer("/runs").as_array().size(), 4u);
    EXPECT_EQ(done.string("/runs/0/target"), "a");
    const json::object& report = done.body.at_pointer("/result").as_object();
    EXPECT_EQ(report.at("version").to_number<int>(), 1);
    ASSERT_EQ(report.at("targets").as_array().size(), 2u);
    const json::value& target = report.at("targets").at(1);
    EXPECT_EQ(target.at("name").as_string(), "b");
    EXPECT_EQ(target.at("url").as_string(), elsewhere_.url());
    ASSERT_EQ(target.at("runs").as_array().size(), 2u);
    EXPECT_EQ(target.at("runs").at(0).at("concurrency").to_number<int>(), 2) << "in the order asked for";
    EXPECT_EQ(target.at("runs").at(0).at("requests_ok").to_number<int>(), 4);
    EXPECT_EQ(target.at("runs").at(0).at("samples").at(0).at("token_ms").as_array().size(), 3u);
    EXPECT_EQ(elsewhere_.asked, 18) << "two to warm up";
    EXPECT_EQ(elsewhere_.right_key, 18);
    EXPECT_EQ(done.text.find("s3cret"), std::string::npos) << "the key goes in and never comes out";
    EXPECT_EQ(plane_->get("/api/v1/audit").text.find("s3cret"), std::string::npos);
    EXPECT_EQ(plane_->store().benchmark(BenchmarkId(id))->targets[0].sealed_key, "") << "it is forgotten";
}

TEST_F(BenchmarksTest, OneRunsAndTheOthersWaitInTheirOrder) {
    elsewhere_.held_from = 2;
    const std::string first = start(load(elsewhere_.target("a")));
    ASSERT_TRUE(eventually([&] { return elsewhere_.asked >= 2; })) << "the warm-up, and the first request";
    const std::string second = start(load(elsewhere_.target("a"), R"(,"requests":1)"));
    const std::string third = start(load(elsewhere_.target("a"), R"(,"requests":1)"));
    EXPECT_EQ(state(first), "running");
    EXPECT_EQ(get(second).number("/before_it"), 1);
    EXPECT_EQ(get(third).number("/before_it"), 2);
    EXPECT_EQ(plane_->ask("DELETE", "/api/v1/benchmarks/" + first).status, 409);
    EXPECT_EQ(plane_->ask("DELETE", "/api/v1/benchmarks/" + second).status, 409);
    const Reply cancelled = plane_->ask("POST", "/api/v1/benchmarks/" + second + "/cancel", "{}");
    EXPECT_EQ(cancelled.status, 200) << cancelled.text;
    EXPECT_EQ(cancelled.string("/state"), "cancelled");
    EXPECT_EQ(plane_->ask("POST", "/api/v1/benchmarks/" + second + "/cancel", "{}").status, 409) << "it is over";
    EXPECT_EQ(get(third).number("/before_it"), 1);
    const Reply cut = plane_->ask("POST", "/api/v1/benchmarks/" + first + "/cancel", "{}");
    EXPECT_EQ(cut.string("/state"), "cancelled") << "the answer comes once it is";
    EXPECT_EQ(cut.string("/reason"), "cancelled");
    elsewhere_.held_from = Elsewhere::kNever;
    EXPECT_EQ(over(third).string("/state"), "done");
    EXPECT_EQ(plane_->ask("DELETE", "/api/v1/benchmarks/" + first).status, 204);
    EXPECT_EQ(get(first).status, 404);
    const Reply audit = plane_->get("/api/v1/audit?kind=benchmark");
    EXPECT_NE(audit.text.find(R"("action":"cancel")"), std::string::npos) << audit.text;
}

TEST_F(BenchmarksTest, ATargetThatDiesHasItsErrorInTheResultAndTheOthersGoOn) {
    Elsewhere other;
    elsewhere_.answers = 1 + 4 + 2;   // the warm-up, the first run, half of the second
    const std::string id = start(load(elsewhere_.target("dies") + "," + other.target("lives"), R"(,"concurrencies":[1,2,4],"requests":4)"));
    const Reply done = over(id);
    EXPECT_EQ(done.string("/state"), "failed");
    EXPECT_THAT(done.string("/reason"), HasSubstr("dies: 4 of 4 requests failed at 4 at once: status 500: out of memory for ***"));
    EXPECT_THAT(done.string("/targets/0/error"), HasSubstr("out of memory"));
    EXPECT_EQ(done.string("/targets/1/error"), "");
    const json::array& targets = done.body.at_pointer("/result/targets").as_array();
    EXPECT_THAT(std::string(targets.at(0).at("error").as_string()), HasSubstr("out of memory for ***"));
    ASSERT_EQ(targets.at(0).at("runs").as_array().size(), 3u);
    EXPECT_EQ(targets.at(0).at("runs").at(1).at("requests_failed").to_number<int>(), 2);
    EXPECT_EQ(targets.at(1).at("runs").as_array().size(), 3u);
    EXPECT_EQ(targets.at(1).at("runs").at(2).at("requests_ok").to_number<int>(), 4);
    EXPECT_EQ(done.text.find("s3cret"), std::string::npos) << "not by way of an error either";
}

TEST_F(BenchmarksTest, OneThatNeverAnswersIsLeftOut) {
    elsewhere_.answers = 0;
    const std::string id = start(load(elsewhere_.target("mute")));
    const Reply done = over(id);
    EXPECT_EQ(done.string("/state"), "failed");
    EXPECT_THAT(done.string("/reason"), HasSubstr("mute: it does not answer: status 500"));
    EXPECT_EQ(elsewhere_.asked, 1);
    EXPECT_EQ(done.body.at_pointer("/result/targets/0/runs").as_array().size(), 0u);
}

TEST_F(BenchmarksTest, ARestartEndsTheRunningOneKeepsItsResultsAndGoesOn) {
    elsewhere_.held_from = 4;   // after the warm-up and the first run
    const std::string first = start(load(elsewhere_.target("a"), R"(,"concurrencies":[1,2],"requests":2)"));
    ASSERT_TRUE(eventually([&] { return elsewhere_.asked >= 4 && get(first).body.at_pointer("/runs").as_array().size() == 1; })) << get(first).text;
    EXPECT_EQ(state(first), "running");
    const std::string second = start(load(elsewhere_.target("a"), R"(,"requests":1)"));
    plane_.reset();
    elsewhere_.held_from = Elsewhere::kNever;
    plane_ = std::make_unique<Plane>(dir_.path());
    const Reply after = get(first);
    EXPECT_EQ(after.string("/state"), "failed");
    EXPECT_THAT(after.string("/reason"), HasSubstr("the server was stopped while it ran; results so far are kept"));
    EXPECT_EQ(after.body.at_pointer("/result/targets/0/runs").as_array().size(), 1u);
    EXPECT_EQ(over(second).string("/state"), "done") << "with its key, which was sealed";
    EXPECT_GT(elsewhere_.right_key, 4);
}

TEST_F(BenchmarksTest, AKilledServersIsFoundAtTheNextStart) {
    plane_.reset();
    {
        auto store = store::Store::open(dir_.path()).value();
        Benchmark b;
        b.id = BenchmarkId("bmk_1");
        b.targets.resize(1);
        b.targets[0].sealed_key = "sealed";
        b.state = BenchmarkState::kRunning;
        b.progress = {.fraction = 0.5, .target = "a", .concurrency = 1};
        b.result = R"({"version":1,"targets":[]})";
        ASSERT_TRUE(store->create_benchmark(b).ok());
        ASSERT_TRUE(store->close().ok());
    }
    plane_ = std::make_unique<Plane>(dir_.path());
    const Reply found = get("bmk_1");
    EXPECT_EQ(found.string("/state"), "failed");
    EXPECT_THAT(found.string("/reason"), HasSubstr("stopped or killed"));
    EXPECT_EQ(found.number("/result/version"), 1);
    EXPECT_TRUE(found.body.at_pointer("/progress/target").is_null());
    EXPECT_EQ(plane_->store().benchmark(BenchmarkId("bmk_1"))->targets[0].sealed_key, "");
}

TEST_F(BenchmarksTest, EverybodySeesTheirOwnAndUsersMeasureNothingOutside) {
    const std::string ann = plane_->key_of("ann", "user");
    const std::string bob = plane_->key_of("bob", "user");
    const Reply refused = plane_->ask("POST", "/api/v1/benchmarks", load(elsewhere_.target("a")), ann);
    EXPECT_EQ(refused.status, 403);
    EXPECT_EQ(refused.string("/error/param"), "targets[0].url");
    EXPECT_EQ(elsewhere_.asked, 0);
    ASSERT_EQ(plane_->ask("POST", "/api/v1/deployments", R"({"name":"d","source":"file:/m.gguf","stopped":true})").status, 201);
    const std::string id = start(load(R"({"deployment":"d"})"), ann);
    const Reply done = over(id);
    EXPECT_EQ(done.string("/state"), "failed");
    EXPECT_EQ(done.string("/reason"), "d: d is stopped; `gantry start d` starts it");
    EXPECT_EQ(done.string("/user_name"), "ann");
    EXPECT_EQ(plane_->get("/api/v1/benchmarks/" + id, ann).status, 200);
    EXPECT_EQ(plane_->get("/api/v1/benchmarks/" + id, bob).status, 404);
    EXPECT_EQ(plane_->ask("POST", "/api/v1/benchmarks/" + id + "/cancel", "{}", bob).status, 404);
    EXPECT_EQ(plane_->ask("DELETE", "/api/v1/benchmarks/" + id, "", bob).status, 404);
    EXPECT_EQ(plane_->get("/api/v1/benchmarks", bob).body.at_pointer("/items").as_array().size(), 0u);
    EXPECT_EQ(plane_->get("/api/v1/benchmarks", ann).body.at_pointer("/items").as_array().size(), 1u);
    EXPECT_EQ(plane_->get("/api/v1/benchmarks").body.at_pointer("/items").as_array().size(), 1u);
    EXPECT_FALSE(plane_->get("/api/v1/benchmarks").body.at_pointer("/items/0").as_object().contains("result"));
    const Reply unknown = plane_->ask("POST", "/api/v1/benchmarks", load(R"({"deployment":"d"},{"deployment":"nowhere"})"), ann);
    EXPECT_EQ(unknown.status, 400);
    EXPECT_EQ(unknown.string("/error/param"), "targets[1].deployment");
    ASSERT_EQ(plane_->ask("PATCH", "/api/v1/users/ann", R"({"models":["other"]})").status, 200);
    const Reply not_hers = plane_->ask("POST", "/api/v1/benchmarks", load(R"({"deployment":"d"})"), ann);
    EXPECT_EQ(not_hers.status, 400);
    EXPECT_THAT(not_hers.string("/error/message"), HasSubstr("not for you"));
    const Reply narrow = plane_->ask("POST", "/api/v1/keys", R"({"name":"m","scopes":["management"]})", bob);
    ASSERT_EQ(narrow.status, 201) << narrow.text;
    const Reply scope = plane_->ask("POST", "/api/v1/benchmarks", load(R"({"deployment":"d"})"), narrow.string("/secret"));
    EXPECT_EQ(scope.status, 403);
    EXPECT_EQ(scope.code(), "insufficient_scope");
}

TEST_F(BenchmarksTest, RequestsToADeploymentAreTheUsers) {
    const std::string ann = plane_->key_of("ann", "user");
    ASSERT_EQ(plane_->ask("POST", "/api/v1/deployments", R"({"name":"d","source":"file:/m.gguf"})").status, 201);
    const std::string id = start(load(R"({"deployment":"d"})"), ann);
    ASSERT_TRUE(eventually([&] { return get(id).string("/reason").starts_with("waits: d is "); })) << "it waits for the deployment: " << get(id).text;
    EXPECT_EQ(state(id), "running");
    ASSERT_TRUE(plane_->work_until([&] { return plane_->deployment_state("d") == "running"; }));
    // This plane has no gateway: its door answers 404, behind the authentication that knew her.
    const Reply done = over(id);
    EXPECT_THAT(done.string("/reason"), HasSubstr("it does not answer: status 404"));
    const std::string second = [&] {
        EXPECT_EQ(plane_->ask("PATCH", "/api/v1/users/ann", R"({"disabled":true})").status, 200);
        Benchmark b = plane_->store().benchmark(BenchmarkId(id)).value();
        b.id = BenchmarkId("bmk_again");
        b.state = BenchmarkState::kQueued;
        EXPECT_TRUE(plane_->store().create_benchmark(b).ok());
        return start(load(elsewhere_.target("a"), R"(,"requests":1)"));   // wakes the queue
    }();
    EXPECT_EQ(over(second).string("/state"), "done");
    EXPECT_EQ(over("bmk_again").string("/state"), "failed");
}

TEST_F(BenchmarksTest, TooManyAreRefused) {
    elsewhere_.held_from = 1;
    for (int i = 0; i < 8; ++i) start(load(elsewhere_.target("a"), R"(,"requests":1)"));
    const Reply ninth = plane_->ask("POST", "/api/v1/benchmarks", load(elsewhere_.target("a")));
    EXPECT_EQ(ninth.status, 429);
    EXPECT_EQ(ninth.code(), "too_many_benchmarks");
}

TEST_F(BenchmarksTest, WatchersSeeEachStepOfTheirOwn) {
    const std::string ann = plane_->key_of("ann", "user");
    std::mutex mutex;
    std::vector<std::string> seen;
    std::string hers;
    const auto watch = [&](const std::string& who, const std::function<bool(const http::SseEvent&)>& goes_on) {
        http::Client::Call call{"GET", "/api/v1/watch?kinds=benchmarks", {{"authorization", "Bearer " + who}}, ""};
        http::SseReader reader;
        return http::fetch_stream(plane_->endpoint(), call, [&](std::string_view piece) {
            const auto events = reader.feed(piece);
            for (const auto& event : events.value()) {
                if (!goes_on(event)) return false;
            }
            return true;
        });
    };
    const std::string boss = plane_->key_of("boss", "admin");
    std::promise<void> synced;
    std::thread watching([&] {
        (void)watch(boss, [&](const http::SseEvent& event) {
            if (event.event == "synced") synced.set_value();
            std::lock_guard lock(mutex);
            seen.push_back(event.event + " " + event.data);
            return event.data.find(R"("state":"done")") == std::string::npos;
        });
    });
    synced.get_future().get();
    const std::string id = start(load(elsewhere_.target("a"), R"(,"requests":1)"));
    over(id);
    watching.join();
    EXPECT_THAT(seen.at(1), testing::AllOf(HasSubstr("added"), HasSubstr("\"kind\":\"benchmarks\""), HasSubstr(id)));
    EXPECT_THAT(seen, testing::Contains(HasSubstr(R"("state":"running")")));
    EXPECT_THAT(seen.back(), HasSubstr("modified"));
    (void)watch(ann, [&](const http::SseEvent& event) {
        hers += event.data;
        return event.event != "synced";
    });
    EXPECT_EQ(hers.find(id), std::string::npos) << "it is not hers";
}

}  // namespace
}  // namespace gantry::control
