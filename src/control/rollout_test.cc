// Updates, rollbacks and automatic reverts, from the API to the worker and back.
#include "control/control_test_support.h"

namespace gantry::control {
namespace {

class RolloutTest : public testing::Test {
protected:
    TempDir dir_;
    Plane plane_{dir_.path()};

    void SetUp() override {
        ASSERT_EQ(plane_.ask("POST", "/api/v1/deployments", R"({"name":"m","source":"file:/m.gguf"})").status, 201);
        ASSERT_TRUE(plane_.work_until([&] { return rollout("state") == "complete" && good(1); }));
    }
    Reply deployment() { return plane_.get("/api/v1/deployments/m"); }
    std::string rollout(const std::string& field) { return deployment().string("/status/rollout/" + field); }
    std::vector<std::string> targets() {
        std::vector<std::string> out;
        const auto routes = plane_.tables().routes();
        for (const auto& target : routes->models.at("m").targets) out.push_back(target.instance_id.text);
        return out;
    }
    bool good(int64_t revision) {
        const Reply list = plane_.get("/api/v1/deployments/m/revisions");
        for (const auto& item : list.body.at("items").as_array()) {
            if (item.at("revision").to_number<int64_t>() == revision) return item.at("good_at").is_string();
        }
        return false;
    }
    // A worker on which revision `bad` crashes again and again.
    template <class Done>
    bool work_with_bad(int64_t bad, const Done& done) {
        return eventually([&] {
            std::vector<protocol::InstanceReport> reports;
            for (const auto& spec : runs_) {
                protocol::InstanceReport one;
                one.id = spec.id;
                const bool fails = spec.generation == bad;
                one.state = fails ? InstanceState::kError : InstanceState::kRunning;
                one.endpoint = fails ? "" : "unix:/run/" + spec.id.text;
                one.restarts = fails ? 2 : 0;
                one.pid = fails ? 0 : 42;
                if (fails) one.reason = "exited with status 1: a prompt";
                reports.push_back(one);
            }
            runs_ = plane_.report(std::move(reports));
            return done();
        });
    }
    std::vector<protocol::InstanceSpec> runs_;
};

TEST_F(RolloutTest, a_failed_update_is_taken_back_and_the_old_ones_are_not_touched) {
    runs_ = plane_.runs();
    const std::string old = runs_.at(0).id.text;
    ASSERT_EQ(plane_.ask("PATCH", "/api/v1/deployments/m", R"({"options":{"threads":2},"rollout":{"drain_seconds":1}})").number("/generation"), 2);
    EXPECT_EQ(rollout("state"), "progressing");
    bool seen_both = false;
    ASSERT_TRUE(work_with_bad(2, [&] {
        for (const auto& spec : runs_) {
            EXPECT_EQ(spec.options.threads, spec.generation == 1 ? 0u : 2u) << "an old one goes on as it was made";
        }
        seen_both = seen_both || runs_.size() == 2;
        EXPECT_EQ(targets(), std::vector<std::string>{old});
        return rollout("state") == "reverted" && runs_.size() == 1;
    }));
    EXPECT_TRUE(seen_both);
    EXPECT_EQ(runs_.at(0).id.text, old);
    const Reply now = deployment();
    EXPECT_EQ(now.number("/generation"), 1);
    EXPECT_EQ(now.number("/options/threads"), 0);
    EXPECT_EQ(now.string("/status/state"), "running");
    EXPECT_EQ(now.string("/status/reason"),
              "revision 1 is wanted again, because revision 2 did not become ready: exited with status 1: a prompt");
    EXPECT_EQ(plane_.get("/api/v1/deployments/m", plane_.key_of("u", "user")).string("/status/rollout/reason"),
              "revision 1 is wanted again, because revision 2 did not become ready") << "what an engine wrote is not for all";
    EXPECT_FALSE(good(2));
    EXPECT_EQ(plane_.ask("PATCH", "/api/v1/deployments/m", R"({"options":{"threads":3}})").number("/generation"), 3) << "no number twice";
    EXPECT_EQ(rollout("reason"), "");
}

TEST_F(RolloutTest, rollback) {
    ASSERT_EQ(plane_.ask("POST", "/api/v1/deployments/m/rollback").status, 409) << "nothing else ever served";
    ASSERT_EQ(plane_.ask("PATCH", "/api/v1/deployments/m", R"({"source":"file:/n.gguf"})").status, 200);
    ASSERT_TRUE(plane_.work_until([&] { return rollout("state") == "complete" && good(2); }));
    EXPECT_EQ(plane_.runs().at(0).source, "file:/n.gguf");

    const Reply back = plane_.ask("POST", "/api/v1/deployments/m/rollback");
    ASSERT_EQ(back.status, 200) << back.text;
    EXPECT_EQ(back.number("/generation"), 1);
    EXPECT_EQ(back.string("/source"), "file:/m.gguf");
    ASSERT_TRUE(plane_.work_until([&] { return rollout("state") == "complete"; }));
    EXPECT_EQ(plane_.runs().at(0).source, "file:/m.gguf");
    EXPECT_EQ(plane_.ask("POST", "/api/v1/deployments/m/rollback", R"({"revision":2})").number("/generation"), 2);
    EXPECT_EQ(plane_.ask("POST", "/api/v1/deployments/m/rollback", R"({"revision":9})").status, 404);
    EXPECT_EQ(plane_.ask("POST", "/api/v1/deployments/m/rollback", "", plane_.key_of("u", "user")).status, 403);
    const Reply list = plane_.get("/api/v1/deployments/m/revisions");
    EXPECT_EQ(list.body.at("items").as_array().size(), 2u);
    EXPECT_TRUE(list.body.at("items").at(0).at("wanted").as_bool());
    // The clock stands still here, so that the order of the log's lines is none.
    const Reply audit = plane_.get("/api/v1/audit?kind=deployment");
    const auto& items = audit.body.at("items").as_array();
    const auto updates = std::count_if(items.begin(), items.end(), [](const auto& item) { return item.at("action").as_string() == "update"; });
    EXPECT_EQ(updates, 3) << audit.text;
}

TEST_F(RolloutTest, undone_half_way_the_old_one_stays) {
    runs_ = plane_.runs();
    const std::string old = runs_.at(0).id.text;
    plane_.ask("PATCH", "/api/v1/deployments/m", R"({"options":{"threads":2}})");
    ASSERT_TRUE(eventually([&] { return plane_.report().size() == 2; }));
    ASSERT_EQ(plane_.ask("POST", "/api/v1/deployments/m/rollback").number("/generation"), 1);
    ASSERT_TRUE(work_with_bad(0, [&] { return rollout("state") == "complete" && runs_.size() == 1; }));
    EXPECT_EQ(runs_.at(0).id.text, old);
}

TEST_F(RolloutTest, options_that_replace_nothing_are_refused) {
    const Reply refused = plane_.ask("PATCH", "/api/v1/deployments/m", R"({"rollout":{"max_surge":0}})");
    EXPECT_EQ(refused.status, 400) << refused.text;
    EXPECT_THAT(refused.text, HasSubstr("max_unavailable"));
    EXPECT_EQ(plane_.ask("PATCH", "/api/v1/deployments/m", R"({"rollout":{"max_surge":0,"max_unavailable":1}})").number("/generation"), 1)
        << "how an update goes is no reason for one";
}

}  // namespace
}  // namespace gantry::control
