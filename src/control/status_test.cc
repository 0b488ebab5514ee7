#include "control/status.h"

#include "control/control_test_support.h"
#include "control/publish.h"

namespace gantry::control {
namespace {

using S = InstanceState;

Instance instance(S state, const std::string& reason = "", double progress = 0, bool stopping = false) {
    Instance i;
    i.state = state;
    i.reason = reason;
    i.progress = progress;
    i.stopping = stopping;
    i.endpoint = "unix:/e";
    return i;
}

struct Case {
    const char* what;
    uint32_t replicas;
    bool stopped;
    std::vector<Instance> instances;
    const char* state;
    const char* reason;
    const char* not_ready;
};

TEST(status, table) {
    const std::vector<Case> cases = {
        {"new", 1, false, {}, "pending", "", "pending"},
        {"nowhere to go", 1, false, {instance(S::kPending, "no worker")}, "pending", "no worker", "no worker"},
        {"scheduled", 1, false, {instance(S::kScheduled)}, "starting", "", "loading (0 %)"},
        {"loading", 1, false, {instance(S::kStarting, "", 0.42)}, "starting", "", "loading (42 %)"},
        {"running", 1, false, {instance(S::kRunning)}, "running", "", "running"},
        {"some", 2, false, {instance(S::kRunning), instance(S::kStarting)}, "degraded", "1 of 2 replicas are running", nullptr},
        {"some failed", 2, false, {instance(S::kRunning), instance(S::kError, "boom")}, "degraded",
         "1 of 2 replicas are running: boom", nullptr},
        {"failed", 1, false, {instance(S::kError, "crash loop: 5")}, "error", "crash loop: 5", "crash loop: 5"},
        {"failed with words", 1, false, {instance(S::kError, "exited with status 1: a prompt")}, "error",
         "exited with status 1: a prompt", "exited with status 1"},
        {"one failed, one loads", 2, false, {instance(S::kError, "x"), instance(S::kStarting, "", 1)}, "starting", "",
         "loading (50 %)"},
        {"unreachable", 1, false, {instance(S::kUnreachable)}, "error", "its worker is unreachable",
         "its worker is unreachable"},
        {"stopped", 1, true, {}, "stopped", "", "stopped"},
        {"still stopping", 1, true, {instance(S::kStopping, "", 0, true)}, "stopped", "1 instance is still stopping", "stopped"},
        {"scaled to none", 0, false, {}, "stopped", "0 replicas are wanted", "stopped"},
        {"restarting", 1, false, {instance(S::kStopping, "", 0, true)}, "pending",
         "waits until its former instance has stopped", nullptr},
        {"a stopping one is not counted", 1, false, {instance(S::kStopping, "", 0, true), instance(S::kRunning)}, "running", "",
         nullptr},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.what);
        Deployment d;
        d.replicas = c.replicas;
        d.stopped = c.stopped;
        std::vector<const Instance*> pointers;
        for (const Instance& i : c.instances) pointers.push_back(&i);
        const auto status = deployment_status(d, pointers);
        EXPECT_EQ(status.state, c.state);
        EXPECT_EQ(status.reason, c.reason);
        if (c.not_ready != nullptr) {
            EXPECT_EQ(not_ready_reason(status), c.not_ready);
        }
    }
}

TEST(status, asleep) {
    Deployment d;
    d.idle_timeout_seconds = 90;
    d.asleep_since = from_unix_ms(1);
    const Instance leaving = instance(S::kStopping, "", 0, true);
    const auto status = deployment_status(d, {&leaving});
    EXPECT_EQ(status.state, "asleep");
    EXPECT_EQ(status.reason, "asleep until a request comes");
    EXPECT_EQ(status.rollout.state, "asleep");
    EXPECT_EQ(not_ready_reason(status), "asleep, a request wakes it");
    d.stopped = true;
    EXPECT_EQ(deployment_status(d, {}).state, "stopped");
}

TEST(status, on_its_way) {
    struct Arrival {
        const char* what;
        std::vector<Instance> instances;
        bool without_room, with_room;   // to come
    };
    const std::vector<Arrival> cases = {
        {"just woken", {}, true, true},
        {"its former instance is leaving", {instance(S::kStopping, "", 0, true)}, true, true},
        {"to be placed", {instance(S::kPending)}, true, true},
        {"loading", {instance(S::kStarting)}, true, true},
        {"no room", {instance(S::kPending, "no room")}, false, true},
        {"an error", {instance(S::kError, "bad magic")}, false, false},
        {"one failed, one loads", {instance(S::kError, "x"), instance(S::kStarting)}, true, true},
        {"its worker is away", {instance(S::kUnreachable)}, false, false},
    };
    for (const Arrival& c : cases) {
        SCOPED_TRACE(c.what);
        std::vector<const Instance*> pointers;
        for (const Instance& i : c.instances) pointers.push_back(&i);
        EXPECT_EQ(is_on_its_way(pointers, false), c.without_room);
        EXPECT_EQ(is_on_its_way(pointers, true), c.with_room);
    }
}

TEST(routes, requests_wait_for_what_sleeps_when_idle) {
    Snapshot view;
    Secrets secrets("");
    Deployment d;
    d.id = DeploymentId("d");
    d.name = "m";
    view.deployments = {d};
    Instance waiting = instance(S::kPending, "no room");
    waiting.deployment_id = d.id;
    const auto holds = [&] { return make_routes(view, secrets).models.at("m").holds; };
    EXPECT_FALSE(holds()) << "it is on its way, but never sleeps";
    EXPECT_TRUE(make_routes(view, secrets, {d.id}).models.at("m").holds) << "it was put to sleep by hand, and is being woken";
    view.deployments[0].idle_timeout_seconds = 60;
    EXPECT_TRUE(holds());
    view.instances = {waiting};
    EXPECT_FALSE(holds()) << "nothing to wait for";
    Instance other = instance(S::kStopping, "", 0, true);
    other.deployment_id = DeploymentId("other");
    other.worker_id = WorkerId("w");
    view.instances.push_back(other);
    EXPECT_TRUE(holds()) << "what leaves may be enough";
    view.instances[1].state = S::kUnreachable;
    EXPECT_FALSE(holds()) << "that may never leave";
    view.instances[0].state = S::kRunning;
    view.deployments[0].asleep_since = from_unix_ms(1);
    EXPECT_TRUE(holds());
    EXPECT_TRUE(make_routes(view, secrets).models.at("m").targets.empty()) << "it is about to end";
    view.deployments[0].stopped = true;
    EXPECT_FALSE(holds());
}

TEST(routes, only_what_serves_is_a_target) {
    Snapshot view;
    Secrets secrets("");
    Deployment d;
    d.id = DeploymentId("d");
    d.name = "m";
    d.source = "file:/m";
    d.replicas = 4;
    view.deployments.push_back(d);
    Model model;
    model.source = "file:/m";
    model.meta.context_length = 2048;
    view.models.push_back(model);
    for (const auto& [id, state, stopping] : {std::tuple("run", S::kRunning, false), std::tuple("stop", S::kRunning, true),
                                              std::tuple("load", S::kStarting, false), std::tuple("lost", S::kUnreachable, false)}) {
        Instance i = instance(state, "", 0, stopping);
        i.id = InstanceId(id);
        i.deployment_id = d.id;
        i.api_key = "k";
        view.instances.push_back(i);
    }
    auto routes = make_routes(view, secrets);
    const auto& entry = routes.models.at("m");
    ASSERT_EQ(entry.targets.size(), 1u);
    EXPECT_EQ(entry.targets[0].instance_id.text, "run");
    EXPECT_EQ(entry.targets[0].api_key, "k");
    EXPECT_EQ(entry.context_length, 2048u);
    view.deployments[0].options.context_tokens = 512;
    EXPECT_EQ(make_routes(view, secrets).models.at("m").context_length, 512u);
    view.deployments[0].stopped = true;
    EXPECT_TRUE(make_routes(view, secrets).models.at("m").targets.empty());
    EXPECT_TRUE(make_routes(view, secrets).models.at("m").stopped);
    EXPECT_EQ(make_routes(view, secrets).models.at("m").not_ready_reason, "stopped");
}

TEST(routes, a_providers_models_are_models) {
    TempDir dir;
    Secrets secrets(dir.path());
    Snapshot view;
    Provider p;
    p.id = ProviderId("prv_1");
    p.name = "openai";
    p.base_url = "https://api.example/v1";
    p.sealed_key = secrets.seal("sk-secret", "prv_1").value();
    p.models = {"gpt-4o", "org/b"};
    view.providers = {p};
    const auto routes = make_routes(view, secrets);
    ASSERT_EQ(routes.models.size(), 2u);
    const auto& entry = routes.models.at("openai/org/b");
    ASSERT_EQ(entry.targets.size(), 1u);
    EXPECT_EQ(entry.targets[0].instance_id.text, "prv_1");
    EXPECT_EQ(entry.targets[0].endpoint, "tls:api.example:443");
    EXPECT_EQ(entry.targets[0].api_key, "sk-secret");
    EXPECT_EQ(entry.outside->base_path, "/v1");
    EXPECT_EQ(entry.outside->model, "org/b");

    TempDir elsewhere;
    Secrets other(elsewhere.path());
    const auto closed = make_routes(view, other).models.at("openai/gpt-4o");
    EXPECT_TRUE(closed.targets.empty());
    EXPECT_EQ(closed.not_ready_reason, "its key can't be read: it was sealed with another secrets.key; set it again with gantry providers edit");
    view.providers[0].sealed_key.clear();
    EXPECT_EQ(make_routes(view, other).models.at("openai/gpt-4o").targets.at(0).api_key, "") << "it wants none";
    view.providers[0].disabled = true;
    EXPECT_TRUE(make_routes(view, secrets).models.empty());
}

TEST(auth_table, holds_no_password_hashes) {
    store::Store::AuthRows rows;
    User u;
    u.id = UserId("u");
    u.password_hash = "hash";
    rows.users.push_back(u);
    EXPECT_EQ(make_auth(rows).users.at(UserId("u")).password_hash, "");
}

}  // namespace
}  // namespace gantry::control
