#include "base/edit_distance.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace gantry {
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

TEST(DidYouMean, FindsWhatIsNearAndNothingElse) {
    const std::vector<std::string> verbs = {"serve", "deploy", "devices", "logs", "ls", "ps", "smollm2-135m-instruct"};
    EXPECT_EQ(did_you_mean("depoly", verbs), "deploy");
    EXPECT_EQ(did_you_mean("server", verbs), "serve");
    EXPECT_EQ(did_you_mean("log", verbs), "logs");
    EXPECT_EQ(did_you_mean("smollm", verbs), "smollm2-135m-instruct") << "the start of a long name";
    EXPECT_EQ(did_you_mean("frobnicate", verbs), std::nullopt);
    EXPECT_EQ(did_you_mean("x", verbs), std::nullopt) << "one letter is near to nothing";
    EXPECT_EQ(did_you_mean("", verbs), std::nullopt);
}

}  // namespace
}  // namespace gantry
