// Updates: how the plan brings a new revision to the instances, and when it takes one back.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "control/action_names_for_test.h"
#include "control/reconcile_plan.h"
#include "placement/fleet_for_test.h"

namespace gantry::control {
namespace {

using namespace std::chrono_literals;
using S = InstanceState;

// One deployment on one machine whose cards hold one instance each: revision 1 served, revision 2 is wanted.
struct World {
    placement::World fleet;
    PlanInput input;

    explicit World(uint32_t replicas = 2, uint32_t cards = 4) {
        std::vector<Device> devices{placement::memory_device(256)};
        for (uint32_t i = 0; i < cards; ++i) devices.push_back(placement::card("nvidia", i, 24, "RTX 4090"));
        input.snapshot = fleet.snapshot;
        input.snapshot.workers = {placement::machine("w", devices)};
        input.knowledge = fleet.knowledge;
        input.now = from_unix_ms(1'700'000'000'000);
        d().replicas = replicas;
        d().generation = d().newest_generation = 2;
        Revision first = revision_of(d()), second = first;
        first.generation = 1;
        first.good_at = input.now - 1h;
        input.snapshot.revisions = {first, second};
    }
    Deployment& d() { return input.snapshot.deployments[0]; }
    std::vector<Instance>& instances() { return input.snapshot.instances; }
    Instance& find(const InstanceId& id) {
        return *std::find_if(instances().begin(), instances().end(), [&id](const Instance& i) { return i.id == id; });
    }

