#include <gtest/gtest.h>

#include "placement/fleet_for_test.h"

namespace gantry::placement {
namespace {

uint64_t gib_left(const World& world, const std::string& vendor, uint32_t index = 0) {
    return Room(world.snapshot).of(WorkerId("wrk_w1"), {vendor, index}).allocatable_bytes / kGiB;
}

TEST(room, is_the_total_less_a_reserve) {
    World world;
    world.snapshot.workers = {machine("w1", {memory_device(64), memory_device(4)})};
    world.snapshot.workers[0].devices[1].index = 1;
    EXPECT_EQ(gib_left(world, "cpu"), 63u);
    const Room room(world.snapshot);
    EXPECT_EQ(room.of(WorkerId("wrk_w1"), {"cpu", 1}).reserved_bytes, 4 * kGiB / 10);
    EXPECT_EQ(room.of(WorkerId("wrk_w1"), {"nvidia", 7}).allocatable_bytes, 0u);
    EXPECT_EQ(room.of(WorkerId("wrk_nobody"), {"cpu", 0}).allocatable_bytes, 0u);
}

TEST(room, counts_what_is_booked_whether_it_is_used_yet_or_not) {
    for (const double used : {0.0, 0.5, 1.0}) {
        World world;
        world.snapshot.workers = {machine("w1", {card("nvidia", 0, 80)})};
        world.add("first", {.claims = {claim("w1", "nvidia", 0, 30)}}, used);
        EXPECT_EQ(gib_left(world, "nvidia"), 49u) << used;
    }
}

TEST(room, what_is_used_beyond_a_claim_is_missing) {
    World world;
    world.snapshot.workers = {machine("w1", {card("nvidia", 0, 80)})};
    world.add("first", {.claims = {claim("w1", "nvidia", 0, 30)}}, 1.5);
    EXPECT_EQ(gib_left(world, "nvidia"), 35u);
    // Nobody knows what a command takes, but it is measured.
    world.add("custom", {.claims = {claim("w1", "nvidia", 0, 0)}}, 0);
    world.use(world.snapshot.instances[1], claim("w1", "nvidia", 0, 0), 10 * kGiB);
    EXPECT_EQ(gib_left(world, "nvidia"), 25u);
}

TEST(room, of_others_processes_is_missing_and_named_as_foreign) {
    World world;
    world.snapshot.workers = {machine("w1", {card("ascend", 0, 64)})};
    world.add("first", {.claims = {claim("w1", "ascend", 0, 20)}});
    add_foreign(world.snapshot.workers[0].devices[0], 99, "python", 14);
    const Room::OfDevice left = Room(world.snapshot).of(WorkerId("wrk_w1"), {"ascend", 0});
    EXPECT_EQ(left.allocatable_bytes / kGiB, 30u);
    EXPECT_EQ(left.foreign_bytes / kGiB, 14u);
    EXPECT_EQ(left.claimed_bytes / kGiB, 20u);
    EXPECT_EQ(left.instances, 1u);
}

TEST(room, without_a_list_of_processes_what_started_instances_booked_is_ours) {
    World world;
    world.snapshot.workers = {machine("w1", {card("amd", 0, 64)})};
    Instance& first = world.add("first", {.claims = {claim("w1", "amd", 0, 20)}}, 0);
    Device& gpu = world.snapshot.workers[0].devices[0];
    gpu.memory_free_bytes -= 23 * kGiB;
    first.pid = 4711;
    EXPECT_EQ(gib_left(world, "amd"), 41u);   // 3 GiB are somebody else's
    first.pid = 0;                            // not started: all of it is
    EXPECT_EQ(gib_left(world, "amd"), 21u);
}

TEST(room, of_memory_takes_mapped_files_for_available) {
    World world;
    world.snapshot.workers = {machine("w1", {memory_device(64)})};
    Instance& first = world.add("first", {.claims = {claim("w1", "cpu", 0, 20)}}, 0);
    first.memory_private_bytes = 5 * kGiB;   // of its 20 GiB 15 are weights, which are mapped
    world.snapshot.workers[0].devices[0].memory_free_bytes = (64 - 5) * kGiB;
    EXPECT_EQ(gib_left(world, "cpu"), 43u);
    Instance old;   // of an older version: nothing says what was booked
    old.id = InstanceId("ins_old");
    old.worker_id = WorkerId("wrk_w1");
    old.memory_bytes = 10 * kGiB;
    old.stopping = true;   // holds it until it is gone
    world.snapshot.instances.push_back(old);
    EXPECT_EQ(gib_left(world, "cpu"), 33u);
}

TEST(room, of_unified_memory_is_the_machines) {
    World world;
    world.snapshot.workers = {machine("w1", {memory_device(64), card("apple", 0, 48)})};
    world.snapshot.workers[0].devices[1].unified_memory = true;
    world.add("first", {.claims = {claim("w1", "apple", 0, 20)}}, 0);
    world.add("second", {.claims = {claim("w1", "cpu", 0, 20)}}, 0);
    EXPECT_EQ(gib_left(world, "cpu"), 23u);
    EXPECT_EQ(gib_left(world, "apple"), 23u);
}

TEST(room, books_and_releases) {
    World world;
    world.snapshot.workers = {machine("w1", {memory_device(64), card("nvidia", 0, 80)})};
    const Placement running{.claims = {claim("w1", "nvidia", 0, 30)}};
    world.add("first", running, 0.5);
    Room room(world.snapshot);
    const auto left = [&] { return room.of(WorkerId("wrk_w1"), {"nvidia", 0}).allocatable_bytes / kGiB; };
    const Placement more{.claims = {claim("w1", "nvidia", 0, 40), claim("w1", "cpu", 0, 4)}};
    room.book(more);
    EXPECT_EQ(left(), 9u);
    room.release(running);
    EXPECT_EQ(left(), 39u);
    room.release(more);
    EXPECT_EQ(left(), 79u);
    EXPECT_EQ(room.of(WorkerId("wrk_w1"), {"cpu", 0}).allocatable_bytes / kGiB, 63u);
    room.book({.claims = {claim("w1", "nvidia", 0, 200)}});
    EXPECT_EQ(left(), 0u);
}

}  // namespace
}  // namespace gantry::placement
