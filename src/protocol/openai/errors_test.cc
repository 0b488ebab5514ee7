#include "protocol/openai/errors.h"

#include <gtest/gtest.h>

namespace gantry::protocol::openai {
namespace {

TEST(Errors, TableB2) {
    struct Row {
        ErrorCode code;
        int status;
        std::string type;
        std::string reason;
    };
    const Row rows[] = {
        {ErrorCode::kInvalidArgument, 400, "invalid_request_error", "invalid_request"},
        {ErrorCode::kUnauthenticated, 401, "authentication_error", "invalid_api_key"},
        {ErrorCode::kPermissionDenied, 403, "permission_error", "permission_denied"},
        {ErrorCode::kNotFound, 404, "not_found_error", "not_found"},
        {ErrorCode::kConflict, 409, "conflict_error", "conflict"},
        {ErrorCode::kTooLarge, 413, "invalid_request_error", "request_too_large"},
        {ErrorCode::kRateLimited, 429, "rate_limit_error", "rate_limit_exceeded"},
        {ErrorCode::kCancelled, 499, "invalid_request_error", "cancelled"},
        {ErrorCode::kInternal, 500, "server_error", "internal_error"},
        {ErrorCode::kUnavailable, 503, "server_error", "unavailable"},
        {ErrorCode::kDeadlineExceeded, 504, "server_error", "upstream_timeout"},
        {ErrorCode::kStorageFull, 507, "server_error", "storage_full"},
    };
    for (const Row& row : rows) {
        EXPECT_EQ(http_status(row.code), row.status);
        const json::object body = error_body({row.code, "why", {}, {}});
        const json::object& inner = body.at("error").as_object();
        EXPECT_EQ(inner.size(), 4U);
        EXPECT_EQ(inner.at("message"), "why");
        EXPECT_EQ(inner.at("type"), json::value(row.type));
        EXPECT_TRUE(inner.at("param").is_null());
        EXPECT_EQ(inner.at("code"), json::value(row.reason));
    }
}

TEST(Errors, ParamAndReason) {
    EXPECT_EQ(
        error_json(invalid_argument("m", "n")),
        R"({"error":{"message":"m","type":"invalid_request_error","param":"n","code":"invalid_value"}})");
    EXPECT_EQ(
        error_json(not_found("m", "model_not_found")),
        R"({"error":{"message":"m","type":"not_found_error","param":null,"code":"model_not_found"}})");
}

TEST(Errors, CallersMistakesAreNeverOfAKindThatSdksRetry) {
    for (const int status : {400, 401, 403, 404, 405, 413, 414, 415, 431, 422, 418}) {
        const int own = http_status(error_from_status(status, "m").code);
        EXPECT_TRUE(own >= 400 && own < 500 && own != 408 && own != 409 && own != 429) << status;
    }
    for (const int status : {500, 502, 503, 504, 507, 599}) {
        EXPECT_GE(http_status(error_from_status(status, "m").code), 500) << status;
    }
    EXPECT_EQ(error_from_status(405, "m").reason, "method_not_allowed");
}

TEST(Errors, ReadsBodiesOfOthers) {
    const auto read = [](const char* text) { return error_of(400, *parse_json(text)); };
    EXPECT_EQ(read(R"({"error":{"message":"m","param":"p","code":"c"}})")->message, "m");
    EXPECT_EQ(read(R"({"error":{"message":"m","param":"p","code":"c"}})")->reason, "c");
    EXPECT_EQ(read(R"({"error":"plain"})")->message, "plain");
    EXPECT_EQ(read(R"({"error":{"code":400}})")->reason, "");
    EXPECT_FALSE(read(R"({"ok":true})").has_value());
    EXPECT_FALSE(read(R"([])").has_value());
    EXPECT_FALSE(read(R"({"error":null})").has_value());
}

}  // namespace
}  // namespace gantry::protocol::openai
