#include <gtest/gtest.h>

#include "gateway/api_key.h"
#include "gateway/gateway.h"

namespace gantry::gateway {
namespace {

class Authenticate : public testing::Test {
protected:
    Authenticate() {
        add_user("usr_admin", Role::kAdmin, 2000);
        add_user("usr_boss", Role::kAdmin, 1000);
        add_user("usr_ann", Role::kUser, 3000);
        key_ = make_key(system_random());
        add_key("key_1", key_, "usr_ann");
        add_session("token-of-ann", "usr_ann", now_ + std::chrono::hours(1));
    }
    User& add_user(const std::string& id, Role role, int64_t created) {
        User user;
        user.id = UserId(id);
        user.name = id.substr(4);
        user.role = role;
        user.created_at = from_unix_ms(created);
        return table_.users[user.id] = user;
    }
    ApiKey& add_key(const std::string& id, const NewKey& key, const std::string& user) {
        ApiKey row;
        row.id = ApiKeyId(id);
        row.user_id = UserId(user);
        row.public_id = key.public_id;
        row.secret_digest = key.secret_digest;
        return table_.keys[key.public_id] = row;
    }
    void add_session(const std::string& token, const std::string& user, WallTime until) {
        table_.sessions[digest(token)] = Session{digest(token), UserId(user), now_, until};
    }
    Result<Principal> with(http::Headers headers) {
        http::Request request;
        request.listener = "public";
        request.headers = std::move(headers);
        return authenticate(table_, request, now_);
    }
    // The name of who it is, or "" for nobody.
    std::string who(http::Headers headers) {
        const auto principal = with(std::move(headers));
        if (!principal) {
            EXPECT_EQ(principal.error().code, ErrorCode::kUnauthenticated);
            texts_.insert(texts_.end(), principal.error().message);
            return "";
        }
        return principal->user_name;
    }

