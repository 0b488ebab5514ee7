#include "placement/scorers/scorers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "placement/fleet_for_test.h"

namespace gantry::placement {
namespace {

struct Scorers : testing::Test {
    Worker worker = machine("w1", {card("nvidia", 0, 24), card("nvidia", 1, 80)});
    Standing standing{.largest_room = 80 * kGiB, .explain = true};
    Candidate on(std::vector<uint64_t> rooms) {
        Candidate c;
        for (size_t i = 0; i < rooms.size(); ++i) c.slots.push_back({.worker = &worker, .device = &worker.devices[i], .room = rooms[i] * kGiB});
        return c;
    }
};

TEST_F(Scorers, room_by_capacity) {
    EXPECT_DOUBLE_EQ(score_room(on({20}), standing).score, 25);
    EXPECT_DOUBLE_EQ(score_room(on({20, 60}), standing).score, 50);
    standing.strategy = PlacementStrategy::kBinpack;
    EXPECT_DOUBLE_EQ(score_room(on({20}), standing).score, 75);
    EXPECT_THAT(score_room(on({20}), standing).reason, testing::HasSubstr("20.0 GiB"));
    standing.largest_room = 0;
    EXPECT_GE(score_room(on({0}), standing).score, 0);
}

TEST_F(Scorers, same_deployment_apart) {
    EXPECT_DOUBLE_EQ(score_same_deployment(on({20}), standing).score, 100);
    standing.replicas[worker.id] = 1;
    EXPECT_DOUBLE_EQ(score_same_deployment(on({20}), standing).score, 50);
    EXPECT_THAT(score_same_deployment(on({20}), standing).reason, testing::HasSubstr("there: 1"));
}

TEST_F(Scorers, locality) {
    EXPECT_DOUBLE_EQ(score_locality(on({20}), standing).score, 0);
    standing.has_files.insert(worker.id);
    EXPECT_DOUBLE_EQ(score_locality(on({20}), standing).score, 100);
}

TEST_F(Scorers, equal_chips) {
    Candidate c = on({20, 60});
    EXPECT_DOUBLE_EQ(score_equal_chips(c, standing).score, 100);
    c.equal = false;
    EXPECT_DOUBLE_EQ(score_equal_chips(c, standing).score, 0);
    EXPECT_THAT(score_equal_chips(c, standing).reason, testing::HasSubstr("slowest"));
}

TEST_F(Scorers, links_by_pairs) {
    EXPECT_DOUBLE_EQ(score_links(on({20}), standing).score, 100);
    EXPECT_DOUBLE_EQ(score_links(on({20, 60}), standing).score, 0);
    worker.devices[0].links = {{1, "PHB"}};
    EXPECT_DOUBLE_EQ(score_links(on({20, 60}), standing).score, 0) << "PCIe";
    worker.devices[0].links = {{1, "NV12"}};
    EXPECT_DOUBLE_EQ(score_links(on({20, 60}), standing).score, 100);
    EXPECT_THAT(score_links(on({20, 60}), standing).reason, testing::HasSubstr("1 of 1"));
}

TEST(scorer_weights, are_a_whole) {
    double spread = 0, binpack = 0;
    for (const Scorer& s : kScorers) {
        spread += s.spread;
        binpack += s.binpack;
    }
    EXPECT_NEAR(spread, 1, 1e-9);
    EXPECT_NEAR(binpack, 1, 1e-9);
}

}  // namespace
}  // namespace gantry::placement
