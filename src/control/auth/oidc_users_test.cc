// Which user a person becomes, on a real store.
#include "control/auth/oidc_users.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <utility>

#include "store/store_for_test.h"

namespace gantry::control {
namespace {

Person ann() {
    Person person;
    person.identity = {"https://id.example", "ann-1"};
    person.name = "ann";
    return person;
}

class OidcUsers : public testing::Test {
protected:
    OidcUsers() {
        options_.issuer = "https://id.example";
        options_.allow_anyone = true;
        root_.id = UserId("usr_root");
        root_.name = "root";
        root_.role = Role::kAdmin;
        root_.password_hash = "$argon2id$x";
        EXPECT_OK(store_->create_user(root_));
    }
    Result<OidcUser> login(const Person& person) { return user_of(person, options_, *store_, clock_, *random_); }
    std::string refusal(const Person& person) {
        const auto who = login(person);
        return who.ok() ? "" : who.error().reason;
    }
    User stored(const std::string& name) { return *store_->user_by_name(name); }
    void change(const std::string& name, const std::function<void(User&)>& how) {
        User user = stored(name);
        how(user);
        const int64_t seen = user.version++;
        EXPECT_OK(store_->update_user(user, seen));
    }

    store::TempDir dir_;
    std::unique_ptr<store::SqliteStore> store_ = store::open_store(dir_.path());
    FakeClock clock_;
    std::unique_ptr<RandomSource> random_ = seeded_random(7);
    OidcOptions options_;
    User root_;
};

TEST_F(OidcUsers, TheFirstLoginMakesOneAndTheNextOnesFindIt) {
    const auto first = login(ann());
    ASSERT_TRUE(first.ok());
    EXPECT_TRUE(first->created);
    EXPECT_EQ(first->user.role, Role::kUser);
    EXPECT_EQ(stored("ann").password_hash, "") << "no password opens it";
    Person renamed = ann();
    renamed.name = "ann.smith";
    const auto second = login(renamed);
    ASSERT_TRUE(second.ok());
    EXPECT_FALSE(second->created);
    EXPECT_EQ(second->user.id, first->user.id);
    EXPECT_EQ(second->user.name, "ann");
}

TEST_F(OidcUsers, NobodyIsTakenOver) {
    Person person = ann();
    person.name = "root";
    person.email = "root@example.com";
    EXPECT_EQ(refusal(person), "oidc_name_taken");
    EXPECT_EQ(stored("root").password_hash, root_.password_hash);
    EXPECT_OK(login(ann()));
    Person other_subject = ann();
    other_subject.identity.subject = "ann-2";
    EXPECT_EQ(refusal(other_subject), "oidc_name_taken");
    Person other_issuer = ann();
    other_issuer.identity.issuer = "https://other.example";
    EXPECT_EQ(refusal(other_issuer), "oidc_name_taken");
}

TEST_F(OidcUsers, ANameIsOneThatAUserCanHave) {
    for (const std::string& name : {std::string(), std::string("Ann Smith"), std::string("<b>"), std::string("a\nb"), std::string(65, 'a')}) {
        Person person = ann();
        person.name = name;
        EXPECT_EQ(refusal(person), "oidc_name_invalid") << name;
    }
}

TEST_F(OidcUsers, WhoMayNotIsNotMade) {
    options_.allow_anyone = false;
    options_.allowed_groups = {"staff"};
    EXPECT_EQ(refusal(ann()), "oidc_not_allowed");
    options_.allow_anyone = true;
    options_.new_users = false;
    EXPECT_EQ(refusal(ann()), "oidc_not_allowed");
    EXPECT_FALSE(store_->user_by_name("ann").ok());
    options_.new_users = true;
    EXPECT_OK(login(ann()));
    options_.new_users = false;
    EXPECT_OK(login(ann()));
    options_.allow_anyone = false;
    EXPECT_EQ(refusal(ann()), "oidc_not_allowed") << "who was among them once";
}

TEST_F(OidcUsers, ADisabledOneStaysOut) {
    EXPECT_OK(login(ann()));
    change("ann", [](User& user) { user.disabled = true; });
    EXPECT_EQ(refusal(ann()), "user_disabled");
    EXPECT_TRUE(stored("ann").disabled);
}

TEST_F(OidcUsers, TheProvidersGroupMakesAdmins) {
    Person chief = ann();
    chief.groups = {"chiefs"};
    EXPECT_EQ(login(chief)->user.role, Role::kUser) << "no group is named";
    options_.admin_group = "chiefs";
    EXPECT_EQ(login(chief)->user.role, Role::kAdmin);
    EXPECT_EQ(stored("ann").role, Role::kAdmin);
    EXPECT_EQ(login(ann())->user.role, Role::kUser);
    EXPECT_EQ(stored("ann").role, Role::kUser);
}

TEST_F(OidcUsers, RolesAreSetHereWhereNoGroupIsNamed) {
    EXPECT_OK(login(ann()));
    change("ann", [](User& user) { user.role = Role::kAdmin; });
    EXPECT_EQ(login(ann())->user.role, Role::kAdmin);
}

TEST_F(OidcUsers, TheLastAdminStaysOne) {
    options_.admin_group = "chiefs";
    Person chief = ann();
    chief.groups = {"chiefs"};
    EXPECT_OK(login(chief));
    change("root", [](User& user) { user.disabled = true; });
    const auto last = login(ann());
    ASSERT_TRUE(last.ok());
    EXPECT_EQ(last->user.role, Role::kAdmin);
    EXPECT_EQ(stored("ann").role, Role::kAdmin);
}

// Draws an id, and does something else first: what comes between looking for a user and making it.
class Between final : public RandomSource {
public:
    Between(RandomSource& random, std::function<void()> first) : random_(random), first_(std::move(first)) {}
    std::string token(size_t length) override {
        if (const auto first = std::exchange(first_, nullptr)) first();
        return random_.token(length);
    }
    double uniform() override { return random_.uniform(); }

private:
    RandomSource& random_;
    std::function<void()> first_;
};

TEST_F(OidcUsers, TwoFirstLoginsAtOnceAreOneUser) {
    Between other_login(*random_, [this] { EXPECT_TRUE(login(ann())->created); });
    const auto who = user_of(ann(), options_, *store_, clock_, other_login);
    ASSERT_TRUE(who.ok()) << who.error().message;
    EXPECT_FALSE(who->created);
    EXPECT_EQ(who->user.id, stored("ann").id);

    Person bob = ann();
    bob.identity.subject = bob.name = "bob";
    Between and_disabled(*random_, [&] {
        EXPECT_OK(login(bob));
        change("bob", [](User& user) { user.disabled = true; });
    });
    const auto out = user_of(bob, options_, *store_, clock_, and_disabled);
    ASSERT_FALSE(out.ok());
    EXPECT_EQ(out.error().reason, "user_disabled");
}

}  // namespace
}  // namespace gantry::control
