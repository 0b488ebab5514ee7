// Usage and the audit log from outside: who sees what, filters, CSV of any size, and which changes are recorded.
#include <set>

#include "control/api/failed_logins.h"
#include "control/control_test_support.h"

namespace gantry::control {
namespace {

class UsageTest : public testing::Test {
protected:
    TempDir dir_;
    Plane plane_{dir_.path()};
    std::string ann_ = plane_.key_of("ann", "user");
    std::string bob_ = plane_.key_of("bob", "user");

    std::string id_of(const std::string& user) { return plane_.get("/api/v1/users/" + user).string("/id"); }
    UsageRecord record(const std::string& id, const std::string& user, const std::string& model = "m") {
        UsageRecord u;
        u.request_id = id;
        u.user_id = UserId(user);
        u.model = model;
        u.operation = "chat";
        u.status = 200;
        u.at = plane_.clock().wall();
        u.completion_tokens = 10;
        return u;
    }
    size_t count(const Reply& reply) const { return reply.body.at("items").as_array().size(); }
};

TEST_F(UsageTest, a_summary_is_the_own_and_an_admins_of_all) {
    const std::string ann = id_of("ann"), bob = id_of("bob");
    ASSERT_TRUE(plane_.store().add_usage({record("1", ann), record("2", ann), record("3", bob), record("4", "usr_gone", "other")}).ok());
    const Reply all = plane_.get("/api/v1/usage/summary?group_by=user,model&bucket=total");
    ASSERT_EQ(all.status, 200) << all.text;
    ASSERT_EQ(count(all), 3u) << all.text;
    std::set<std::string> names;
    for (const auto& item : all.body.at("items").as_array()) names.emplace(item.at("user_name").as_string());
    EXPECT_EQ(names, (std::set<std::string>{"ann", "bob", ""})) << "who is gone has no name";
    EXPECT_TRUE(all.body.at_pointer("/items/0/bucket").is_null());
    EXPECT_TRUE(all.body.at_pointer("/items/0/key_id").is_null()) << "not grouped by";

    const Reply own = plane_.get("/api/v1/usage/summary?group_by=user,key,model,instance,operation&bucket=hour", ann_);
    ASSERT_EQ(count(own), 1u) << own.text;
    EXPECT_EQ(own.string("/items/0/user_name"), "ann");
    EXPECT_EQ(own.number("/items/0/requests"), 2);
    EXPECT_EQ(own.number("/items/0/completion_tokens"), 20);
    EXPECT_EQ(own.string("/items/0/bucket"), "2023-11-14T22:00:00.000Z");
    EXPECT_EQ(plane_.get("/api/v1/usage/summary", ann_).string("/items/0/bucket"), "2023-11-14T00:00:00.000Z");
    // Another's name is nobody's, here and in the records.
    for (const char* path : {"/api/v1/usage", "/api/v1/usage/summary"}) {
        const Reply other = plane_.get(path + std::string("?user=bob"), ann_), none = plane_.get(path + std::string("?user=bxx"), ann_);
        EXPECT_EQ(other.status, 404);
        EXPECT_EQ(other.text.size(), none.text.size());
        EXPECT_EQ(plane_.get(path + std::string("?user=") + bob, ann_).status, 404);
        EXPECT_EQ(plane_.get(path + std::string("?user=ann"), ann_).status, 200);
        EXPECT_EQ(plane_.get(path + std::string("?format=csv&user=bob"), ann_).status, 404);
        EXPECT_EQ(plane_.get(path + std::string("?format=csv"), bob_).text.find("ann"), std::string::npos);
        EXPECT_EQ(count(plane_.get(path + std::string("?user=bob"))), 1u);
        EXPECT_EQ(count(plane_.get(path + std::string("?user=usr_gone&model=other"))), 1u);
        EXPECT_EQ(count(plane_.get(path + std::string("?user=usr_gone&model=m"))), 0u);
        EXPECT_EQ(count(plane_.get(path + std::string("?from=2023-11-15"))), 0u);
        EXPECT_EQ(count(plane_.get(path + std::string("?to=2023-11-14T22:00:00Z"))), 0u);
    }
    for (const char* wrong : {"bucket=week", "group_by=user,colour", "from=yesterday", "to=2023-02-31", "limit=0", "cursor=00", "format=xml"}) {
        const Reply refused = plane_.get("/api/v1/usage/summary?" + std::string(wrong));
        EXPECT_EQ(refused.status, 400) << wrong;
        EXPECT_EQ(refused.string("/error/param"), std::string(wrong).substr(0, std::string(wrong).find('='))) << refused.text;
    }
}

TEST_F(UsageTest, csv_is_whole_however_long) {
    const std::string ann = id_of("ann");
    std::vector<UsageRecord> records;
    for (int i = 0; i < 1700; ++i) {
        records.push_back(record("r" + std::to_string(i), ann, i == 5 ? "=cmd(\"x\")" : "m" + std::to_string(i)));
    }
    ASSERT_TRUE(plane_.store().add_usage(records).ok());
    for (const char* target : {"/api/v1/usage?format=csv&limit=3", "/api/v1/usage/summary?format=csv&group_by=model&limit=3"}) {
        const Reply csv = plane_.get(target);
        EXPECT_EQ(csv.status, 200);
        EXPECT_THAT(std::string(csv.headers.get("content-type")), HasSubstr("text/csv"));
        EXPECT_THAT(std::string(csv.headers.get("content-disposition")), HasSubstr("attachment"));
        EXPECT_EQ(csv.headers.get("x-content-type-options"), "nosniff");
        std::set<std::string> lines;
        size_t begin = 0;
        for (size_t end; (end = csv.text.find("\r\n", begin)) != std::string::npos; begin = end + 2) {
            lines.insert(csv.text.substr(begin, end - begin));
        }
        EXPECT_EQ(begin, csv.text.size()) << "each line ends";
        EXPECT_EQ(lines.size(), 1701u) << target;
        EXPECT_THAT(csv.text, HasSubstr("\"'=cmd(\"\"x\"\")\""));
    }
    EXPECT_THAT(std::string(plane_.ask("GET", "/api/v1/usage", "", "admin", {{"accept", "text/csv"}}).headers.get("content-type")),
                HasSubstr("text/csv"));
    EXPECT_THAT(std::string(plane_.ask("GET", "/api/v1/usage", "", "admin", {{"accept", "*/*"}}).headers.get("content-type")),
                HasSubstr("application/json"));
}

class AuditTest : public UsageTest {
protected:
    // The newest event, or the newest of a kind.
    json::object last(const std::string& more = "") {
        const Reply reply = plane_.get("/api/v1/audit?order=desc&limit=1" + more);
        EXPECT_EQ(reply.status, 200) << reply.text;
        EXPECT_EQ(count(reply), 1u) << more;
        return count(reply) == 1 ? reply.body.at_pointer("/items/0").as_object() : json::object();
    }
    size_t events() { return count(plane_.get("/api/v1/audit?limit=500")); }
    static std::string changes(const json::object& event) { return json::serialize(event.at("changes")); }
    // The clock of the test stands still, and lists are by time.
    Reply ask(const std::string& method, const std::string& target, const std::string& body = "", const std::string& who = "admin") {
        plane_.clock().advance(1ms);
        return plane_.ask(method, target, body, who);
    }
};

TEST_F(AuditTest, every_kind_of_change_is_recorded) {
    const Reply made = ask("POST", "/api/v1/deployments",
                           R"({"name":"org/m","source":"file:/x.gguf","replicas":0,"options":{"threads":2,"env":{"TOKEN":"hidden-secret"}}})");
    ASSERT_EQ(made.status, 201) << made.text;
    json::object event = last();
    EXPECT_EQ(event.at("action").as_string(), "create");
    EXPECT_EQ(event.at("method").as_string(), "POST");
    EXPECT_EQ(event.at("object_kind").as_string(), "deployment");
    EXPECT_EQ(event.at("object_id").as_string(), made.string("/id"));
    EXPECT_EQ(event.at("object_name").as_string(), "org/m");
    EXPECT_EQ(event.at("actor_name").as_string(), "admin");
    EXPECT_EQ(event.at("via").as_string(), "admin socket");
    EXPECT_EQ(event.at("peer").as_string(), "unix");
    EXPECT_EQ(event.at("status").as_int64(), 201);
    EXPECT_EQ(event.at("request_id").as_string(), std::string(made.headers.get("x-request-id")));
    EXPECT_THAT(changes(event), HasSubstr(R"({"field":"options.threads","from":null,"to":"2"})"));
    EXPECT_THAT(changes(event), HasSubstr(R"({"field":"options.env.TOKEN","from":null,"to":null})"));

    ASSERT_EQ(ask("PATCH", "/api/v1/deployments/org%2Fm", R"({"replicas":2,"stopped":true})").status, 200);
    EXPECT_EQ(changes(last()), R"([{"field":"replicas","from":"0","to":"2"},{"field":"stopped","from":"false","to":"true"}])");
    ASSERT_EQ(ask("DELETE", "/api/v1/deployments/org%2Fm").status, 204);
    event = last();
    EXPECT_EQ(event.at("action").as_string(), "delete");
    EXPECT_EQ(event.at("object_name").as_string(), "org/m") << "as it was";
    EXPECT_EQ(event.at("object_id").as_string(), made.string("/id"));

    const Reply key = ask("POST", "/api/v1/keys", R"({"name":"mine"})", ann_);
    ASSERT_EQ(key.status, 201);
    event = last();
    EXPECT_EQ(event.at("actor_name").as_string(), "ann");
    EXPECT_TRUE(event.at("via").as_string().starts_with("key_")) << "the key it came by";
    EXPECT_EQ(event.at("peer").as_string(), "127.0.0.1");
    ASSERT_EQ(ask("PATCH", "/api/v1/keys/" + key.string("/id"), R"({"disabled":true})", ann_).status, 200);
    EXPECT_EQ(changes(last()), R"([{"field":"disabled","from":"false","to":"true"}])");
    ASSERT_EQ(ask("PATCH", "/api/v1/users/bob", R"({"password":"another hidden-secret","role":"admin"})").status, 200);
    event = last();
    EXPECT_EQ(event.at("object_kind").as_string(), "user");
    EXPECT_EQ(changes(event), R"([{"field":"role","from":"user","to":"admin"},{"field":"password","from":null,"to":null}])");
    ASSERT_EQ(ask("POST", "/api/v1/backups", "{}").status, 201);
    EXPECT_THAT(std::string(last("&kind=backup").at("object_name").as_string()), testing::MatchesRegex("gantry-.*\\.db"));

    const std::string all = plane_.get("/api/v1/audit?limit=500").text + plane_.get("/api/v1/audit?format=csv").text;
    for (const std::string& secret : {std::string("hidden-secret"), std::string("12345678"), key.string("/secret"), std::string("argon2")}) {
        EXPECT_EQ(all.find(secret), std::string::npos) << secret;
    }
    EXPECT_EQ(count(plane_.get("/api/v1/audit?actor=ann")), 2u);
    EXPECT_EQ(count(plane_.get("/api/v1/audit?object=org/m")), 3u);
    EXPECT_EQ(count(plane_.get("/api/v1/audit?kind=deployment&actor=ann")), 0u);
    EXPECT_EQ(plane_.get("/api/v1/audit", ann_).status, 403);
    EXPECT_THAT(plane_.get("/api/v1/audit?format=csv&object=bob&order=desc&limit=1").text, HasSubstr("role: user -> admin; password"));
}

TEST_F(AuditTest, what_changes_nothing_is_not_recorded) {
    const size_t before = events();
    EXPECT_EQ(ask("PATCH", "/api/v1/users/ann", R"({"role":"user"})").status, 200);
    EXPECT_EQ(ask("PATCH", "/api/v1/users/ann", R"({"role":"king"})").status, 400);
    EXPECT_EQ(ask("DELETE", "/api/v1/users/nobody").status, 404);
    EXPECT_EQ(ask("POST", "/api/v1/users", R"({"name":"eve","password":"12345678","role":"admin"})", ann_).status, 403);
    EXPECT_EQ(ask("DELETE", "/api/v1/users/admin").status, 409);
    EXPECT_EQ(ask("POST", "/api/v1/auth/logout", "", ann_).status, 204) << "a key has no session";
    EXPECT_EQ(events(), before);
}

TEST_F(AuditTest, logins_and_passwords) {
    plane_.clock().advance(1ms);
    const std::string cookie = plane_.login("admin", "bootstrap-password");
    json::object event = last();
    EXPECT_EQ(event.at("action").as_string(), "login");
    EXPECT_EQ(event.at("actor_name").as_string(), "admin");
    EXPECT_FALSE(event.at("actor_id").as_string().empty());
    EXPECT_EQ(event.at("via").as_string(), "password");
    EXPECT_EQ(event.at("status").as_int64(), 200);
    ASSERT_EQ(ask("POST", "/api/v1/keys", R"({"name":"k"})", cookie).status, 201);
    EXPECT_EQ(last().at("via").as_string(), "session");
    ASSERT_EQ(ask("POST", "/api/v1/auth/logout", "", cookie).status, 204);
    EXPECT_EQ(last().at("action").as_string(), "logout");

    plane_.clock().advance(1ms);
    plane_.login("nobody\\u001b[2J" + std::string(200, 'x'), "wrong");
    event = last();
    EXPECT_EQ(event.at("action").as_string(), "login");
    EXPECT_EQ(event.at("status").as_int64(), 401);
    EXPECT_EQ(event.at("actor_id").as_string(), "");
    const std::string name(event.at("actor_name").as_string());
    EXPECT_TRUE(name.starts_with("nobody\\x1b[2Jxx")) << name;
    EXPECT_LT(name.size(), 80u);

    ASSERT_EQ(ask("POST", "/api/v1/auth/password", R"({"current_password":"12345678","new_password":"hidden-secret"})", ann_).status, 204);
    event = last();
    EXPECT_EQ(event.at("object_kind").as_string(), "user");
    EXPECT_EQ(event.at("object_name").as_string(), "ann");
    EXPECT_EQ(changes(event), R"([{"field":"password","from":null,"to":null}])");

    ASSERT_TRUE(reset_password(plane_.store(), "ann", plane_.clock(), system_random()).ok());
    EXPECT_EQ(count(plane_.get("/api/v1/audit?object=ann&kind=user")), 3u) << "made, own password, reset";
    EXPECT_EQ(plane_.get("/api/v1/audit?format=csv").text.find("hidden-secret"), std::string::npos);
}

TEST(FailedLogins, are_listed_sixty_a_minute_at_most) {
    FakeClock clock;
    FailedLogins failed(clock);
    const auto listed = [&](int tries) {
        int out = 0;
        for (int i = 0; i < tries; ++i) out += failed.next().listed ? 1 : 0;
        return out;
    };
    EXPECT_EQ(listed(1000), 60);
    clock.set_wall(WallTime{});
    EXPECT_EQ(listed(10), 0) << "by the steady clock";
    clock.advance(1s);
    EXPECT_EQ(failed.next().left_out, 950u);
    EXPECT_EQ(listed(10), 0);
    clock.advance(1h);
    EXPECT_EQ(listed(1000), 60);
}

}  // namespace
}  // namespace gantry::control
