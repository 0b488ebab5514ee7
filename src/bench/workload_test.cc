#include "bench/workload.h"

#include <gtest/gtest.h>

#include <set>

namespace gantry::bench {
namespace {

std::string first_words(const std::string& text, int count) {
    size_t end = 0;
    for (int i = 0; i < count; ++i) {
        end = text.find(' ', end + 1);
    }
    return text.substr(0, end);
}

size_t words(const std::string& text) { return 1 + size_t(std::count(text.begin(), text.end(), ' ')); }

TEST(Workload, ComparePromptIsLongAndFreshEachRound) {
    const std::string first = compare_prompt(1, 0);
    const std::string second = compare_prompt(1, 1);
    EXPECT_EQ(first, compare_prompt(1, 0)) << "repeatable by its nonce";
    EXPECT_GT(words(first), 230u) << "300 tokens are about 230 words";
    EXPECT_NE(first_words(first, 1), first_words(second, 1)) << "the first word itself differs";
    EXPECT_NE(first_words(first, 2), first_words(compare_prompt(2, 0), 2)) << "another run, another lead";
}

TEST(Workload, LeadsOfOneRunStartWithDifferentWords) {
    std::set<std::string> seen;
    for (uint32_t i = 0; i < 16384; ++i) {
        EXPECT_TRUE(seen.insert(first_words(lead_sentence(42, i), 2)).second) << i;
    }
    std::set<std::string> neighbours;
    for (uint32_t i = 0; i < 128; ++i) {
        EXPECT_TRUE(neighbours.insert(first_words(lead_sentence(42, i), 1)).second) << i;
    }
}

TEST(Workload, OwnTextsDifferFromTheFirstWordAndHaveTheLengthAskedFor) {
    std::set<std::string> starts;
    for (uint32_t i = 0; i < 40; ++i) {
        const std::string text = own_text(7, i, 400);
        starts.insert(first_words(text, 1));
        EXPECT_NEAR(double(words(text)), 353, 2) << "nine tenths of what the lead and the task leave, and the task";
    }
    EXPECT_EQ(starts.size(), 40u);
}

TEST(Workload, ASharedTextIsFreshForEachRun) {
    EXPECT_EQ(shared_text(7, 0), "");
    EXPECT_NEAR(double(words(shared_text(7, 200))), 175, 2);
    EXPECT_EQ(shared_text(7, 200), shared_text(7, 200));
    EXPECT_NE(first_words(shared_text(7, 200), 2), first_words(shared_text(8, 200), 2));
}

TEST(Workload, ATargetIsReadInAllItsParts) {
    const Result<Target> target = parse_target("rival=http://127.0.0.1:8081,model=m/x,key=s3cret");
    ASSERT_TRUE(target) << target.error().message;
    EXPECT_EQ(target->name, "rival");
    EXPECT_EQ(target->endpoint, "tcp:127.0.0.1:8081");
    EXPECT_EQ(target->base_path, "/v1");
    EXPECT_EQ(target->model, "m/x");
    EXPECT_EQ(target->api_key, "s3cret");
    EXPECT_EQ(target->url, "http://127.0.0.1:8081");
    const Result<Target> deep = parse_target("a=http://host/v1-openai/");
    ASSERT_TRUE(deep);
    EXPECT_EQ(deep->endpoint, "tcp:host:80");
    EXPECT_EQ(deep->base_path, "/v1-openai");
    EXPECT_EQ(deep->model, "a") << "the name stands in for the model";
}

TEST(Workload, AWrongTargetSaysWhatIsWrong) {
    EXPECT_FALSE(parse_target("http://127.0.0.1"));
    EXPECT_FALSE(parse_target("=http://127.0.0.1"));
    EXPECT_FALSE(parse_target("a=127.0.0.1:80"));
    EXPECT_FALSE(parse_target("a=ftp://x"));
    EXPECT_EQ(parse_target("a=https://x")->endpoint, "tls:x:443");
    EXPECT_EQ(parse_target("a=https://x:1/v2")->endpoint, "tls:x:1");
    const Result<Target> unknown = parse_target("a=http://x,modle=m");
    ASSERT_FALSE(unknown);
    EXPECT_NE(unknown.error().message.find("modle"), std::string::npos);
}

TEST(Workload, KeysStayOutOfReports) {
    EXPECT_EQ(without_key("a=http://x,model=m,key=s3cret"), "a=http://x,model=m,key=***");
    EXPECT_EQ(without_key("a=http://x,key=s3cret,model=m"), "a=http://x,key=***,model=m");
    EXPECT_EQ(without_key("a=http://x"), "a=http://x");
}

}  // namespace
}  // namespace gantry::bench
