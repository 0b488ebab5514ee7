#include "cli/limits.h"

#include <gtest/gtest.h>

namespace gantry::cli {
namespace {

TEST(ParseAmount, WholeNumbersWithAUnit) {
    EXPECT_EQ(*parse_amount("60"), 60u);
    EXPECT_EQ(*parse_amount("10k"), 10'000u);
    EXPECT_EQ(*parse_amount("2M"), 2'000'000u);
    EXPECT_EQ(*parse_amount("1.5G"), 1'500'000'000u);
    EXPECT_EQ(*parse_amount("0.5k"), 500u);
    EXPECT_EQ(*parse_amount("1000000000000000"), 1'000'000'000'000'000u);
    for (const char* wrong : {"", "0", "-1", "k", "1.5", "1.", ".5k", "1.2345k", "10 k", "1e3", "1,000", "0.0k", "2000000000000000", "99999999G",
                              "18446744073709551616", "1.5.5M", "\xff"}) {
        EXPECT_FALSE(parse_amount(wrong).ok()) << wrong;
    }
}

TEST(PutLimits, OnlyWhatWasGiven) {
    json::object body;
    EXPECT_TRUE(put_limits({}, body).ok());
    EXPECT_TRUE(body.empty());
    LimitOptions options;
    options.rpm = "60";
    options.monthly_tokens = "none";
    options.models = {"a", "none"};
    EXPECT_TRUE(put_limits(options, body).ok());
    EXPECT_EQ(json::serialize(body), R"({"limits":{"requests_per_minute":60,"tokens_per_month":null},"models":["a","none"]})");
    options.models = {"none"};
    EXPECT_TRUE(put_limits(options, body).ok());
    EXPECT_TRUE(body.at("models").as_array().empty());
    options.concurrent = "two";
    EXPECT_NE(put_limits(options, body).error().message.find("--concurrent"), std::string::npos);
}

TEST(LimitsText, ShortAndWhole) {
    const auto text = [](const char* object) { return limits_text(json::parse(object).as_object()); };
    EXPECT_EQ(text("{}"), "none");
    EXPECT_EQ(text(R"({"limits":{"requests_per_minute":null},"scopes":["inference","management"],"models":[]})"), "none");
    EXPECT_EQ(text(R"({"limits":{"requests_per_minute":60,"tokens_per_minute":10000,"concurrent_requests":2,"tokens_per_month":2500000},
                       "scopes":["inference"],"models":["a","b"]})"),
              "60 rpm, 10k tpm, 2 at once, 2500k a month, inference only, models a,b");
    EXPECT_EQ(text(R"({"models":["a","b","c","d"]})"), "4 models");
    EXPECT_EQ(text(R"({"models":[1],"scopes":[2],"limits":3})"), "models ?");
}

}  // namespace
}  // namespace gantry::cli