    // On a card; without one, it waits for a place.
    Instance& add(const std::string& id, uint32_t index, int64_t generation, S state, std::optional<uint32_t> on = std::nullopt) {
        Instance i;
        i.id = InstanceId(id);
        i.deployment_id = d().id;
        i.index = index;
        i.generation = generation;
        i.state = state;
        i.created_at = i.state_since = input.now;
        if (on) {
            i.worker_id = input.snapshot.workers[0].id;
            i.placement.claims = {{.worker_id = i.worker_id, .device = {"nvidia", *on}, .bytes = 22 * placement::kGiB}};
        }
        instances().push_back(i);
        return instances().back();
    }
    std::string planned() const { return names_of(plan(input)); }
    std::string why() const {
        for (const Action& action : plan(input)) {
            if (const auto* revert = std::get_if<RevertRollout>(&action)) return revert->why;
        }
        return {};
    }
};

struct Case {
    const char* what;
    uint32_t replicas, cards;
    void (*arrange)(World&);
    const char* expected;
};

void check(const std::vector<Case>& cases) {
    for (const Case& c : cases) {
        SCOPED_TRACE(c.what);
        World world(c.replicas, c.cards);
        c.arrange(world);
        EXPECT_EQ(world.planned(), c.expected);
    }
}

TEST(rollout, new_ones_come_beside_the_old) {
    check({
        {"one more than wanted", 2, 4, [](World& w) {
             w.add("a", 0, 1, S::kRunning, 0);
             w.add("b", 1, 1, S::kRunning, 1);
         },
         "create:0@2"},
        {"as many as may surge", 3, 8, [](World& w) {
             w.d().rollout.max_surge = 2;
             for (uint32_t k = 0; k < 3; ++k) w.add(fmt::format("o{}", k), k, 1, S::kRunning, k);
         },
         "create:0@2 create:1@2"},
        {"while it loads, all old ones serve", 2, 4, [](World& w) {
             w.add("a", 0, 1, S::kRunning, 0);
             w.add("b", 1, 1, S::kRunning, 1);
             w.add("n", 0, 2, S::kStarting, 2);
         },
         ""},
        {"it serves: an old one goes", 2, 4, [](World& w) {
             w.add("a", 0, 1, S::kRunning, 0);
             w.add("b", 1, 1, S::kRunning, 1);
             w.add("n", 0, 2, S::kRunning, 2);
         },
         "stop:a"},
        {"the next waits until its place is free", 2, 4, [](World& w) {
             w.add("a", 0, 1, S::kRunning, 0).stopping = true;
             w.add("b", 1, 1, S::kRunning, 1);
             w.add("n", 0, 2, S::kRunning, 2);
         },
         ""},
        {"which it then gets", 2, 4, [](World& w) {
             w.add("b", 1, 1, S::kRunning, 1);
             w.add("n", 0, 2, S::kRunning, 2);
         },
         "create:1@2"},
        {"the last old one goes", 2, 4, [](World& w) {
             w.add("b", 1, 1, S::kRunning, 1);
             w.add("n", 0, 2, S::kRunning, 2);
             w.add("m", 1, 2, S::kRunning, 3);
         },
         "stop:b"},
        {"all serve: it is done", 2, 4, [](World& w) {
             w.add("n", 0, 2, S::kRunning, 2);
             w.add("m", 1, 2, S::kRunning, 3);
         },
         "finish:2"},
        {"scaled down meanwhile", 1, 4, [](World& w) {
             w.add("a", 0, 1, S::kRunning, 0);
             w.add("b", 1, 1, S::kRunning, 1);
             w.add("n", 0, 2, S::kStarting, 2);
         },
         "stop:a"},
        {"stopped meanwhile", 2, 4, [](World& w) {
             w.d().stopped = true;
             w.add("a", 0, 1, S::kRunning, 0);
             w.add("n", 0, 2, S::kStarting, 2);
         },
         "stop:n stop:a"},
        {"recreate: all old ones first", 2, 4, [](World& w) {
             w.d().rollout.strategy = UpdateStrategy::kRecreate;
             w.add("a", 0, 1, S::kRunning, 0);
             w.add("b", 1, 1, S::kRunning, 1);
         },
         "stop:a stop:b"},
        {"recreate: new ones when the old are gone", 2, 4, [](World& w) {
             w.d().rollout.strategy = UpdateStrategy::kRecreate;
             w.add("a", 0, 1, S::kRunning, 0).stopping = true;
         },
         "create:0@2"},
    });
}

TEST(rollout, where_no_further_one_fits) {
    check({
        {"the only replica goes first", 1, 1, [](World& w) {
             w.add("a", 0, 1, S::kRunning, 0);
             w.add("n", 0, 2, S::kPending);
         },
         "explain:n stop:a"},
        {"and nothing more while it leaves", 1, 1, [](World& w) {
             w.add("a", 0, 1, S::kRunning, 0).stopping = true;
             w.add("n", 0, 2, S::kPending);
         },
         "explain:n"},
        {"but not where that would not help", 1, 1, [](World& w) {
             w.add("a", 0, 1, S::kRunning, 0);
             w.d().placement.device_types = {"amd"};
             w.add("n", 0, 2, S::kPending);
         },
         "explain:n"},
        {"of several none goes unasked", 2, 2, [](World& w) {
             w.add("a", 0, 1, S::kRunning, 0);
             w.add("b", 1, 1, S::kRunning, 1);
             w.add("n", 0, 2, S::kPending);
         },
         "explain:n"},
        {"where one may be missing, one goes", 2, 2, [](World& w) {
             w.d().rollout.max_unavailable = 1;
             w.add("a", 0, 1, S::kRunning, 0);
             w.add("b", 1, 1, S::kRunning, 1);
             w.add("n", 0, 2, S::kPending);
         },
         "explain:n stop:a"},
        {"and the next not before the new one serves", 2, 2, [](World& w) {
             w.d().rollout.max_unavailable = 1;
             w.add("b", 1, 1, S::kRunning, 1);
             w.add("n", 0, 2, S::kStarting, 0);
             w.add("m", 1, 2, S::kPending);
         },
         "explain:m"},
        {"while another new one is on its way none goes", 2, 3, [](World& w) {
             w.d().rollout = {.max_surge = 2, .max_unavailable = 1};
             w.add("a", 0, 1, S::kRunning, 0);
             w.add("b", 1, 1, S::kRunning, 1);
             w.add("n", 0, 2, S::kStarting, 2);
             w.add("m", 1, 2, S::kPending);
         },
         "explain:m"},
        {"no surge is allowed: one goes first", 2, 4, [](World& w) {
             w.d().rollout = {.max_surge = 0, .max_unavailable = 1};
             w.add("a", 0, 1, S::kRunning, 0);
             w.add("b", 1, 1, S::kRunning, 1);
         },
         "stop:a"},
        {"where there is room nobody is missing though it may be", 2, 4, [](World& w) {
             w.d().rollout.max_unavailable = 1;
             w.add("a", 0, 1, S::kRunning, 0);
             w.add("b", 1, 1, S::kRunning, 1);
         },
         "create:0@2"},
    });
}

TEST(rollout, a_failed_one_is_taken_back) {
    check({
        {"a first failure is the worker's to mend", 1, 4, [](World& w) {
             w.add("a", 0, 1, S::kRunning, 0);
             w.add("n", 0, 2, S::kError, 1);
         },
         ""},
        {"several are not", 1, 4, [](World& w) {
             w.add("a", 0, 1, S::kRunning, 0);
             w.add("n", 0, 2, S::kError, 1).restarts = 2;
         },
         "revert:1"},
        {"nor is one that lasts: the file is none", 1, 4, [](World& w) {
             w.add("a", 0, 1, S::kRunning, 0);
             w.add("n", 0, 2, S::kError, 1).state_since = w.input.now - 10s;
         },
         "revert:1"},
        {"it loads, and may", 1, 4, [](World& w) {
             w.add("a", 0, 1, S::kRunning, 0);
             w.add("n", 0, 2, S::kStarting, 1).state_since = w.input.now - 899s;
         },
         ""},
        {"it loads for too long", 1, 4, [](World& w) {
             w.add("a", 0, 1, S::kRunning, 0);
             w.add("n", 0, 2, S::kStarting, 1).state_since = w.input.now - 900s;
         },
         "revert:1"},
        {"its worker is lost, which says nothing of it", 1, 4, [](World& w) {
             w.add("a", 0, 1, S::kRunning, 0);
             w.add("n", 0, 2, S::kUnreachable, 1).state_since = w.input.now - 2000s;
         },
         ""},
        {"it finds no room for too long, and is not placed any more", 2, 2, [](World& w) {
             w.add("a", 0, 1, S::kRunning, 0);
             w.add("b", 1, 1, S::kRunning, 1);
             w.add("n", 0, 2, S::kPending).state_since = w.input.now - 900s;
         },
         "revert:1"},
        {"one that was stopped says nothing", 1, 4, [](World& w) {
             w.add("a", 0, 1, S::kRunning, 0);
             Instance& n = w.add("n", 0, 2, S::kError, 1);
             n.restarts = 5;
             n.stopping = true;
         },
         ""},
        {"there is nothing to go back to", 1, 4, [](World& w) {
             w.input.snapshot.revisions[0].good_at.reset();
             w.add("n", 0, 2, S::kError, 1).restarts = 5;
         },
         ""},
        {"what served once is not taken back when it fails", 1, 4, [](World& w) {
             w.input.snapshot.revisions[1].good_at = w.input.now;
             w.add("n", 0, 2, S::kError, 1).restarts = 5;
         },
         ""},
        {"back again: the old ones stay, the failed ones go", 2, 4, [](World& w) {
             w.d().generation = 1;
             w.add("a", 0, 1, S::kRunning, 0);
             w.add("b", 1, 1, S::kRunning, 1);
             w.add("n", 0, 2, S::kError, 2);
         },
         "stop:n"},
    });
    World world(1);
    world.add("a", 0, 1, S::kRunning, 0);
    Instance& n = world.add("n", 0, 2, S::kError, 1);
    n.restarts = 2;
    n.reason = "exited with status 1: no such option";
    EXPECT_EQ(world.why(), "revision 1 is wanted again, because revision 2 did not become ready: exited with status 1: no such option");
}

// ---- any update, on a machine of any size: plays worker, clock and store

struct Draw {
    uint64_t state;
    explicit Draw(unsigned seed) : state(seed * 2654435761u + 12345) {}
    uint32_t operator()(uint32_t n) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        return static_cast<uint32_t>((state >> 33) % n);
    }
};

struct Simulation {
    World world;
    Draw draw;
    bool bad;                 // the new revision never comes up
    uint32_t cards;
    int made = 0;
    bool reverted = false;
    bool stopped_for_room = false;

