#include "control/reconcile_plan.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "control/action_names_for_test.h"

namespace gantry::control {
namespace {

// A small world: deployment "d" (2 generations at most), workers w1.. ; instances are written "id index generation state
// [worker] [stopping]".
struct World {
    PlanInput input;

    World() {
        Worker w;
        w.id = WorkerId("w1");
        w.name = "w1";
        w.state = WorkerState::kReady;
        w.os = "linux";
        w.arch = "x86_64";
        Device cpu;
        cpu.vendor = "cpu";
        cpu.memory_total_bytes = cpu.memory_free_bytes = 64ull << 30;
        w.devices = {cpu};
        input.snapshot.workers.push_back(w);
        Deployment d;
        d.id = DeploymentId("d");
        d.name = "d";
        input.snapshot.deployments.push_back(d);
    }
    Deployment& d() { return input.snapshot.deployments[0]; }
    Worker& w() { return input.snapshot.workers[0]; }
    Instance& add(const std::string& id, uint32_t index, InstanceState state = InstanceState::kRunning,
                  const std::string& worker = "w1") {
        Instance i;
        i.id = InstanceId(id);
        i.deployment_id = DeploymentId("d");
        i.index = index;
        i.state = state;
        i.worker_id = WorkerId(worker);
        input.snapshot.instances.push_back(i);
        return input.snapshot.instances.back();
    }
    std::string planned() const { return names_of<ActionNameWithWorker>(plan(input)); }
};

TEST(Plan, WhatIsStillBeingReadWaits) {
    World world;
    world.d().source = "file:/m.gguf";
    world.add("i", 0, InstanceState::kPending, "");
    world.input.knowledge.reading = {"file:/m.gguf"};
    const std::vector<Action> actions = plan(world.input);
    ASSERT_EQ(actions.size(), 1u);
    ASSERT_TRUE(std::holds_alternative<ExplainInstance>(actions[0]));
    EXPECT_EQ(std::get<ExplainInstance>(actions[0]).reason, "reading the model's files");
    world.input.knowledge.reading.clear();
    EXPECT_TRUE(std::holds_alternative<PlaceInstance>(plan(world.input).at(0))) << "of an unknown need it is placed all the same";
}

struct Case {
    const char* what;
    void (*arrange)(World&);
    const char* expected;
};

void check(const std::vector<Case>& cases) {
    for (const Case& c : cases) {
        SCOPED_TRACE(c.what);
        World world;
        c.arrange(world);
        EXPECT_EQ(world.planned(), c.expected);
    }
}

TEST(plan, creating_and_placing) {
    check({
        {"a new deployment gets its instance", [](World&) {}, "create:0@1"},
        {"all that are missing at once", [](World& w) { w.d().replicas = 3; }, "create:0@1 create:1@1 create:2@1"},
        {"nothing to do", [](World& w) { w.add("a", 0); }, ""},
        {"the smallest free index",
         [](World& w) {
             w.d().replicas = 3;
             w.add("a", 0);
             w.add("c", 2);
         },
         "create:1@1"},
        {"a pending one is placed", [](World& w) { w.add("a", 0, InstanceState::kPending, ""); }, "place:a>w1"},
        {"no worker: explained",
         [](World& w) {
             w.input.snapshot.workers.clear();
             w.add("a", 0, InstanceState::kPending, "");
         },
         "explain:a"},
        {"explained already: silence",
         [](World& w) {
             w.input.snapshot.workers.clear();
             w.add("a", 0, InstanceState::kPending, "").reason =
                 "no worker is there to run it: start one, or the server without --no-worker";
         },
         ""},
        {"an instance in error is the worker's to restart", [](World& w) { w.add("a", 0, InstanceState::kError); }, ""},
        {"an unreachable worker's instance keeps its place",
         [](World& w) {
             w.w().state = WorkerState::kUnreachable;
             w.add("a", 0, InstanceState::kUnreachable);
         },
         ""},
        {"zero replicas", [](World& w) { w.d().replicas = 0; }, ""},
    });
}

// w1 is drained, w2 is not.
World draining(uint32_t replicas) {
    World w;
    w.d().replicas = replicas;
    Worker second = w.w();
    second.id = WorkerId("w2");
    second.name = "w2";
    w.input.snapshot.workers.push_back(second);
    w.w().cordoned = true;
    w.w().state = WorkerState::kDraining;
    w.w().drain_by = WallTime(std::chrono::seconds(100));
    w.input.now = WallTime(std::chrono::seconds(50));
    return w;
}

TEST(plan, a_drain_moves_before_it_stops) {
    World w = draining(1);
    w.add("old", 0);
    EXPECT_EQ(w.planned(), "create:1@1") << "the old one serves on";
    w.add("new", 1, InstanceState::kPending, "");
    EXPECT_EQ(w.planned(), "place:new>w2");
    w.input.snapshot.instances[1].worker_id = WorkerId("w2");
    w.input.snapshot.instances[1].state = InstanceState::kStarting;
    EXPECT_EQ(w.planned(), "");
    w.input.snapshot.instances[1].state = InstanceState::kRunning;
    EXPECT_EQ(w.planned(), "stop:old");
    w.input.snapshot.instances[0].stopping = true;
    EXPECT_EQ(w.planned(), "") << "neither is missing while the old one ends";
    w.input.gone.insert(InstanceId("old"));
    EXPECT_EQ(w.planned(), "delete:old");
    w.input.snapshot.instances.erase(w.input.snapshot.instances.begin());
    EXPECT_EQ(w.planned(), "");
}

TEST(plan, a_drain_of_several_keeps_as_many_serving) {
    World w = draining(2);
    w.add("a", 0);
    w.add("b", 1);
    EXPECT_EQ(w.planned(), "create:2@1 create:3@1");
    w.add("c", 2, InstanceState::kRunning, "w2");
    w.add("d", 3, InstanceState::kStarting, "w2");
    EXPECT_EQ(w.planned(), "stop:a");
    w.input.snapshot.instances[0].stopping = true;
    EXPECT_EQ(w.planned(), "");
    w.input.snapshot.instances[3].state = InstanceState::kRunning;
    EXPECT_EQ(w.planned(), "stop:b");
}

TEST(plan, a_drain_ends_at_its_deadline_whatever_serves) {
    World w = draining(1);
    w.add("old", 0);
    w.add("new", 1, InstanceState::kStarting, "w2");
    w.input.now = WallTime(std::chrono::seconds(100));
    EXPECT_EQ(w.planned(), "stop:old");
}

TEST(plan, a_drain_stops_at_once_what_serves_nobody) {
    World w = draining(1);
    w.add("old", 0, InstanceState::kError);
    EXPECT_EQ(w.planned(), "create:1@1 stop:old");
    World stopped = draining(1);
    stopped.d().stopped = true;
    stopped.add("old", 0);
    EXPECT_EQ(stopped.planned(), "stop:old");
    World edited = draining(1);
    edited.d().generation = 2;
    edited.add("old", 0);
    EXPECT_EQ(edited.planned(), "create:0@2") << "the new generation is made elsewhere, the old one serves on";
}

// An instance on w2 and w1.
World on_both() {
    World w = draining(1);
    w.add("both", 0, InstanceState::kRunning, "w2").placement.claims = {{.worker_id = WorkerId("w2"), .device = {"cpu", 0}},
                                                                       {.worker_id = WorkerId("w1"), .device = {"cpu", 0}}};
    return w;
}

TEST(plan, a_drain_moves_what_has_a_part_there) {
    World w = on_both();
    EXPECT_EQ(w.planned(), "create:1@1");
    w.input.now = WallTime(std::chrono::seconds(100));
    w.add("new", 1, InstanceState::kStarting, "w2");
    EXPECT_EQ(w.planned(), "stop:both");
}

TEST(plan, nobody_waits_for_a_part_on_a_lost_worker) {
    World w = on_both();
    w.w().drain_by.reset();
    w.w().state = WorkerState::kUnreachable;
    w.input.snapshot.instances[0].stopping = true;
    EXPECT_EQ(w.planned(), "create:0@1");
    w.input.snapshot.workers.erase(w.input.snapshot.workers.begin());
    EXPECT_EQ(w.planned(), "create:0@1") << "its other worker has still to confirm";
    w.input.snapshot.workers.clear();
    EXPECT_EQ(w.planned(), "delete:both create:0@1");
}

TEST(plan, a_lost_workers_instances_are_made_elsewhere_and_stay_known) {
    World w = draining(1);
    w.w().drain_by.reset();
    w.w().state = WorkerState::kUnreachable;
    w.add("lost", 0, InstanceState::kUnreachable).stopping = true;   // as the end of its lease leaves it
    EXPECT_EQ(w.planned(), "create:0@1");
    w.add("new", 0, InstanceState::kPending, "");
    EXPECT_EQ(w.planned(), "place:new>w2");
    // It reports again: the lost one is stopped there and confirmed, none is doubled.
    w.w().state = WorkerState::kReady;
    w.w().cordoned = false;
    w.input.snapshot.instances[1].worker_id = WorkerId("w2");
    w.input.snapshot.instances[1].state = InstanceState::kRunning;
    EXPECT_EQ(w.planned(), "");
    w.input.gone.insert(InstanceId("lost"));
    EXPECT_EQ(w.planned(), "delete:lost");
}

TEST(plan, spreads_what_it_places_itself) {
    World world;
    world.d().replicas = 2;
    Worker second = world.w();
    second.id = WorkerId("w2");
    world.input.snapshot.workers.push_back(second);
    world.add("a", 0, InstanceState::kPending, "");
    world.add("b", 1, InstanceState::kPending, "");
    EXPECT_EQ(world.planned(), "place:a>w1 place:b>w2");
}

TEST(plan, stopping) {
    check({
        {"stopped: all", [](World& w) {
             w.d().replicas = 2;
             w.d().stopped = true;
             w.add("a", 0);
             w.add("b", 1);
         },
         "stop:b stop:a"},
        {"scaled down: the highest index", [](World& w) {
             w.add("a", 0);
             w.add("b", 1);
             w.add("c", 2);
         },
         "stop:c stop:b"},
        {"stopping already: nothing new", [](World& w) {
             w.d().stopped = true;
             w.add("a", 0).stopping = true;
         },
         ""},
        {"confirmed gone: deleted", [](World& w) {
             w.d().stopped = true;
             w.add("a", 0).stopping = true;
             w.input.gone.insert(InstanceId("a"));
         },
         "delete:a"},
        {"never placed: deleted at once", [](World& w) {
             w.d().stopped = true;
             w.add("a", 0, InstanceState::kStopping, "").stopping = true;
         },
         "delete:a"},
        {"its worker was removed: deleted", [](World& w) {
             w.d().stopped = true;
             w.add("a", 0, InstanceState::kStopping, "other").stopping = true;
         },
         "delete:a"},
        {"gone but still wanted: not deleted", [](World& w) {
             w.add("a", 0);
             w.input.gone.insert(InstanceId("a"));
         },
         ""},
        {"deployment deleted", [](World& w) {
             w.input.snapshot.deployments.clear();
             w.add("a", 0);
             w.add("b", 1).stopping = true;
         },
         "stop:a"},
        {"deployment deleted, pending: stopped, not placed", [](World& w) {
             w.input.snapshot.deployments.clear();
             w.add("a", 0, InstanceState::kPending, "");
         },
         "stop:a"},
    });
}

TEST(plan, replacing) {
    check({
        {"a restarted one's place is filled only when it is gone", [](World& w) { w.add("a", 0).stopping = true; }, ""},
        {"gone: filled in the same plan", [](World& w) {
             w.add("a", 0).stopping = true;
             w.input.gone.insert(InstanceId("a"));
         },
         "delete:a create:0@1"},
        {"what stops on an unreachable worker holds up nobody", [](World& w) {
             Worker second = w.w();
             second.id = WorkerId("w2");
             w.input.snapshot.workers.push_back(second);
             w.w().state = WorkerState::kUnreachable;
             w.add("a", 0, InstanceState::kUnreachable).stopping = true;
         },
         "create:0@1"},
        {"what does not serve and is of another revision goes at once", [](World& w) {
             w.d().replicas = 3;
             w.d().generation = 2;
             w.add("a", 0, InstanceState::kError);
             w.add("b", 1, InstanceState::kStarting);
             w.add("c", 2);
         },
         "stop:a stop:b create:0@2"},
    });
}

// Whatever the start, applying plans comes to rest with exactly what is wanted, and never over the count.
TEST(plan, converges_from_anywhere) {
    for (unsigned seed = 0; seed < 500; ++seed) {
        SCOPED_TRACE(seed);
        uint64_t state = seed * 2654435761u + 12345;
        const auto pick = [&state](uint64_t n) {
            state = state * 6364136223846793005ull + 1442695040888963407ull;
            return (state >> 33) % n;
        };
        World world;
        world.d().replicas = static_cast<uint32_t>(pick(5));
        world.d().generation = 1 + static_cast<int64_t>(pick(2));
        world.d().stopped = pick(5) == 0;
        for (uint64_t k = pick(6); k > 0; --k) {
            Instance& i = world.add(fmt::format("s{}", k), static_cast<uint32_t>(pick(6)), InstanceState::kRunning,
                                    pick(3) == 0 ? "" : "w1");
            i.state = i.worker_id.empty() ? InstanceState::kPending : InstanceState::kRunning;
            i.generation = 1 + static_cast<int64_t>(pick(static_cast<uint64_t>(world.d().generation)));
            i.stopping = pick(3) == 0;
        }
        auto& instances = world.input.snapshot.instances;
        int fresh = 0;
        bool rest = false;
        for (int round = 0; round < 60 && !rest; ++round) {
            const auto actions = plan(world.input);
            bool acted = !actions.empty();
            for (const Action& action : actions) {
                const auto by_id = [&instances](const InstanceId& id) {
                    return std::find_if(instances.begin(), instances.end(), [&id](const Instance& i) { return i.id == id; });
                };
                if (const auto* create = std::get_if<CreateInstance>(&action)) {
                    world.add(fmt::format("n{}", fresh++), create->index, InstanceState::kPending, "").generation =
                        create->generation;
                } else if (const auto* place = std::get_if<PlaceInstance>(&action)) {
                    by_id(place->id)->placement = *place->decision.placement;
                    by_id(place->id)->worker_id = place->decision.placement->leader();
                    by_id(place->id)->state = InstanceState::kRunning;
                } else if (const auto* stop = std::get_if<StopInstance>(&action)) {
                    by_id(stop->id)->stopping = true;
                } else if (const auto* gone = std::get_if<DeleteInstance>(&action)) {
                    instances.erase(by_id(gone->id));
                }
            }
            // The worker confirms what stops, one round late.
            for (const Instance& i : instances) {
                if (i.stopping && world.input.gone.insert(i.id).second) acted = true;
            }
            rest = !acted;
        }
        ASSERT_TRUE(rest) << "never comes to rest";
        const size_t wanted = world.d().stopped ? 0 : world.d().replicas;
        EXPECT_EQ(instances.size(), wanted);
        std::set<uint32_t> indexes;
        for (const Instance& i : instances) {
            EXPECT_FALSE(i.stopping);
            EXPECT_EQ(i.generation, world.d().generation);
            EXPECT_FALSE(i.worker_id.empty());
            indexes.insert(i.index);
        }
        EXPECT_EQ(indexes.size(), wanted);
    }
}

}  // namespace
}  // namespace gantry::control
