#include "cli/sparkline.h"

#include <gtest/gtest.h>

namespace gantry::cli {
namespace {

TEST(Sparkline, ACharacterAValueAndABlankForNone) {
    EXPECT_EQ(sparkline({0, 0.5, 1, {}, 2}, 1, 40, true), "▁▅█ █");
    EXPECT_EQ(sparkline({0, 0.5, 1, {}, 2}, 1, 40, false), "_=# #");
    EXPECT_EQ(sparkline({}, 1, 40, true), "");
    EXPECT_EQ(sparkline({0.0, 0.0}, 0, 40, true), "▁▁") << "no highest value";
}

TEST(Sparkline, TheHighestOfSeveralStandsForThem) {
    EXPECT_EQ(sparkline({0, 1, 0, {}, {}, {}, 0}, 1, 4, false), "#_ _");
    EXPECT_EQ(sparkline({0, 1, 0, {}, {}}, 1, 2, false), "# ");
    EXPECT_EQ(sparkline(std::vector<std::optional<double>>(61, 1.0), 1, 40, false).size(), 31u);
}

}  // namespace
}  // namespace gantry::cli
