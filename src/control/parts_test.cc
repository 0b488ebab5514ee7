#include "control/parts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gantry::control {
namespace {

using testing::HasSubstr;

const WorkerId kLeader("wrk_a"), kFollower("wrk_b");

// Two workers, a part on each, and what they report.
struct Pair {
    protocol::InstanceSpec spec;
    PartsSeen seen;
    PartWorkers workers{{kLeader, {.name = "a", .data_address = "10.0.0.1"}}, {kFollower, {.name = "b", .data_address = "10.0.0.2"}}};

    explicit Pair(BackendKind backend = BackendKind::kLlamaServer) {
        spec.backend = backend;
        spec.placement.claims = {{.worker_id = kLeader, .device = {"ascend", 0}}, {.worker_id = kFollower, .device = {"ascend", 3}}};
    }
    PartSeen& part(const WorkerId& worker, uint32_t attempt, bool prepared = true, uint32_t port = 0) {
        PartSeen& part = seen[worker];
        part.attempt = attempt;
        part.prepared = prepared;
        part.peer_port = port;
        return part;
    }
    protocol::InstanceSpec told(const WorkerId& worker) const {
        protocol::InstanceSpec out = spec;
        tell_parts(out, worker, seen, workers);
        return out;
    }
    Instance shown() const {
        Instance i;
        i.worker_id = kLeader;
        i.placement = spec.placement;
        i.state = InstanceState::kScheduled;
        combine(i, seen, workers);
        return i;
    }
};

TEST(parts, nothing_starts_before_all_have_what_they_need) {
    Pair pair;
    EXPECT_THAT(pair.told(kFollower).waits_for, HasSubstr("worker a has what it needs")) << "nobody has said anything yet";
    pair.part(kLeader, 1, false);
    pair.part(kFollower, 1);
    EXPECT_THAT(pair.told(kFollower).waits_for, HasSubstr("worker a"));
    EXPECT_EQ(pair.told(kFollower).attempt, 1u);
    EXPECT_EQ(pair.told(kFollower).part, 1u);
    pair.part(kLeader, 1);
    EXPECT_EQ(pair.told(kFollower).waits_for, "");
}

TEST(parts, of_llama_cpp_the_leading_one_waits_for_the_others_to_listen) {
    Pair pair;
    pair.part(kLeader, 1);
    pair.part(kFollower, 1);
    EXPECT_THAT(pair.told(kLeader).waits_for, HasSubstr("worker b listens"));
    pair.part(kFollower, 1, true, 4711);
    const auto spec = pair.told(kLeader);
    EXPECT_EQ(spec.waits_for, "");
    ASSERT_EQ(spec.peers.size(), 2u);
    EXPECT_EQ(spec.peers[1].address, "10.0.0.2");
    EXPECT_EQ(spec.peers[1].port, 4711u);
}

TEST(parts, of_vllm_the_others_wait_for_the_leading_one) {
    Pair pair(BackendKind::kVllm);
    pair.part(kLeader, 1);
    pair.part(kFollower, 1);
    EXPECT_EQ(pair.told(kLeader).waits_for, "");
    EXPECT_THAT(pair.told(kFollower).waits_for, HasSubstr("worker a listens"));
    pair.part(kLeader, 1, true, 29501);
    EXPECT_EQ(pair.told(kFollower).waits_for, "");
}

TEST(parts, the_end_of_one_is_the_end_of_all) {
    Pair pair;
    pair.part(kLeader, 1);
    pair.part(kFollower, 2);   // its process has ended, and it could start in the next
    EXPECT_EQ(pair.told(kLeader).attempt, 2u);
    EXPECT_EQ(pair.told(kFollower).attempt, 2u);
    EXPECT_THAT(pair.told(kFollower).waits_for, HasSubstr("worker a")) << "which has not ended yet";
    pair.part(kLeader, 2);     // both ended of the same cause: one next attempt, not two
    EXPECT_EQ(pair.told(kLeader).attempt, 2u);
    EXPECT_EQ(pair.told(kFollower).waits_for, "");
}

TEST(parts, a_port_of_an_earlier_attempt_is_none) {
    Pair pair;
    pair.part(kLeader, 3);
    pair.part(kFollower, 2, true, 4711);
    EXPECT_EQ(pair.told(kLeader).peers[1].port, 0u);
}

TEST(parts, a_worker_without_an_address_is_named) {
    Pair pair;
    pair.part(kLeader, 1);
    pair.part(kFollower, 1);
    pair.workers[kFollower].data_address.clear();
    EXPECT_THAT(pair.told(kLeader).waits_for, HasSubstr("worker b to say at which address"));
}

TEST(parts, after_a_restart_of_the_server_the_attempt_is_what_is_known_of_it) {
    Pair pair;
    pair.part(kFollower, 4, true, 4711);   // runs; the other one has not reported yet
    EXPECT_EQ(pair.told(kFollower).attempt, 4u);
}

TEST(parts, npus_are_told_by_the_addresses_of_their_ports) {
    Pair pair(BackendKind::kMindie);
    Device npu;
    npu.vendor = "ascend";
    npu.index = 3;
    npu.network_address = "172.16.0.3";
    pair.workers[kFollower].devices = {npu};
    EXPECT_THAT(pair.told(kLeader).peers[1].device_addresses, testing::ElementsAre("172.16.0.3"));
    EXPECT_THAT(pair.told(kLeader).peers[0].device_addresses, testing::ElementsAre(""));
}

TEST(parts, together_they_run_when_all_do) {
    Pair pair;
    EXPECT_EQ(pair.shown().state, InstanceState::kScheduled) << "nothing is known: as it was stored";
    ASSERT_EQ(pair.shown().parts.size(), 2u);
    pair.part(kLeader, 1).state = InstanceState::kRunning;
    pair.part(kFollower, 1).state = InstanceState::kRunning;
    pair.seen[kLeader].memory_bytes = 3;
    pair.seen[kFollower].memory_bytes = 4;
    EXPECT_EQ(pair.shown().state, InstanceState::kRunning);
    EXPECT_EQ(pair.shown().memory_bytes, 7u);
    pair.seen[kFollower].state = InstanceState::kError;
    pair.seen[kFollower].reason = "killed by SIGKILL";
    EXPECT_EQ(pair.shown().state, InstanceState::kError);
    EXPECT_EQ(pair.shown().reason, "on worker b: killed by SIGKILL");
    pair.part(kFollower, 2).state = InstanceState::kScheduled;
    pair.seen[kFollower].reason = "waits";
    EXPECT_EQ(pair.shown().state, InstanceState::kStarting);
    pair.part(kFollower, 2).state = InstanceState::kRunning;
    EXPECT_EQ(pair.shown().state, InstanceState::kStarting) << "the leading one still runs in the attempt before";
}

}  // namespace
}  // namespace gantry::control