    Simulation(unsigned seed, uint32_t replicas, uint32_t cards_, bool bad_) : world(replicas, cards_), draw(seed), bad(bad_), cards(cards_) {}

    size_t serving() {
        return static_cast<size_t>(std::count_if(world.instances().begin(), world.instances().end(),
                                                 [](const Instance& i) { return !i.stopping && i.state == S::kRunning; }));
    }

    void apply(const Action& action) {
        if (const auto* create = std::get_if<CreateInstance>(&action)) {
            world.add(fmt::format("n{}", made++), create->index, create->generation, S::kPending);
        } else if (const auto* place = std::get_if<PlaceInstance>(&action)) {
            Instance& i = world.find(place->id);
            i.placement = *place->decision.placement;
            i.worker_id = i.placement.leader();
            set(i, S::kStarting);
        } else if (const auto* explain = std::get_if<ExplainInstance>(&action)) {
            world.find(explain->id).reason = explain->reason;
        } else if (const auto* stop = std::get_if<StopInstance>(&action)) {
            world.find(stop->id).stopping = true;
        } else if (const auto* gone = std::get_if<DeleteInstance>(&action)) {
            std::erase_if(world.instances(), [gone](const Instance& i) { return i.id == gone->id; });
        } else if (const auto* finish = std::get_if<FinishRollout>(&action)) {
            for (Revision& r : world.input.snapshot.revisions) {
                if (r.generation == finish->generation) r.good_at = world.input.now;
            }
        } else if (std::holds_alternative<RevertRollout>(action)) {
            take_revision(world.d(), world.input.snapshot.revisions[0]);
            reverted = true;
        }
    }
    void set(Instance& i, S state) {
        i.state = state;
        i.state_since = world.input.now;
    }

