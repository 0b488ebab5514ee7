#include "cli/output.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gantry::cli {
namespace {

using testing::HasSubstr;

Table example() {
    Table table({"NAME", "STATE", "SIZE", "REASON"});
    table.add({"a", {"running", Colour::kGreen}, {"7 B", Colour::kNone, true}, "a rather long reason that goes on"});
    table.add({"long-name", {"error", Colour::kRed}, {"100 B", Colour::kNone, true}, ""});
    return table;
}

TEST(Table, AlignsColumns) {
    EXPECT_EQ(example().text(true, false, 200),
              "NAME       STATE    SIZE   REASON\n"
              "a          running    7 B  a rather long reason that goes on\n"
              "long-name  error    100 B\n");
}

TEST(Table, WithoutHeaders) { EXPECT_THAT(example().text(false, false, 200), testing::Not(HasSubstr("NAME"))); }

TEST(Table, CutsTheLastColumnAtTheTerminalsEnd) {
    EXPECT_THAT(example().text(true, false, 40), HasSubstr("  7 B  a rather long\n")) << "27 columns stand before it, 13 are left";
}

TEST(Table, ColoursOnlyWhenAsked) {
    EXPECT_THAT(example().text(true, true, 200), HasSubstr("\x1b[32mrunning\x1b[0m"));
    EXPECT_THAT(example().text(true, false, 200), testing::Not(HasSubstr("\x1b")));
}

TEST(Table, ForeignTextCannotBreakIt) {
    Table table({"NAME"});
    table.add({"x\x1b[2J\ny"});
    EXPECT_EQ(table.text(false, false, 80), "x?[2J y\n");
}

TEST(Fields, WrongTypesReadAsNothing) {
    const json::object object = {{"text", "x"}, {"number", 7}, {"real", 1.5}, {"flag", true}, {"none", nullptr}};
    EXPECT_EQ(text_at(object, "text"), "x");
    EXPECT_EQ(text_at(object, "number"), "");
    EXPECT_EQ(text_at(object, "missing"), "");
    EXPECT_EQ(number_at(object, "number"), 7);
    EXPECT_EQ(number_at(object, "real"), 1);
    EXPECT_EQ(number_at(object, "none"), 0);
    EXPECT_TRUE(flag_at(object, "flag"));
    EXPECT_FALSE(flag_at(object, "text"));
    EXPECT_TRUE(object_at(object, "text").empty());
    EXPECT_TRUE(array_at(object, "none").empty());
}

}  // namespace
}  // namespace gantry::cli
