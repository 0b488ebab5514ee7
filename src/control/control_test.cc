// The life of a deployment, from the API to the worker and back.
#include "control/control.h"

#include "control/control_test_support.h"

namespace gantry::control {
namespace {

class ControlTest : public testing::Test {
protected:
    TempDir dir_;
    Plane plane_{dir_.path()};

    size_t targets(const std::string& model) {
        const auto routes = plane_.tables().routes();
        const auto found = routes->models.find(model);
        return found == routes->models.end() ? 0 : found->second.targets.size();
    }
    size_t instances() { return plane_.get("/api/v1/instances").body.at("items").as_array().size(); }
};

TEST_F(ControlTest, deploy_scale_edit_stop_start_delete) {
    const Reply made = plane_.ask("POST", "/api/v1/deployments", R"({"name":"m","source":"file:/m.gguf"})");
    ASSERT_EQ(made.status, 201) << made.text;
    EXPECT_EQ(made.string("/status/state"), "pending");
    ASSERT_TRUE(plane_.work_until([&] { return plane_.deployment_state("m") == "running"; }));
    EXPECT_EQ(targets("m"), 1u);
    EXPECT_EQ(plane_.tables().routes()->models.at("m").targets[0].api_key, "engine-secret");
    EXPECT_EQ(plane_.runs()[0].source, "file:/m.gguf");

    ASSERT_EQ(plane_.ask("PATCH", "/api/v1/deployments/m", R"({"replicas":3})").status, 200);
    ASSERT_TRUE(plane_.work_until([&] { return targets("m") == 3; }));

    // The edit replaces one after the other, each new one beside the old: three serve at any moment.
    const Reply edited = plane_.ask("PATCH", "/api/v1/deployments/m", R"({"options":{"threads":2}})");
    EXPECT_EQ(edited.number("/generation"), 2);
    size_t least = 3;
    ASSERT_TRUE(plane_.work_until([&] {
        least = std::min(least, targets("m"));
        const auto& runs = plane_.runs();
        const auto is_new = [](const auto& spec) { return spec.generation == 2; };
        return targets("m") == 3 && runs.size() == 3 && std::all_of(runs.begin(), runs.end(), is_new);
    }));
    EXPECT_EQ(least, 3u);

    ASSERT_EQ(plane_.ask("PATCH", "/api/v1/deployments/m", R"({"stopped":true})").status, 200);
    EXPECT_EQ(targets("m"), 0u) << "in force before the answer";
    ASSERT_TRUE(plane_.work_until([&] { return instances() == 0; }));
    EXPECT_EQ(plane_.deployment_state("m"), "stopped");
    ASSERT_EQ(plane_.ask("PATCH", "/api/v1/deployments/m", R"({"stopped":false,"replicas":1})").status, 200);
    ASSERT_TRUE(plane_.work_until([&] { return plane_.deployment_state("m") == "running"; }));

    ASSERT_EQ(plane_.ask("DELETE", "/api/v1/deployments/m").status, 204);
    EXPECT_EQ(plane_.get("/api/v1/deployments/m").status, 404);
    EXPECT_EQ(targets("m"), 0u);
    ASSERT_TRUE(plane_.work_until([&] { return instances() == 0; }));
    EXPECT_TRUE(plane_.runs().empty());
}

TEST_F(ControlTest, restarting_an_instance_makes_another_after_it_is_gone) {
    plane_.ask("POST", "/api/v1/deployments", R"({"name":"m","source":"file:/m.gguf"})");
    ASSERT_TRUE(plane_.work_until([&] { return targets("m") == 1; }));
    const std::string first = plane_.runs()[0].id.text;
    ASSERT_EQ(plane_.ask("DELETE", "/api/v1/instances/" + first).status, 204);
    EXPECT_EQ(targets("m"), 0u);
    ASSERT_TRUE(plane_.work_until([&] { return targets("m") == 1; }));
    EXPECT_NE(plane_.runs()[0].id.text, first);
    EXPECT_EQ(plane_.runs()[0].index, 0u);
}

TEST_F(ControlTest, the_state_says_what_the_worker_says) {
    plane_.ask("POST", "/api/v1/deployments", R"({"name":"bad","source":"file:/etc/hostname"})");
    ASSERT_TRUE(plane_.work_until([&] { return plane_.deployment_state("bad") == "error"; }, InstanceState::kError));
    EXPECT_EQ(plane_.get("/api/v1/deployments/bad").string("/status/reason"), "invalid model file: bad magic");
    EXPECT_EQ(plane_.tables().routes()->models.at("bad").not_ready_reason, "invalid model file: bad magic");
}

TEST_F(ControlTest, a_silent_worker_is_unreachable_and_comes_back) {
    plane_.ask("POST", "/api/v1/deployments", R"({"name":"m","source":"file:/m.gguf"})");
    ASSERT_TRUE(plane_.work_until([&] { return targets("m") == 1; }));
    plane_.clock().advance(16s);
    ASSERT_TRUE(eventually([&] { return targets("m") == 0; }));
    const Reply i = plane_.get("/api/v1/instances");
    EXPECT_EQ(i.string("/items/0/state"), "unreachable");
    EXPECT_EQ(plane_.get("/api/v1/workers/machine").string("/state"), "unreachable");
    ASSERT_TRUE(plane_.work_until([&] { return targets("m") == 1; }));
    EXPECT_EQ(instances(), 1u) << "the same instance, none doubled";
}

TEST_F(ControlTest, no_worker_takes_it_while_cordoned) {
    plane_.report();
    ASSERT_EQ(plane_.ask("PATCH", "/api/v1/workers/machine", R"({"cordoned":true})").status, 200);
    plane_.ask("POST", "/api/v1/deployments", R"({"name":"m","source":"file:/m.gguf"})");
    ASSERT_TRUE(eventually([&] {
        return plane_.get("/api/v1/deployments/m").string("/status/reason").find("cordoned") != std::string::npos;
    }));
    EXPECT_EQ(plane_.deployment_state("m"), "pending");
    plane_.ask("PATCH", "/api/v1/workers/machine", R"({"cordoned":false})");
    ASSERT_TRUE(plane_.work_until([&] { return targets("m") == 1; }));
}

TEST_F(ControlTest, a_drain_says_until_when_and_ends_with_uncordon) {
    plane_.report();
    plane_.ask("POST", "/api/v1/deployments", R"({"name":"m","source":"file:/m.gguf"})");
    ASSERT_TRUE(plane_.work_until([&] { return targets("m") == 1; }));
    EXPECT_EQ(plane_.ask("PATCH", "/api/v1/workers/machine", R"({"drain_seconds":600,"cordoned":true})").status, 400);
    EXPECT_EQ(plane_.ask("PATCH", "/api/v1/workers/machine", R"({"drain_seconds":-1})").status, 400);
    const Reply drained = plane_.ask("PATCH", "/api/v1/workers/machine", R"({"drain_seconds":600})");
    ASSERT_EQ(drained.status, 200) << drained.text;
    EXPECT_TRUE(drained.body.at("cordoned").as_bool());
    EXPECT_EQ(drained.string("/drain_by"), to_rfc3339(plane_.clock().wall() + 600s));
    EXPECT_EQ(drained.string("/state"), "draining");
    // There is nowhere else: it serves on, and another waits for a place.
    ASSERT_TRUE(plane_.work_until([&] { return instances() == 2; }));
    EXPECT_EQ(targets("m"), 1u);
    EXPECT_EQ(plane_.deployment_state("m"), "running");

    const Reply back = plane_.ask("PATCH", "/api/v1/workers/machine", R"({"cordoned":false})");
    EXPECT_TRUE(back.body.at("drain_by").is_null()) << back.text;
    ASSERT_TRUE(plane_.work_until([&] { return instances() == 1 && targets("m") == 1; })) << "one too many then";

    // When the time is up what still serves there ends.
    ASSERT_EQ(plane_.ask("PATCH", "/api/v1/workers/machine", R"({"drain_seconds":5})").status, 200);
    plane_.clock().advance(5s);
    ASSERT_TRUE(plane_.work_until([&] { return targets("m") == 0; }));
}

TEST_F(ControlTest, a_decision_is_kept_with_its_instance_and_labels_choose) {
    plane_.report();
    EXPECT_EQ(plane_.ask("POST", "/api/v1/deployments",
                          R"({"name":"m","source":"file:/m","placement":{"worker_labels":{"room":"lab"}}})").status, 201);
    std::string instance;
    ASSERT_TRUE(eventually([&] {
        const Reply list = plane_.get("/api/v1/instances");
        if (list.body.at("items").as_array().empty()) return false;
        instance = list.string("/items/0/id");
        return !list.string("/items/0/reason").empty();
    }));
    EXPECT_THAT(plane_.get("/api/v1/instances").string("/items/0/reason"), HasSubstr("room=lab"));
    const Reply waiting = plane_.get("/api/v1/instances/" + instance + "/decision");
    EXPECT_EQ(waiting.status, 200) << waiting.text;
    EXPECT_EQ(waiting.body.at("placement"), json::value());
    EXPECT_THAT(waiting.string("/workers/0/reason"), HasSubstr("room=lab"));

    EXPECT_EQ(plane_.ask("PATCH", "/api/v1/workers/machine", R"({"labels":{"room":"lab"}})").status, 200);
    EXPECT_TRUE(plane_.work_until([&] { return plane_.deployment_state("m") == "running"; }));
    const Reply placed = plane_.get("/api/v1/instances/" + instance + "/decision");
    EXPECT_EQ(placed.status, 200) << placed.text;
    EXPECT_EQ(placed.string("/workers/0/worker_name"), "machine");
    EXPECT_TRUE(placed.body.at("workers").at(0).at("devices").at(0).at("chosen").as_bool());
    EXPECT_EQ(placed.number("/workers_left_out"), 0);
    EXPECT_EQ(plane_.get("/api/v1/instances/" + instance).string("/placement/claims/0/device"), "cpu/0");
    EXPECT_EQ(plane_.get("/api/v1/instances/ins_none/decision").status, 404);
    EXPECT_EQ(plane_.get("/api/v1/instances/" + instance + "/decision", plane_.key_of("u", "user")).status, 403);
}

TEST_F(ControlTest, an_evaluation_starts_nothing) {
    plane_.report();
    const Reply reply = plane_.ask("POST", "/api/v1/evaluations", R"({"source":"file:/no/such.gguf"})");
    EXPECT_EQ(reply.status, 200) << reply.text;
    EXPECT_EQ(reply.string("/verdict"), "unknown");
    EXPECT_THAT(reply.string("/reason"), HasSubstr("does not exist on this machine"));
    EXPECT_EQ(plane_.ask("POST", "/api/v1/evaluations", R"({"source":"file:/m","options":{"kv_type":"f64"}})").status, 400);
    EXPECT_EQ(plane_.ask("POST", "/api/v1/evaluations", R"({"source":"file:/m"})", plane_.key_of("u", "user")).status, 403);
    // Elsewhere than here.
    const Reply fleet = plane_.ask("POST", "/api/v1/evaluations",
                                    R"({"source":"file:/m","workers":[{"name":"far","devices":[{"vendor":"cpu","index":0,"memory_total_bytes":1}]}]})");
    EXPECT_EQ(fleet.status, 200) << fleet.text;
    EXPECT_EQ(fleet.string("/workers/0/worker_name"), "far");
    EXPECT_EQ(plane_.get("/api/v1/instances").body.at("items").as_array().size(), 0u);
    EXPECT_EQ(plane_.get("/api/v1/audit?kind=evaluation").body.at("items").as_array().size(), 0u);
}

TEST_F(ControlTest, workers_are_deleted_only_when_silent_and_empty) {
    plane_.report();
    EXPECT_EQ(plane_.ask("DELETE", "/api/v1/workers/machine").status, 409);
    ASSERT_EQ(plane_.ask("POST", "/api/v1/workers", R"({"name":"spare"})").status, 201);
    EXPECT_EQ(plane_.ask("POST", "/api/v1/workers", R"({"name":"spare"})").status, 409);
    EXPECT_EQ(plane_.get("/api/v1/workers/spare").string("/state"), "pending");
    EXPECT_EQ(plane_.ask("DELETE", "/api/v1/workers/spare").status, 204);
    EXPECT_EQ(plane_.get("/api/v1/workers/spare").status, 404);
}

TEST_F(ControlTest, a_worker_without_a_row_gets_nothing) {
    protocol::WorkerReport stranger;
    stranger.worker_id = WorkerId("wrk_stranger");
    EXPECT_TRUE(plane_.control().exchange(stranger).run.empty());
    EXPECT_EQ(plane_.get("/api/v1/workers").body.at("items").as_array().size(), 1u);
}

TEST(control, a_restarted_server_routes_at_once_and_doubles_nothing) {
    TempDir dir;
    std::string instance;
    std::vector<protocol::InstanceReport> still;
    {
        Plane before(dir.path());
        before.ask("POST", "/api/v1/deployments", R"({"name":"m","source":"file:/m.gguf"})");
        ASSERT_TRUE(before.work_until([&] { return before.deployment_state("m") == "running"; }));
        instance = before.runs()[0].id.text;
    }
    Plane after(dir.path());
    const auto routes = after.tables().routes();
    ASSERT_EQ(routes->models.at("m").targets.size(), 1u) << "before any report";
    EXPECT_EQ(routes->models.at("m").targets[0].endpoint, "unix:/run/" + instance);
    const auto runs = after.report();
    ASSERT_EQ(runs.size(), 1u);
    EXPECT_EQ(runs[0].id.text, instance);
}

TEST(control, the_first_admin_and_the_password_file) {
    TempDir dir;
    const std::string file = dir.path() + "/initial_admin_password";
    std::string password;
    {
        Plane plane(dir.path(), "");
        std::ifstream(file) >> password;
        EXPECT_EQ(password.size(), 20u);
        EXPECT_EQ(std::filesystem::status(file).permissions(), std::filesystem::perms(0600));
    }
    Plane plane(dir.path(), "");
    std::string again;
    std::ifstream(file) >> again;
    EXPECT_EQ(again, password) << "a second start changes nothing";
    Reply who;
    const std::string cookie = plane.login("admin", password, &who);
    ASSERT_EQ(who.status, 200) << who.text;
    EXPECT_TRUE(who.body.at("must_change_password").as_bool());
    EXPECT_EQ(plane.get("/api/v1/deployments", cookie).status, 403);
    EXPECT_EQ(plane.get("/api/v1/auth/me", cookie).status, 200);
    const std::string change = R"({"current_password":")" + password + R"(","new_password":"a better one"})";
    const Reply changed = plane.ask("POST", "/api/v1/auth/password", change, cookie);
    EXPECT_EQ(changed.status, 204) << changed.text;
    EXPECT_FALSE(std::filesystem::exists(file));
    EXPECT_EQ(plane.get("/api/v1/auth/me", cookie).status, 401) << "the session it came by ended";
    const std::string set(changed.headers.get("set-cookie"));
    EXPECT_EQ(plane.get("/api/v1/deployments", set.substr(0, set.find(';'))).status, 200) << "and goes on in a new one";
}

TEST(control, reset_password_works_on_a_stopped_server) {
    TempDir dir;
    { Plane plane(dir.path(), ""); }
    ASSERT_TRUE(std::filesystem::exists(dir.path() + "/initial_admin_password"));
    std::string password;
    {
        auto store = store::Store::open(dir.path());
        ASSERT_TRUE(store.ok());
        FakeClock clock;
        EXPECT_EQ(reset_password(**store, "nobody", clock, system_random()).error().code, ErrorCode::kNotFound);
        const auto reset = reset_password(**store, "admin", clock, system_random());
        ASSERT_TRUE(reset.ok());
        password = *reset;
        ASSERT_TRUE((*store)->close().ok());
    }
    Plane plane(dir.path(), "");
    EXPECT_FALSE(std::filesystem::exists(dir.path() + "/initial_admin_password")) << "its password is no longer one";
    Reply who;
    plane.login("admin", password, &who);
    EXPECT_EQ(who.status, 200) << who.text;
    EXPECT_TRUE(who.body.at("must_change_password").as_bool());
}

}  // namespace
}  // namespace gantry::control
