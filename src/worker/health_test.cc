#include "worker/health.h"

#include <gtest/gtest.h>

namespace gantry::worker {
namespace {

using Kind = HealthAnswer::Kind;

TEST(Health, WhatAnswersMean) {
    EXPECT_EQ(read_health(200, "anything").kind, Kind::kReady);
    EXPECT_EQ(read_health(204, "").kind, Kind::kReady);
    const HealthAnswer loading = read_health(503, R"({"status":"loading","progress":0.42})");
    EXPECT_EQ(loading.kind, Kind::kLoading);
    EXPECT_DOUBLE_EQ(loading.progress, 0.42);
    EXPECT_EQ(read_health(503, R"({"error":{"code":503,"message":"Loading model","type":"unavailable_error"}})").kind,
              Kind::kLoading);
    const HealthAnswer stalled = read_health(503, R"({"status":"stalled"})");
    EXPECT_EQ(stalled.kind, Kind::kFailed);
    EXPECT_EQ(stalled.text, "it makes no progress with its work");
    EXPECT_EQ(read_health(404, "").text, "its health check answers 404");
    EXPECT_EQ(read_health(404, R"({"status":"loading"})").kind, Kind::kFailed);
}

TEST(Health, HostileBodiesAreAnswersLikeOthers) {
    for (const char* body : {"", "{", "[]", "null", R"({"status":7,"progress":"x"})", R"({"status":"loading","progress":-3})",
                             R"({"status":"loading","progress":1e300})", R"({"error":7})", R"({"error":{"message":7}})"}) {
        const HealthAnswer answer = read_health(503, body);
        EXPECT_GE(answer.progress, 0) << body;
        EXPECT_LE(answer.progress, 1) << body;
    }
    EXPECT_EQ(read_health(503, R"({"status":"loading","progress":"x"})").kind, Kind::kLoading);
}

}  // namespace
}  // namespace gantry::worker
