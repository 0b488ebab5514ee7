#include "control/engine_metrics.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>

#include "http/http_test_support.h"

namespace gantry::control {
namespace {

const std::string kText =
    "# HELP gantry_engine_steps_total Steps.\n# TYPE gantry_engine_steps_total counter\ngantry_engine_steps_total 7\n"
    "# HELP gantry_http_requests_total Requests.\n# TYPE gantry_http_requests_total counter\ngantry_http_requests_total 9\n"
    "# HELP gantry_engine_step_seconds Time.\n# TYPE gantry_engine_step_seconds histogram\n"
    "gantry_engine_step_seconds_count{verb=\"plan\"} 3\ngantry_engine_step_seconds_bucket{verb=\"plan\",le=\"+Inf\"} 3\n";

TEST(EngineMetrics, FamiliesAreThereOnceAndSamplesNameTheirEngine) {
    EXPECT_EQ(merge_engine_metrics({{"tiny", InstanceId("ins_1"), kText}, {"a\"b", InstanceId("ins_2"), kText}}),
              "# HELP gantry_engine_step_seconds Time.\n# TYPE gantry_engine_step_seconds histogram\n"
              "gantry_engine_step_seconds_count{model=\"tiny\",engine=\"ins_1\",verb=\"plan\"} 3\n"
              "gantry_engine_step_seconds_bucket{model=\"tiny\",engine=\"ins_1\",verb=\"plan\",le=\"+Inf\"} 3\n"
              "gantry_engine_step_seconds_count{model=\"a\\\"b\",engine=\"ins_2\",verb=\"plan\"} 3\n"
              "gantry_engine_step_seconds_bucket{model=\"a\\\"b\",engine=\"ins_2\",verb=\"plan\",le=\"+Inf\"} 3\n"
              "# HELP gantry_engine_steps_total Steps.\n# TYPE gantry_engine_steps_total counter\n"
              "gantry_engine_steps_total{model=\"tiny\",engine=\"ins_1\"} 7\n"
              "gantry_engine_steps_total{model=\"a\\\"b\",engine=\"ins_2\"} 7\n");
    EXPECT_EQ(merge_engine_metrics({}), "");
    EXPECT_EQ(merge_engine_metrics({{"m", InstanceId("i"), "nonsense\n\n# TYPE\ngantry_engine_x"}}), "");
}

TEST(EngineMetrics, FiguresAreThoseThatTheEngineTells) {
    const auto own = figures_of({"tiny", InstanceId("ins_1"),
                                 "# TYPE gantry_engine_sequences_running gauge\ngantry_engine_sequences_running 2\n"
                                 "gantry_engine_sequences_running_high 9\nx_gantry_engine_sequences_waiting 7\ngantry_engine_kv_usage_ratio 0.25\n"
                                 "gantry_engine_time_to_first_token_seconds_sum 1.5\ngantry_engine_time_to_first_token_seconds_count 3\n"
                                 "gantry_engine_generated_tokens_total nan\n"});
    EXPECT_EQ(own.instance.text, "ins_1");
    EXPECT_EQ(own.running, 2.0);
    EXPECT_EQ(own.waiting, std::nullopt) << "that is another's name";
    EXPECT_EQ(own.kv_usage, 0.25);
    EXPECT_EQ(own.first_token_seconds, 1.5);
    EXPECT_EQ(own.first_tokens, 3.0);
    EXPECT_EQ(own.generated_tokens, std::nullopt) << "no number";
    const auto other = figures_of({"v", InstanceId("ins_2"),
                                   "vllm:num_requests_running{engine=\"0\"} 4\nvllm:generation_tokens_total{engine=\"0\"} 77\n", BackendKind::kVllm});
    EXPECT_EQ(other.running, 4.0);
    EXPECT_EQ(other.generated_tokens, 77.0);
    EXPECT_EQ(other.first_tokens, std::nullopt);
}

// All of them; those elsewhere are reached at `far`.
std::vector<EngineText> asked(const gateway::RouteTable& routes, const std::string& far) {
    http::asio::io_context io;
    http::ClientOptions options = engine_metrics_client();
    options.dialed_prefix = "worker:";
    options.dialer = [&io, far](std::string, SteadyTime) { return http::Stream::connect(io, far, std::chrono::seconds(5)); };
    http::Client client(io, std::move(options));
    std::vector<EngineText> answers;
    http::asio::co_spawn(io, ask_engines(io, client, std::make_shared<const gateway::RouteTable>(routes)),
                         [&](const std::exception_ptr&, std::vector<EngineText> came) {
                             answers = std::move(came);
                             io.stop();   // kept connections would wait on
                         });
    io.run();
    return answers;
}

TEST(EngineMetrics, OnlyEmbeddedEnginesThatAnswerAreIn) {
    http::TestServer server;
    server.route("GET", "/metrics", [](http::Exchange& exchange) -> http::Task<void> {
        const bool known = exchange.request().headers.get("authorization") == "Bearer secret";
        co_await exchange.respond(http::text_response(known ? 200 : 401, kText));
    });
    server.start();
    gateway::RouteTable routes;
    const auto add = [&](const std::string& name, BackendKind backend, const std::string& endpoint, const std::string& key) {
        gateway::ModelEntry entry;
        entry.name = name;
        entry.backend = backend;
        entry.targets = {{InstanceId("ins_" + name), endpoint, key}};
        routes.models[name] = entry;
    };
    add("ours", BackendKind::kEngine, server.endpoint(), "secret");
    add("refuses", BackendKind::kEngine, server.endpoint(), "wrong");
    add("gone", BackendKind::kEngine, "unix:/no/such/socket", "secret");
    add("foreign", BackendKind::kLlamaServer, server.endpoint(), "secret");
    add("far", BackendKind::kEngine, "worker:w/i", "secret");
    const std::string text = merge_engine_metrics(asked(routes, server.endpoint()));
    EXPECT_NE(text.find("gantry_engine_steps_total{model=\"far\",engine=\"ins_far\"} 7\n"), std::string::npos) << text;
    EXPECT_NE(text.find("gantry_engine_steps_total{model=\"ours\",engine=\"ins_ours\"} 7\n"), std::string::npos) << text;
    for (const char* other : {"refuses", "gone", "foreign"}) EXPECT_EQ(text.find(other), std::string::npos) << text;
}

}  // namespace
}  // namespace gantry::control
