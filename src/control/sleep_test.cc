// Sleep from outside: idle deployments end, stay known, wake, and outlast the server.
#include "control/sleep.h"

#include "control/control_test_support.h"

namespace gantry::control {
namespace {

class SleepTest : public testing::Test {
protected:
    void SetUp() override { plane_.emplace(dir_.path()); }

    std::string id_of(const std::string& name) { return plane_->get("/api/v1/deployments/" + name).string("/id"); }
    void deploy(const std::string& name, const std::string& more) {
        const Reply made = plane_->ask("POST", "/api/v1/deployments", R"({"name":")" + name + R"(","source":"file:/m.gguf")" + more + "}");
        ASSERT_EQ(made.status, 201) << made.text;
        ASSERT_TRUE(becomes(name, "running"));
    }
    Reply edit(const std::string& name, const std::string& body) { return plane_->ask("PATCH", "/api/v1/deployments/" + name, body); }
    bool becomes(const std::string& name, const std::string& state) {
        return plane_->work_until([&] { return plane_->deployment_state(name) == state; });
    }
    size_t instances() { return plane_->get("/api/v1/instances").body.at("items").as_array().size(); }
    // "m" has been idle for longer than it may, and its instance is gone.
    void put_to_sleep() {
        plane_->clock().advance(11s);
        ASSERT_TRUE(becomes("m", "asleep"));
        ASSERT_TRUE(plane_->work_until([&] { return instances() == 0; }));
    }
    void asked_by_ann() { plane_->control().wake(DeploymentId(id_of("m")), {UserId("usr_7"), "ann", ApiKeyId("key_7"), "10.0.0.7", "req_7"}); }
    // Whether an event of the audit log says that this field changed.
    bool told(const std::string& action, const std::string& field) {
        const Reply all = plane_->get("/api/v1/audit?limit=50");
        for (const json::value& event : all.body.at("items").as_array()) {
            if (event.at("action").as_string() != action) continue;
            if (json::serialize(event.at("changes")).find("\"" + field + "\"") != std::string::npos) return true;
        }
        return false;
    }
    json::object newest(const std::string& action) {
        const Reply all = plane_->get("/api/v1/audit?order=desc&limit=50");
        for (const json::value& event : all.body.at("items").as_array()) {
            if (event.at("action").as_string() == action) return event.as_object();
        }
        return {};
    }

