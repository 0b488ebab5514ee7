#include "gateway/draining.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gantry::gateway {
namespace {

TEST(Draining, RefusesWhatIsNewButHealth) {
    bool stopping = false;
    const HeadCheck check = refuse_while(stopping, [](const http::Request&) { return std::nullopt; });
    http::Request head;
    head.path = "/v1/chat/completions";
    EXPECT_FALSE(check(head).has_value());
    stopping = true;
    const auto refused = check(head);
    ASSERT_TRUE(refused.has_value());
    EXPECT_EQ(refused->status, 503);
    EXPECT_EQ(refused->headers.get("retry-after"), "5");
    EXPECT_THAT(refused->body, testing::HasSubstr("\"server_stopping\""));
    for (const char* path : {"/healthz", "/readyz", "/metrics"}) {
        head.path = path;
        EXPECT_FALSE(check(head).has_value()) << path;
    }
}

TEST(Draining, WhoIsRefusedAnywayIs) {
    const bool stopping = false;
    const HeadCheck check = refuse_while(stopping, [](const http::Request&) { return http::text_response(401, ""); });
    EXPECT_EQ(check(http::Request{})->status, 401);
}

}  // namespace
}  // namespace gantry::gateway
