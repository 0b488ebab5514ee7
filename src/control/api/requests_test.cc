// /api/v1/requests over a list that the test fills; with a gateway that fills it: gateway/live_requests_test.cc.
#include "control/control_test_support.h"

namespace gantry::control {
namespace {

// A request that somebody is being answered.
class Asked final : public http::Exchange {
public:
    Asked(Plane& plane, const std::string& id, const std::string& user, const std::string& model) {
        request_.id = id;
        request_.peer = "10.0.0.7";
        Principal who;
        who.user_id = UserId(plane.get("/api/v1/users/" + user).string("/id"));
        who.user_name = user;
        context = who;
        entry_.emplace(plane.live(), *this, plane.clock().steady(), "chat");
        entry_->set_asked(model, true, 100);
    }
    const gateway::LiveRequests::Entry& entry() const { return *entry_; }

    const http::Request& request() const override { return request_; }
    http::Request& request() override { return request_; }
    http::Task<bool> respond(http::Response) override { co_return false; }
    http::Task<bool> start_stream(int, http::Headers) override { co_return false; }
    http::Task<bool> write(std::string_view) override { co_return false; }
    http::Task<bool> finish() override { co_return false; }
    void abort() override {}
    bool started() const override { return false; }
    bool client_gone() const override { return false; }
    void on_client_gone(std::function<void()>) override {}

private:
    http::Request request_;
    std::optional<gateway::LiveRequests::Entry> entry_;
};

TEST(requests, users_see_their_own_and_admins_all) {
    TempDir dir;
    Plane plane(dir.path());
    const std::string ann = plane.key_of("ann", "user");
    plane.key_of("bob", "user");
    EXPECT_EQ(plane.get("/api/v1/requests").text, R"({"items":[],"next_cursor":null})");
    const Asked first(plane, "r1", "ann", "tiny"), second(plane, "r2", "bob", "tiny"), third(plane, "r3", "ann", "large");
    plane.clock().advance(1500ms);

    const Reply all = plane.get("/api/v1/requests");
    EXPECT_EQ(all.body.at("items").as_array().size(), 3u);
    EXPECT_EQ(all.string("/items/0/id"), "r1");
    EXPECT_EQ(all.number("/items/0/age_ms"), 1500);
    EXPECT_EQ(all.string("/items/0/state"), "queued");
    EXPECT_EQ(all.string("/items/0/peer"), "10.0.0.7");
    EXPECT_EQ(all.string("/items/1/user_name"), "bob");
    const Reply own = plane.get("/api/v1/requests?order=desc", ann);
    EXPECT_EQ(own.body.at("items").as_array().size(), 2u);
    EXPECT_EQ(own.string("/items/0/id"), "r3");
    EXPECT_TRUE(own.body.at_pointer("/items/0/peer").is_null());
    EXPECT_EQ(plane.get("/api/v1/requests?model=large").string("/items/0/id"), "r3");

    const Reply page = plane.get("/api/v1/requests?limit=2");
    EXPECT_EQ(page.body.at("items").as_array().size(), 2u);
    EXPECT_EQ(plane.get("/api/v1/requests?limit=2&cursor=" + page.string("/next_cursor")).string("/items/0/id"), "r3");
    for (const char* wrong : {"cursor=x", "cursor=0", "cursor=-1", "limit=0", "limit=501", "order=up"}) {
        EXPECT_EQ(plane.get("/api/v1/requests?" + std::string(wrong)).status, 400) << wrong;
    }
    EXPECT_EQ(plane.get("/api/v1/requests", "").status, 401);
}

TEST(requests, cancelling_is_for_owners_and_admins_and_audited) {
    TempDir dir;
    Plane plane(dir.path());
    const std::string ann = plane.key_of("ann", "user");
    plane.key_of("bob", "user");
    const Asked hers(plane, "r1", "ann", "tiny"), his(plane, "r2", "bob", "large");
    EXPECT_EQ(plane.ask("DELETE", "/api/v1/requests/r2", "", ann).status, 404) << "as if it weren't there";
    EXPECT_EQ(his.entry().cancelled(), nullptr);
    EXPECT_EQ(plane.ask("DELETE", "/api/v1/requests/r1", "", ann).status, 200);
    ASSERT_NE(hers.entry().cancelled(), nullptr);
    EXPECT_EQ(hers.entry().cancelled()->reason, "cancelled_by_user");
    plane.clock().advance(1ms);   // the audit log is in order of time
    EXPECT_EQ(plane.ask("DELETE", "/api/v1/requests/r2").string("/id"), "r2");
    ASSERT_NE(his.entry().cancelled(), nullptr);
    EXPECT_EQ(his.entry().cancelled()->reason, "cancelled_by_admin");
    EXPECT_EQ(plane.ask("DELETE", "/api/v1/requests/none").status, 404);

    const Reply audit = plane.get("/api/v1/audit?kind=request&order=desc");
    ASSERT_EQ(audit.body.at("items").as_array().size(), 2u) << audit.text;
    EXPECT_EQ(audit.string("/items/0/action"), "cancel");
    EXPECT_EQ(audit.string("/items/0/object_id"), "r2");
    EXPECT_EQ(audit.string("/items/0/object_name"), "bob");
    EXPECT_EQ(audit.string("/items/0/changes/0/from"), "large");
    EXPECT_EQ(audit.string("/items/1/actor_name"), "ann");
}

}  // namespace
}  // namespace gantry::control