    const WallTime now_ = from_unix_ms(1'700'000'000'000);
    AuthTable table_;
    NewKey key_;
    std::vector<std::string> texts_;
};

TEST_F(Authenticate, KnowsAKeyInEitherHeader) {
    const auto principal = with({{"authorization", "Bearer " + key_.text}});
    ASSERT_TRUE(principal.ok());
    EXPECT_EQ(principal->user_id.text, "usr_ann");
    EXPECT_EQ(principal->key_id.text, "key_1");
    EXPECT_EQ(principal->role, Role::kUser);
    EXPECT_FALSE(principal->by_cookie);
    EXPECT_EQ(who({{"Authorization", "bearer " + key_.text}}), "ann");
    EXPECT_EQ(who({{"x-api-key", key_.text}}), "ann");
    EXPECT_EQ(who({{"x-api-key", key_.text}, {"authorization", "Bearer " + key_.text}}), "ann");
}

// Row 45.
TEST_F(Authenticate, RefusesEveryOtherCredentialWithOneText) {
    std::string wrong_secret = key_.text;
    wrong_secret.back() = wrong_secret.back() == '0' ? '1' : '0';
    std::string wrong_case = key_.text;
    for (char& c : wrong_case) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    const NewKey unknown = make_key(system_random());
    for (const std::string& text :
         {std::string(), std::string(" "), wrong_secret, wrong_case, unknown.text, key_.text + " ", " " + key_.text,
          key_.text + std::string(1, '\0'), std::string("gtk_"), std::string("gtk__"), key_.text.substr(0, 40),
          std::string("' OR 1=1--"), std::string("\"; drop"), std::string(1 << 20, 'k'), std::string("gtk_ключ"),
          "gtk_" + key_.public_id + "_" + key_.secret_digest.substr(0, 32), key_.secret_digest}) {
        EXPECT_EQ(who({{"authorization", "Bearer " + text}}), "") << text.substr(0, 60);
        EXPECT_EQ(who({{"x-api-key", text}}), "") << text.substr(0, 60);
    }
    EXPECT_EQ(who({}), "");
    EXPECT_EQ(who({{"authorization", key_.text}}), "");
    EXPECT_EQ(who({{"authorization", "Basic " + key_.text}}), "");
    EXPECT_EQ(who({{"authorization", "Bearer"}}), "");
    EXPECT_EQ(who({{"authorization", "Bearer " + key_.text}, {"authorization", "Bearer " + key_.text}}), "");
    EXPECT_EQ(who({{"authorization", "Bearer " + key_.text}, {"Authorization", "Bearer " + unknown.text}}), "");
    EXPECT_EQ(who({{"x-api-key", key_.text}, {"x-api-key", key_.text}}), "");
    EXPECT_EQ(who({{"x-api-key", unknown.text}, {"authorization", "Bearer " + key_.text}}), "");
    for (const std::string& text : texts_) {
        EXPECT_EQ(text, texts_.front());
        EXPECT_EQ(text.find(key_.public_id), std::string::npos);
    }
}

TEST_F(Authenticate, IgnoresKeysInTheQueryAndInternalHeaders) {
    http::Request request;
    request.query["api_key"] = key_.text;
    request.query["key"] = key_.text;
    request.headers = {{"x-user-id", "usr_admin"}, {"x-forwarded-for", "127.0.0.1"}, {"x-gantry-principal", "admin"}};
    EXPECT_FALSE(authenticate(table_, request, now_).ok());
}

TEST_F(Authenticate, RefusesDisabledExpiredAndOrphanedKeys) {
    ApiKey& key = table_.keys[key_.public_id];
    key.disabled = true;
    EXPECT_EQ(who({{"x-api-key", key_.text}}), "");
    key.disabled = false;
    key.expires_at = now_;
    EXPECT_EQ(who({{"x-api-key", key_.text}}), "");
    key.expires_at = now_ + std::chrono::milliseconds(1);
    EXPECT_EQ(who({{"x-api-key", key_.text}}), "ann");
    table_.users[UserId("usr_ann")].disabled = true;
    EXPECT_EQ(who({{"x-api-key", key_.text}}), "");
    EXPECT_EQ(who({{"cookie", "gantry_session=token-of-ann"}}), "");
    table_.users.erase(UserId("usr_ann"));
    EXPECT_EQ(who({{"x-api-key", key_.text}}), "");
    EXPECT_EQ(who({{"cookie", "gantry_session=token-of-ann"}}), "");
}

// A key that was right is not looked up again: but in another table, or once it has expired.
TEST_F(Authenticate, AKeyIsKnownNoLongerThanItIsValid) {
    FakeClock clock;
    ApiKey& key = table_.keys[key_.public_id];
    key.expires_at = clock.wall() + std::chrono::seconds(10);
    Tables tables;
    tables.set(table_);
    http::Router router;
    router.add({"POST", "/v1/x", kInference, [](http::Exchange&) -> http::Task<void> { co_return; }});
    const Authentication authentication = make_authentication(tables, router, clock);
    const auto status = [&](const std::string& text) {
        http::Request head;
        head.method = "POST";
        head.path = "/v1/x";
        head.listener = "public";
        head.headers.add("authorization", text);
        const auto refused = authentication.head_check(head);
        return refused ? refused->status : 200;
    };
    for (int i = 0; i < 2; ++i) {
        EXPECT_EQ(status("Bearer " + key_.text), 200);
        EXPECT_EQ(status("Bearer " + key_.text + "x"), 401);
        EXPECT_EQ(status("Basic " + key_.text), 401);
    }
    key.disabled = true;
    tables.set(table_);
    EXPECT_EQ(status("Bearer " + key_.text), 401) << "revoked";
    key.disabled = false;
    tables.set(table_);
    EXPECT_EQ(status("Bearer " + key_.text), 200);
    clock.advance(std::chrono::seconds(10));
    EXPECT_EQ(status("Bearer " + key_.text), 401) << "expired";
}

TEST_F(Authenticate, KnowsASessionByItsCookie) {
    const auto principal = with({{"cookie", "a=b; gantry_session=token-of-ann; c=d"}});
    ASSERT_TRUE(principal.ok());
    EXPECT_TRUE(principal->by_cookie);
    EXPECT_TRUE(principal->key_id.empty());
    for (const char* cookie : {"gantry_session=", "gantry_session", "gantry_session=other", "xgantry_session=token-of-ann",
                               "gantry_session=token-of-ann; gantry_session=planted", ";;;===", ""}) {
        EXPECT_EQ(who({{"cookie", cookie}}), "") << cookie;
    }
    // The digest in the table is no token.
    EXPECT_EQ(who({{"cookie", "gantry_session=" + digest("token-of-ann")}}), "");
    // A wrong key is not made good by a right cookie.
    EXPECT_EQ(who({{"authorization", "Bearer x"}, {"cookie", "gantry_session=token-of-ann"}}), "");
    add_session("old", "usr_ann", now_);
    EXPECT_EQ(who({{"cookie", "gantry_session=old"}}), "");
}

TEST_F(Authenticate, OnlySessionsMustChangeThePassword) {
    table_.users[UserId("usr_ann")].must_change_password = true;
    EXPECT_TRUE(with({{"cookie", "gantry_session=token-of-ann"}})->must_change_password);
    EXPECT_FALSE(with({{"x-api-key", key_.text}})->must_change_password);
}

TEST_F(Authenticate, TheAdminSocketIsTheOldestEnabledAdmin) {
    http::Request request;
    request.listener = "admin";
    EXPECT_EQ(authenticate(table_, request, now_)->user_id.text, "usr_boss");
    table_.users[UserId("usr_boss")].disabled = true;
    EXPECT_EQ(authenticate(table_, request, now_)->user_id.text, "usr_admin");
    table_.users[UserId("usr_admin")].role = Role::kUser;
    EXPECT_FALSE(authenticate(table_, request, now_).ok());
}

TEST_F(Authenticate, TheAdminSocketMayMakeARequestSomebodyElses) {
    const auto as = [&](const std::string& whom, const char* listener = "admin") {
        http::Request request;
        request.listener = listener;
        request.headers = {{kActsFor, whom}};
        return authenticate(table_, request, now_);
    };
    const auto ann = as("usr_ann");
    ASSERT_TRUE(ann.ok());
    EXPECT_EQ(ann->user_name, "ann");
    EXPECT_EQ(ann->role, Role::kUser);
    EXPECT_TRUE(ann->key_id.empty());
    EXPECT_TRUE(ann->scopes.inference);
    EXPECT_FALSE(ann->scopes.management) << "it opens nothing but /v1";
    ApiKey& key = table_.keys[key_.public_id];
    key.models = {"tiny"};
    const auto by_key = as("usr_ann/key_1");
    ASSERT_TRUE(by_key.ok());
    EXPECT_EQ(by_key->key_id.text, "key_1");
    EXPECT_FALSE(by_key->may_use("large")) << "with that key's limits";
    EXPECT_FALSE(by_key->scopes.management);
    for (const char* nobody : {"", "/", "usr_none", "usr_ann/", "usr_ann/key_2", "usr_boss/key_1", "ann"}) {
        EXPECT_FALSE(as(nobody).ok()) << nobody;
    }
    EXPECT_FALSE(as("usr_boss", "public").ok()) << "from the network the field means nothing";
    key.expires_at = now_;
    EXPECT_FALSE(as("usr_ann/key_1").ok());
    EXPECT_TRUE(as("usr_ann").ok());
    table_.users[UserId("usr_ann")].disabled = true;
    EXPECT_FALSE(as("usr_ann").ok());
}

TEST_F(Authenticate, AnEmptyTableKnowsNobody) {
    table_ = {};
    EXPECT_EQ(who({{"x-api-key", key_.text}}), "");
    EXPECT_EQ(who({{"cookie", "gantry_session=token-of-ann"}}), "");
}

}  // namespace
}  // namespace gantry::gateway
