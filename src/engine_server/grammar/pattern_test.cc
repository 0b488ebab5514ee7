#include "engine_server/grammar/pattern.h"

#include <gtest/gtest.h>

namespace gantry::engine_server {
namespace {

std::string rewritten(std::string_view pattern) {
    const Result<Pattern> result = rewrite_pattern(pattern);
    return result ? result->text : "refused: " + result.error().message;
}

TEST(Pattern, IsWrittenInOneSpelling) {
    EXPECT_EQ(rewritten("abc"), "abc");
    EXPECT_EQ(rewritten("^abc$"), "abc") << "the whole string must match anyhow";
    EXPECT_EQ(rewritten("^a|b$"), "(a|b)");
    EXPECT_EQ(rewritten("(?:a|)+?"), "(a|)+");
    EXPECT_EQ(rewritten("[a-c\\d]{2,5}"), "[0-9a-c]{2,5}");
    EXPECT_EQ(rewritten("[c-ea-d]"), "[a-e]");
    EXPECT_EQ(rewritten("x{3}y{3,}"), "x{3}y{3}y*");
    EXPECT_EQ(rewritten("x?y{0,}z{1,}(ab)??"), "x{0,1}y*z+(ab){0,1}");
    EXPECT_EQ(rewritten("\\.\\-\\/"), "\\x2e\\x2d\\x2f");
    EXPECT_EQ(rewritten("\\x41\\u00e9"), "A\\u{e9}");
    EXPECT_EQ(rewritten("é"), "\\u{e9}");
    EXPECT_EQ(rewritten("a-b"), "a\\x2db");
    EXPECT_EQ(rewritten("[a-]"), "[\\x2da]");
}

TEST(Pattern, ClassesLoseWhatJsonEscapes) {
    EXPECT_EQ(rewritten("[ -~]"), "[\\x20-\\x21\\x23-\\x5b\\x5d-\\x7e]");
    EXPECT_EQ(rewritten("[^a]"), "[\\x20-\\x21\\x23-\\x5b\\x5d-\\x60b-\\u{d7ff}\\u{e000}-\\u{10ffff}]");
    EXPECT_EQ(rewritten("\\S").find("\\x22"), std::string::npos);
    EXPECT_EQ(rewritten(".").find("\\u{2028}"), std::string::npos) << "a dot is no line end";
    EXPECT_EQ(rewritten("\\s"), "[\\x20\\u{a0}\\u{1680}\\u{2000}-\\u{200a}\\u{2028}-\\u{2029}\\u{202f}\\u{205f}\\u{3000}\\u{feff}]");
}

TEST(Pattern, RefusesWhatWouldNotBeEnforced) {
    const char* refused[] = {
        "(?=a)b", "(?!a)b", "(?<=a)b", "(?<name>a)", "(?i)a", "a\\b", "\\Ba", "(a)\\1", "\\p{L}", "\\cA", "\\q", "a^b", "a$b", "(^a)", "(a$)",
        "*a", "a**", "a{1}{2}", "a++", "{2}", "a{2", "a{,2}", "a{3,2}", "a}", "a]", "[a", "[]", "[^]", "[b-a]", "[a-\\d]", "(a", "a)", "a\\",
        "\\x4", "\\u12g4", "\"", "\\\\", "\\n", "[\\n\\t]", "\\ud800", "a{129}", "(ab){129}"};
    for (const char* pattern : refused) {
        const Result<Pattern> result = rewrite_pattern(pattern);
        EXPECT_FALSE(result.ok()) << pattern << " became " << (result ? result->text : "");
    }
    EXPECT_FALSE(rewrite_pattern(std::string(kPatternBytesMax + 1, 'a')).ok());
    EXPECT_FALSE(rewrite_pattern(std::string(40, '(') + "a" + std::string(40, ')')).ok());
}

TEST(Pattern, KnowsWhatItCosts) {
    const auto cost = [](std::string_view pattern) { return rewrite_pattern(pattern)->cost; };
    EXPECT_EQ(rewritten("((a{100}){100}){100}").substr(0, 8), "refused:");
    EXPECT_EQ(rewritten("(.{100}){100}").substr(0, 8), "refused:");
    std::string doubling = "a";
    for (int i = 0; i < 20; ++i) {
        doubling = "(" + doubling + "){2,}";
    }
    EXPECT_EQ(rewritten(doubling).substr(0, 8), "refused:");
    for (const char* pattern : {"(a|b)*a((a|b){128}){128}", "(a{100}){21}", "a{128}a{128}(b{100}){18}", "([一-鿿]{128}){35}",
                                "([!#-/:-@]{128}){128}"}) {
        EXPECT_EQ(rewritten(pattern).substr(0, 8), "refused:") << pattern;
    }
    EXPECT_EQ(rewrite_pattern("(ab|[cd]){3}x*y{2,}")->positions, 13U);
    EXPECT_GT(cost("[一-鿿]{100}"), 20'000U);
    EXPECT_GT(cost("[ぁ-ヿ]{100}"), 800U);
    EXPECT_GT(cost("(a{100}){20}"), 5'000U);
    EXPECT_GT(cost("[a-zA-Z]{100}"), 50'000U);
    EXPECT_LT(cost("[0-9]{4}-[0-9]{2}"), 30U);
    EXPECT_GT(cost("."), kTextCost * 4 / 5);
    EXPECT_LT(cost("."), kTextCost * 6 / 5);
}

TEST(Pattern, EveryFormatCanBeRead) {
    for (const char* format : {"date", "time", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}) {
        ASSERT_FALSE(format_pattern(format).empty()) << format;
        const Result<Pattern> pattern = rewrite_pattern(format_pattern(format));
        ASSERT_TRUE(pattern.ok()) << format << pattern.error().message;
        EXPECT_LT(pattern->cost, kPatternCostMax / 2) << format;
    }
    EXPECT_TRUE(format_pattern("uri").empty());
    EXPECT_TRUE(format_pattern("").empty());
}

}  // namespace
}  // namespace gantry::engine_server
