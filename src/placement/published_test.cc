#include "placement/published_for_test.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace gantry::placement {
namespace {

TEST(estimate, comes_near_what_others_published_or_says_why_not) {
    const std::vector<Compared> all = compare_published(GANTRY_SOURCE_DIR "/tests/data/placement/published.json");
    std::set<std::string> models;
    for (const Compared& c : all) {
        models.insert(c.model);
        EXPECT_TRUE(c.source.starts_with("https://")) << c.model;
        EXPECT_GT(c.ours_mib, 0) << c.model << ", " << c.what;
        EXPECT_LE(std::abs(c.difference()), c.within) << c.model << ", " << c.what << ": " << c.ours_mib << " MiB, published " << c.published_mib;
        EXPECT_TRUE(std::abs(c.difference()) < 0.05 || !c.reason.empty()) << c.model << " differs without a reason";
    }
    EXPECT_GE(models.size(), 20u);
}

}  // namespace
}  // namespace gantry::placement