    // What the worker does in a while; true: something happened, or may yet.
    bool work() {
        bool more = false;
        for (Instance& i : world.instances()) {
            if (i.stopping) {
                more = true;
                if (draw(2) == 0) world.input.gone.insert(i.id);
            } else if (i.state == S::kStarting) {
                more = true;
                if (draw(3) > 0) continue;
                const bool fails = bad && i.generation == 2;
                set(i, fails ? S::kError : S::kRunning);
                i.restarts = fails ? 2 : 0;
            } else if (i.state == S::kPending) {
                more = true;
            }
        }
        return more;
    }
};

TEST(rollout, any_update_ends_and_keeps_its_promises) {
    size_t reverted = 0, finished = 0;
    for (unsigned seed = 0; seed < 800; ++seed) {
        SCOPED_TRACE(seed);
        Draw draw(seed + 77);
        const uint32_t replicas = 1 + draw(4);
        Simulation s(seed, replicas, replicas + draw(3), draw(3) == 0);
        RolloutOptions& rollout = s.world.d().rollout;
        rollout.max_surge = draw(3);
        rollout.max_unavailable = draw(3);
        if (draw(6) == 0) rollout.strategy = UpdateStrategy::kRecreate;
        rollout.ready_seconds = 3000;
        for (uint32_t k = 0; k < replicas; ++k) s.world.add(fmt::format("o{}", k), k, 1, S::kRunning, k);

        const bool recreate = rollout.strategy == UpdateStrategy::kRecreate;
        const uint32_t missing = rollout.max_surge == 0 ? std::max(1u, rollout.max_unavailable) : rollout.max_unavailable;
        const bool only_one = replicas == 1 && s.cards == 1;
        const size_t promised = recreate || only_one ? 0 : replicas - std::min(missing, replicas);
        bool rest = false;
        for (int round = 0; round < 400 && !rest; ++round) {
            const auto actions = plan(s.world.input);
            for (const Action& action : actions) s.apply(action);
            ASSERT_GE(s.serving(), promised);
            std::set<std::string> taken;
            for (const Instance& i : s.world.instances()) {
                for (const DeviceClaim& claim : i.placement.claims) {
                    if (claim.device.vendor == "cpu") continue;
                    ASSERT_TRUE(taken.insert(to_string(claim.device)).second) << "two on one card";
                }
            }
            if (!s.reverted) {
                ASSERT_LE(s.world.instances().size(), replicas + rollout.max_surge);
            }
            rest = !s.work() && actions.empty();
            s.world.input.now += 30s;
        }
        ASSERT_TRUE(rest) << "never comes to rest";
        ASSERT_EQ(s.serving(), replicas);
        ASSERT_EQ(s.world.instances().size(), replicas);
        for (const Instance& i : s.world.instances()) EXPECT_EQ(i.generation, s.world.d().generation);
        const bool stuck = !recreate && s.cards == replicas && replicas > 1 && missing == 0;
        EXPECT_EQ(s.world.d().generation, s.bad || stuck ? 1 : 2);
        // With a card to spare, a revision that never serves takes nothing from the one that does.
        if (s.bad && !recreate && rollout.max_surge > 0 && s.cards > replicas) {
            for (const Instance& i : s.world.instances()) EXPECT_TRUE(i.id.text.starts_with("o")) << i.id.text;
        }
        ++(s.reverted ? reverted : finished);
    }
    EXPECT_GT(reverted, 150u);
    EXPECT_GT(finished, 200u);
}

}  // namespace
}  // namespace gantry::control
