#include "cli/edit_distance.h"

#include <gtest/gtest.h>

#include <string>

namespace gantry::cli {
namespace {

TEST(EditDistance, CountsLettersPutInLeftOutReplacedAndSwapped) {
    EXPECT_EQ(edit_distance("", ""), 0u);
    EXPECT_EQ(edit_distance("deploy", "deploy"), 0u);
    EXPECT_EQ(edit_distance("", "abc"), 3u);
    EXPECT_EQ(edit_distance("abc", ""), 3u);
    EXPECT_EQ(edit_distance("serv", "serve"), 1u);
    EXPECT_EQ(edit_distance("servve", "serve"), 1u);
    EXPECT_EQ(edit_distance("sarve", "serve"), 1u);
    EXPECT_EQ(edit_distance("depoly", "deploy"), 1u) << "a swap is one mistake, not two";
    EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
    EXPECT_EQ(edit_distance("ca", "abc"), 3u) << "nothing is put in between letters that were swapped";
}

TEST(EditDistance, IsTheSameInBothDirections) {
    const std::string words[] = {"", "a", "ab", "ba", "abcd", "badc", "logs", "slog", "requests", "reqeusts"};
    for (const std::string& a : words) {
        for (const std::string& b : words) {
            EXPECT_EQ(edit_distance(a, b), edit_distance(b, a)) << a << " " << b;
            EXPECT_EQ(edit_distance(a, b) == 0, a == b);
        }
    }
}

}  // namespace
}  // namespace gantry::cli
