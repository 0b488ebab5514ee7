#include "cli/words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gantry::cli {
namespace {

using testing::ElementsAre;

TEST(SplitCommand, QuotesGroupWordsAndNothingIsExpanded) {
    EXPECT_THAT(*split_command("a  b\tc"), ElementsAre("a", "b", "c"));
    EXPECT_THAT(*split_command("a 'b c' \"d e\" f\\ g"), ElementsAre("a", "b c", "d e", "f g"));
    EXPECT_THAT(*split_command("x='1 2'y"), ElementsAre("x=1 2y"));
    EXPECT_THAT(*split_command("\"a\\\"b\" 'a\\b' \"a\\b\""), ElementsAre("a\"b", "a\\b", "a\\b"));
    EXPECT_THAT(*split_command("echo $HOME; rm * | x > y `z`"),
                ElementsAre("echo", "$HOME;", "rm", "*", "|", "x", ">", "y", "`z`"));
    EXPECT_THAT(*split_command("{{model}} --port {{port}} ''"), ElementsAre("{{model}}", "--port", "{{port}}", ""));
    EXPECT_THAT(*split_command(""), ElementsAre());
    EXPECT_FALSE(split_command("a 'b"));
    EXPECT_FALSE(split_command("a \"b"));
}

TEST(ParseCounts, OnlyPositiveNumbersWithinTheLimit) {
    EXPECT_THAT(*parse_counts("1,6", 100), ElementsAre(1, 6));
    EXPECT_THAT(*parse_counts("100", 100), ElementsAre(100));
    for (const char* wrong : {"", "0", "1,", ",1", "a", "1.5", "-1", "101", "1 ,2", "99999999999"}) {
        EXPECT_FALSE(parse_counts(wrong, 100)) << wrong;
    }
}

TEST(ParsePeriod, NumbersWithAUnit) {
    EXPECT_EQ(*parse_period("90s"), 90);
    EXPECT_EQ(*parse_period("15m"), 900);
    EXPECT_EQ(*parse_period("12h"), 43200);
    EXPECT_EQ(*parse_period("30d"), 2592000);
    for (const char* wrong : {"", "30", "d", "-1d", "0s", "1w", "1dd", "99999999999999999999d", "9999999999999d"}) {
        EXPECT_FALSE(parse_period(wrong)) << wrong;
    }
}

TEST(EncodeSegment, ASlashStaysOneSegment) {
    EXPECT_EQ(encode_segment("org/model:7b v"), "org%2Fmodel:7b%20v");
    EXPECT_EQ(encode_segment("a%?#&\n"), "a%25%3F%23%26%0A");
}

TEST(Human, UnitsAndPeriods) {
    EXPECT_EQ(human_bytes(0), "0 B");
    EXPECT_EQ(human_bytes(1023), "1023 B");
    EXPECT_EQ(human_bytes(1536), "1.5 KiB");
    EXPECT_EQ(human_bytes(180u << 20), "180 MiB");
    EXPECT_EQ(human_count(134515008), "134.5M");
    EXPECT_EQ(human_count(7'600'000'000), "7.6B");
    EXPECT_EQ(human_period(-5), "0s");
    EXPECT_EQ(human_period(99), "99s");
    EXPECT_EQ(human_period(180), "3m");
    EXPECT_EQ(human_period(3 * 86400), "3d");
}

TEST(Printable, OthersTextCannotSteerTheTerminal) {
    EXPECT_EQ(printable("a\x1b[31mb\nc\td\x7f"), "a?[31mb c d?");
    EXPECT_EQ(printable("a\u009b31mb\u202ec"), "a?31mb?c") << "one-character CSI, right-to-left override";
    EXPECT_EQ(printable("grün"), "grün");
    EXPECT_EQ(display_width("grün"), 4u);
}

}  // namespace
}  // namespace gantry::cli
