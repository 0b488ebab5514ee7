#include "control/engine_metrics.h"

#include <gtest/gtest.h>

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
    const std::string text = engine_metrics(routes);
    EXPECT_NE(text.find("gantry_engine_steps_total{model=\"ours\",engine=\"ins_ours\"} 7\n"), std::string::npos) << text;
    for (const char* other : {"refuses", "gone", "foreign"}) EXPECT_EQ(text.find(other), std::string::npos) << text;
}

}  // namespace
}  // namespace gantry::control
