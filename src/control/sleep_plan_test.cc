// Who may go to sleep, and what the reconciler's plan makes of one that sleeps.
#include "control/sleep_plan.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "control/action_names_for_test.h"
#include "control/reconcile_plan.h"
#include "placement/fleet_for_test.h"

namespace gantry::control {
namespace {

using namespace std::chrono_literals;
using S = InstanceState;

const WallTime kNow = from_unix_ms(1'700'000'000'000);

struct World {
    Snapshot view;

    World() {
        Deployment d;
        d.id = DeploymentId("d");
        d.name = "d";
        d.replicas = 2;
        d.idle_timeout_seconds = 60;
        view.deployments.push_back(d);
    }
    Deployment& d() { return view.deployments[0]; }
    // In this state for so long.
    Instance& add(S state, Duration since = 1h) {
        Instance i;
        i.id = InstanceId(std::to_string(view.instances.size()));
        i.deployment_id = d().id;
        i.state = state;
        i.state_since = i.created_at = kNow - std::chrono::duration_cast<std::chrono::milliseconds>(since);
        i.worker_id = WorkerId(state == S::kPending ? "" : "w");
        view.instances.push_back(i);
        return view.instances.back();
    }
};

TEST(sleep_plan, candidates) {
    struct Case {
        const char* what;
        void (*arrange)(World&);
        bool may;
    };
    const Case cases[] = {
        {"it served long enough", [](World& w) { w.add(S::kRunning, 60s); }, true},
        {"not yet", [](World& w) { w.add(S::kRunning, 59s); }, false},
        {"the last that came counts", [](World& w) { w.add(S::kRunning), w.add(S::kRunning, 59s); }, false},
        {"without a timeout never", [](World& w) { w.add(S::kRunning), w.d().idle_timeout_seconds = 0; }, false},
        {"it sleeps already", [](World& w) { w.add(S::kRunning), w.d().asleep_since = kNow; }, false},
        {"stopped", [](World& w) { w.add(S::kRunning), w.d().stopped = true; }, false},
        {"one is asked for and loads", [](World& w) { w.add(S::kRunning), w.add(S::kStarting); }, false},
        {"one is on its way down", [](World& w) { w.add(S::kRunning), w.add(S::kRunning).stopping = true; }, false},
        {"not yet planned", [](World&) {}, false},
        {"not yet placed", [](World& w) { w.add(S::kPending); }, false},
        {"it waits for room, and nobody for it", [](World& w) { w.add(S::kPending).reason = "no room"; }, true},
        {"the same, since a moment", [](World& w) { w.add(S::kPending, 1s).reason = "no room"; }, false},
        {"an error stays to be seen", [](World& w) { w.add(S::kError); }, false},
        {"the others serve", [](World& w) { w.add(S::kError, 1s), w.add(S::kRunning); }, true},
        {"its worker is away", [](World& w) { w.add(S::kUnreachable); }, false},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.what);
        World world;
        c.arrange(world);
        const auto candidates = sleep_candidates(world.view, kNow);
        ASSERT_EQ(candidates.size(), c.may ? 1u : 0u);
        if (c.may) {
            EXPECT_EQ(candidates[0].deployment.text, "d");
            EXPECT_EQ(candidates[0].idle, Duration(60s));
        }
    }
}

TEST(sleep_plan, sleeps_in_vain) {
    Deployment d;
    EXPECT_FALSE(sleeps_in_vain(d));
    d.asleep_since = kNow;
    EXPECT_FALSE(sleeps_in_vain(d)) << "put to sleep by hand it needs no idle timeout";
    d.stopped = true;
    EXPECT_TRUE(sleeps_in_vain(d));
}

TEST(sleep_plan, what_sleeps_has_no_instances) {
    World world;
    PlanInput input;
    world.d().asleep_since = kNow;
    input.snapshot = world.view;
    EXPECT_EQ(names_of(plan(input)), "") << "none are made";
    world.add(S::kRunning).index = 0;
    world.add(S::kRunning).generation = 2;
    world.add(S::kPending).index = 1;
    input.snapshot = world.view;
    EXPECT_EQ(names_of(plan(input)), "stop:2 stop:1 stop:0") << "whatever they run";
    input.snapshot.deployments[0].generation = 2;
    input.snapshot.revisions = {revision_of(world.d()), revision_of(input.snapshot.deployments[0])};
    input.snapshot.revisions[0].good_at = kNow;
    input.now = kNow + 24h;
    EXPECT_EQ(names_of(plan(input)).find("revert"), std::string::npos) << "nothing has failed";
}

// Two deployments and one card: what leaves it makes room in the plan that finds it gone, so that nobody is told in between that there
// is none.
TEST(sleep_plan, who_waits_is_placed_as_the_room_is_there) {
    placement::World fleet;
    PlanInput input;
    input.snapshot = fleet.snapshot;
    input.snapshot.workers = {placement::machine("w", {placement::memory_device(256), placement::card("nvidia", 0, 24, "RTX 4090")})};
    input.knowledge = fleet.knowledge;
    Deployment& first = input.snapshot.deployments.at(0);
    first.placement.device_types = {"nvidia"};
    Deployment second = first;
    second.id = DeploymentId("second");
    second.name = "second";
    first.asleep_since = kNow;
    Instance leaving;
    leaving.id = InstanceId("leaving");
    leaving.deployment_id = first.id;
    leaving.stopping = true;
    leaving.state = S::kStopping;
    leaving.worker_id = input.snapshot.workers[0].id;
    leaving.placement.claims = {{.worker_id = leaving.worker_id, .device = {"nvidia", 0}, .bytes = 22 * placement::kGiB}};
    Instance waiting;
    waiting.id = InstanceId("waiting");
    waiting.deployment_id = second.id;
    input.snapshot.deployments.push_back(second);
    input.snapshot.instances = {leaving, waiting};
    EXPECT_EQ(names_of(plan(input)), "explain:waiting");
    input.gone.insert(leaving.id);
    EXPECT_EQ(names_of(plan(input)), "delete:leaving place:waiting");
}

}  // namespace
}  // namespace gantry::control
