#include "gateway/resolve.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gantry::gateway {
namespace {

using testing::HasSubstr;

RouteTable table() {
    RouteTable routes;
    ModelEntry ready;
    ready.name = "org/ready";
    ready.targets = {{InstanceId("ins_1"), "unix:/x", ""}};
    ModelEntry loading;
    loading.name = "loading";
    loading.not_ready_reason = "loading (42 %)";
    ModelEntry stopped = ready;
    stopped.name = "stopped";
    stopped.stopped = true;
    for (const ModelEntry& entry : {ready, loading, stopped}) routes.models[entry.name] = entry;
    return routes;
}

TEST(Resolve, FindsAModelThatIsReady) {
    const RouteTable routes = table();
    const auto found = resolve(routes, "org/ready");
    ASSERT_TRUE(found.ok());
    EXPECT_EQ((*found)->targets.size(), 1u);
}

TEST(Resolve, WhatIsAsleepIsThereAndTakesItsShare) {
    RouteTable routes = table();
    ModelEntry asleep;
    asleep.name = "asleep";
    asleep.holds = true;
    asleep.not_ready_reason = "asleep, a request wakes it";
    routes.models["asleep"] = asleep;
    ASSERT_TRUE(resolve(routes, "asleep").ok());
    EXPECT_TRUE((*resolve(routes, "asleep"))->targets.empty());
    EXPECT_TRUE(answers(routes.models["asleep"]));
    EXPECT_FALSE(answers(routes.models["loading"])) << "nobody waits for that";
    EXPECT_FALSE(answers(routes.models["stopped"]));
    routes.routes["r"] = Route{.name = "r", .targets = {{"asleep", 1}, {"loading", 9}}, .fallback = "org/ready"};
    const auto ways = resolve_ways(routes, "r", 0.9);
    ASSERT_TRUE(ways.ok());
    EXPECT_EQ(ways->front()->name, "asleep");
    EXPECT_EQ(ways->back()->name, "org/ready");
    routes.models["asleep"].stopped = true;
    EXPECT_EQ(resolve(routes, "asleep").error().reason, "model_stopped");
}

TEST(Resolve, SaysWhyNot) {
    const RouteTable routes = table();
    const auto unknown = resolve(routes, "no\nsuch");
    EXPECT_EQ(unknown.error().code, ErrorCode::kNotFound);
    EXPECT_EQ(unknown.error().reason, "model_not_found");
    EXPECT_EQ(unknown.error().param, "model");
    EXPECT_THAT(unknown.error().message, HasSubstr("no\\x0asuch"));
    EXPECT_LT(resolve(routes, std::string(1 << 20, 'x')).error().message.size(), 400u);
    EXPECT_EQ(resolve(routes, "").error().code, ErrorCode::kNotFound);

    const auto loading = resolve(routes, "loading");
    EXPECT_EQ(loading.error().code, ErrorCode::kUnavailable);
    EXPECT_EQ(loading.error().reason, "no_ready_instance");
    EXPECT_THAT(loading.error().message, HasSubstr("loading (42 %)"));
    EXPECT_GT(retry_after_s(routes, "loading"), 0);

    const auto stopped = resolve(routes, "stopped");
    EXPECT_EQ(stopped.error().code, ErrorCode::kUnavailable);
    EXPECT_THAT(stopped.error().message, HasSubstr("stopped"));
    EXPECT_EQ(retry_after_s(routes, "stopped"), 0);
}

TEST(ResolveWays, ByWeightAmongThoseThatAreReadyThenTheFallback) {
    RouteTable routes = table();
    ModelEntry other = routes.models["org/ready"];
    other.name = "other";
    routes.models["other"] = other;
    const auto names = [&](const std::string& name, double uniform) {
        std::vector<std::string> out;
        const auto ways = resolve_ways(routes, name, uniform);
        if (ways) for (const ModelEntry* way : *ways) out.push_back(way->name);
        return out;
    };
    using Names = std::vector<std::string>;
    Route route;
    route.name = "r";
    route.targets = {{"org/ready", 1}, {"other", 3}, {"loading", 100}, {"gone", 100}};
    routes.routes["r"] = route;
    EXPECT_EQ(names("org/ready", 0.5), Names{"org/ready"}) << "a deployment's own name";
    EXPECT_EQ(names("r", 0.2), Names{"org/ready"});
    EXPECT_EQ(names("r", 0.3), Names{"other"});
    routes.routes["r"].fallback = "other";
    EXPECT_EQ(names("r", 0.2), (Names{"org/ready", "other"}));
    EXPECT_EQ(names("r", 0.3), Names{"other"}) << "not the same twice";
    routes.routes["r"].targets = {{"loading", 1}};
    EXPECT_EQ(names("r", 0.3), Names{"other"});
    routes.routes["r"].fallback = "stopped";
    const auto none = resolve_ways(routes, "r", 0.3);
    ASSERT_FALSE(none.ok());
    EXPECT_EQ(none.error().reason, "no_ready_instance");
    EXPECT_GT(retry_after_s(routes, "r"), 0);
    EXPECT_EQ(resolve_ways(routes, "nobody", 0.3).error().reason, "model_not_found");
}

TEST(ResolveWays, ARouteIsShownAsWhatIsBehindIt) {
    const RouteTable routes = table();
    Route route;
    route.name = "r";
    route.targets = {{"gone", 1}, {"loading", 1}, {"org/ready", 1}};
    EXPECT_EQ(shown_as_model(routes, route).name, "r");
    EXPECT_EQ(shown_as_model(routes, route).targets.size(), 1u);
    route.targets.pop_back();
    EXPECT_EQ(shown_as_model(routes, route).not_ready_reason, "loading (42 %)");
    route.targets.pop_back();
    EXPECT_FALSE(shown_as_model(routes, route).not_ready_reason.empty());
}

}  // namespace
}  // namespace gantry::gateway
