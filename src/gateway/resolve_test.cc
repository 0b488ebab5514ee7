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

}  // namespace
}  // namespace gantry::gateway