    TempDir dir_;
    std::optional<Plane> plane_;
};

TEST_F(SleepTest, idle_it_ends_and_a_request_brings_it_back) {
    deploy("m", R"(,"idle_timeout_seconds":10)");
    const int64_t version = plane_->get("/api/v1/deployments/m").number("/version");
    put_to_sleep();
    const Reply asleep = plane_->get("/api/v1/deployments/m");
    EXPECT_EQ(asleep.number("/version"), version) << "it was no edit";
    EXPECT_EQ(asleep.string("/status/reason"), "asleep until a request comes");
    EXPECT_EQ(asleep.string("/status/rollout/state"), "asleep");
    EXPECT_EQ(asleep.string("/asleep_since"), to_rfc3339(plane_->clock().wall()));
    EXPECT_TRUE(plane_->runs().empty());
    const auto entry = plane_->tables().routes()->models.at("m");
    EXPECT_TRUE(entry.holds);
    EXPECT_FALSE(entry.stopped);
    EXPECT_EQ(entry.not_ready_reason, "asleep, a request wakes it");
    const json::object slept = newest("sleep");
    EXPECT_EQ(slept.at("actor_name").as_string(), "gantry");
    EXPECT_EQ(slept.at("object_name").as_string(), "m");
    EXPECT_THAT(json::serialize(slept.at("changes")), HasSubstr("no request for 10 s"));
    EXPECT_THAT(plane_->get("/metrics").text, HasSubstr("gantry_deployments_asleep 1"));

    asked_by_ann();
    ASSERT_TRUE(becomes("m", "running"));
    EXPECT_TRUE(plane_->get("/api/v1/deployments/m").body.at("asleep_since").is_null());
    EXPECT_EQ(plane_->tables().routes()->models.at("m").targets.size(), 1u);
    const json::object woken = newest("wake");
    EXPECT_EQ(woken.at("actor_name").as_string(), "ann");
    EXPECT_EQ(woken.at("via").as_string(), "key_7");
    EXPECT_EQ(woken.at("request_id").as_string(), "req_7");
    EXPECT_THAT(plane_->get("/metrics").text, HasSubstr("gantry_deployments_asleep 0"));
}

TEST_F(SleepTest, a_restart_forgets_nothing_and_wakes_nobody) {
    deploy("m", R"(,"idle_timeout_seconds":10)");
    put_to_sleep();
    plane_.reset();
    plane_.emplace(dir_.path());
    deploy("other", "");   // so the reconciler has been round
    EXPECT_EQ(plane_->deployment_state("m"), "asleep");
    EXPECT_TRUE(plane_->tables().routes()->models.at("m").holds);
    EXPECT_EQ(instances(), 1u);
    asked_by_ann();
    EXPECT_TRUE(becomes("m", "running"));
}

TEST_F(SleepTest, edits_leave_it_asleep_and_wake_it_where_they_say_so) {
    deploy("m", R"(,"idle_timeout_seconds":10)");
    put_to_sleep();
    EXPECT_EQ(edit("m", R"({"options":{"threads":3},"replicas":1})").string("/status/state"), "asleep");
    const Reply started = edit("m", R"({"stopped":false})");
    EXPECT_NE(started.string("/status/state"), "asleep");
    EXPECT_TRUE(started.body.at("asleep_since").is_null());
    EXPECT_TRUE(told("update", "asleep_since"));
    ASSERT_TRUE(becomes("m", "running"));
    EXPECT_EQ(plane_->runs().at(0).options.threads, 3u) << "it wakes as it was edited";

    put_to_sleep();
    EXPECT_NE(edit("m", R"({"idle_timeout_seconds":0})").string("/status/state"), "asleep") << "it never is to sleep";
    ASSERT_TRUE(becomes("m", "running"));

    EXPECT_EQ(edit("m", R"({"idle_timeout_seconds":10})").status, 200);
    put_to_sleep();
    EXPECT_EQ(edit("m", R"({"stopped":true})").string("/status/state"), "stopped");
    asked_by_ann();   // a request that was held as it was stopped
    EXPECT_NE(edit("m", R"({"stopped":false})").string("/status/state"), "asleep") << "started, it comes up";
    EXPECT_TRUE(becomes("m", "running"));
}

TEST_F(SleepTest, what_fails_to_wake_says_why_and_stays_to_be_seen) {
    deploy("m", R"(,"idle_timeout_seconds":10)");
    put_to_sleep();
    asked_by_ann();
    const auto refused = [&] { return !plane_->tables().routes()->models.at("m").holds; };
    ASSERT_TRUE(plane_->work_until(refused, InstanceState::kError));
    EXPECT_EQ(plane_->tables().routes()->models.at("m").not_ready_reason, "invalid model file: bad magic");
    plane_->clock().advance(11s);
    ASSERT_TRUE(plane_->work_until([&] { return plane_->deployment_state("m") == "error"; }, InstanceState::kError));
    ASSERT_EQ(edit("m", R"({"stopped":false})").status, 200);   // a round of the reconciler's
    EXPECT_EQ(plane_->deployment_state("m"), "error");
}

TEST_F(SleepTest, by_hand_it_sleeps_now_and_a_request_that_comes_is_held) {
    deploy("m", "");   // no idle timeout
    const int64_t version = plane_->get("/api/v1/deployments/m").number("/version");
    const Reply slept = plane_->ask("POST", "/api/v1/deployments/m/sleep");
    ASSERT_EQ(slept.status, 200) << slept.text;
    EXPECT_EQ(slept.string("/status/state"), "asleep");
    EXPECT_EQ(slept.string("/status/reason"), "asleep until a request comes");
    EXPECT_EQ(slept.number("/version"), version) << "it was no edit";
    EXPECT_TRUE(plane_->tables().routes()->models.at("m").holds) << "published before it was answered";
    EXPECT_EQ(newest("sleep").at("actor_name").as_string(), "admin");
    ASSERT_TRUE(plane_->work_until([&] { return instances() == 0; }));
    ASSERT_TRUE(plane_->work_until([&] { return !plane_->closed(DeploymentId(id_of("m"))); })) << "the gateway lets requests to it go on";

    const Reply again = plane_->ask("POST", "/api/v1/deployments/m/sleep");
    EXPECT_EQ(again.status, 200);
    EXPECT_EQ(again.string("/asleep_since"), slept.string("/asleep_since"));

    asked_by_ann();
    ASSERT_TRUE(eventually([&] { return instances() == 1; }));
    EXPECT_TRUE(plane_->tables().routes()->models.at("m").holds) << "on its way, and who asks is held";
    ASSERT_TRUE(becomes("m", "running"));
    plane_->clock().advance(24h);
    deploy("other", "");   // the reconciler has been round
    EXPECT_EQ(plane_->deployment_state("m"), "running") << "nothing puts it to sleep again";
}

TEST_F(SleepTest, by_hand_outlasts_edits_and_a_restart_and_start_wakes_it) {
    deploy("m", "");
    ASSERT_EQ(plane_->ask("POST", "/api/v1/deployments/m/sleep").status, 200);
    EXPECT_EQ(edit("m", R"({"replicas":1,"options":{"threads":3}})").string("/status/state"), "asleep");
    plane_.reset();
    plane_.emplace(dir_.path());
    deploy("other", "");
    EXPECT_EQ(plane_->deployment_state("m"), "asleep");
    EXPECT_NE(edit("m", R"({"stopped":false})").string("/status/state"), "asleep");
    ASSERT_TRUE(becomes("m", "running"));
    ASSERT_EQ(plane_->ask("POST", "/api/v1/deployments/m/sleep").status, 200);
    EXPECT_NE(edit("m", R"({"idle_timeout_seconds":0})").string("/status/state"), "asleep") << "it never is to sleep";
}

TEST_F(SleepTest, by_hand_nothing_in_use_or_stopped_is_put_to_sleep) {
    deploy("m", "");
    const DeploymentId id(id_of("m"));
    gateway::Activity::Use request = plane_->on_io([&] { return plane_->activity().use(id); });
    const Reply refused = plane_->ask("POST", "/api/v1/deployments/m/sleep");
    EXPECT_EQ(refused.status, 409);
    EXPECT_EQ(refused.code(), "deployment_in_use");
    EXPECT_THAT(refused.text, HasSubstr("gantry requests"));
    EXPECT_FALSE(plane_->closed(id));
    plane_->on_io([&] { return (request = {}, true); });
    EXPECT_EQ(plane_->ask("POST", "/api/v1/deployments/m/sleep", "", plane_->key_of("ann", "user")).status, 403);
    EXPECT_EQ(plane_->ask("POST", "/api/v1/deployments/gone/sleep").status, 404);
    EXPECT_EQ(plane_->deployment_state("m"), "running");
    ASSERT_EQ(edit("m", R"({"stopped":true})").status, 200);
    const Reply stopped = plane_->ask("POST", "/api/v1/deployments/m/sleep");
    EXPECT_EQ(stopped.status, 409);
    EXPECT_THAT(stopped.text, HasSubstr("stopped"));
    EXPECT_TRUE(newest("sleep").empty());
}

TEST_F(SleepTest, asking_for_what_is_awake_or_gone_does_nothing) {
    deploy("m", R"(,"idle_timeout_seconds":10)");
    const std::string id = plane_->runs().at(0).id.text;
    asked_by_ann();
    plane_->control().wake(DeploymentId("gone"), {});
    deploy("other", "");
    EXPECT_EQ(instances(), 2u);
    EXPECT_THAT(plane_->get("/api/v1/instances").text, HasSubstr(id));
    EXPECT_TRUE(newest("wake").empty());
}

}  // namespace
}  // namespace gantry::control
