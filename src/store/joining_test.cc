// Join tokens, memberships and leases.

#include "store/store_for_test.h"

namespace gantry::store {
namespace {

using ::testing::HasSubstr;

JoinToken a_token(const std::string& id, uint32_t uses = 1) {
    return {.id = JoinTokenId(id), .name = "for the lab", .secret_digest = "d", .uses = uses, .uses_left = uses, .created_at = at(0),
            .expires_at = at(1'000)};
}
Membership a_membership(const std::string& token, const std::string& key, int64_t ms = 1) {
    return {.token_id = JoinTokenId(token), .key_digest = key, .machine_id = "m", .address = "10.0.0.1", .joined_at = at(ms)};
}

class JoiningTest : public testing::Test {
protected:
    void SetUp() override {
        store_ = open_store(dir_.file("data"));
        EXPECT_OK(store_->create_join_token(a_token("one")));
        EXPECT_OK(store_->create_join_token(a_token("two", 2)));
    }
    void TearDown() override { EXPECT_OK(store_->close()); }
    size_t workers() { return store_->workers({})->items.size(); }

    TempDir dir_;
    std::unique_ptr<SqliteStore> store_;
};

TEST_F(JoiningTest, ATokenMakesAsManyWorkersAsItSays) {
    EXPECT_EQ(store_->join_worker(a_worker("a"), a_membership("one", "ka"))->text, "wrk_a");
    EXPECT_EQ(store_->join_token(JoinTokenId("one"))->uses_left, 0u);
    const auto used = store_->join_worker(a_worker("b"), a_membership("one", "kb"));
    EXPECT_CODE(used, ErrorCode::kPermissionDenied);
    EXPECT_EQ(used.error().reason, "join_token_used");
    EXPECT_EQ(workers(), 1u) << "a refusal makes nothing";
    EXPECT_OK(store_->join_worker(a_worker("b"), a_membership("two", "kb")));
    EXPECT_OK(store_->join_worker(a_worker("c"), a_membership("two", "kc")));
    EXPECT_CODE(store_->join_worker(a_worker("d"), a_membership("two", "kd")), ErrorCode::kPermissionDenied);
    EXPECT_CODE(store_->join_worker(a_worker("d"), a_membership("none", "kd")), ErrorCode::kNotFound);
}

TEST_F(JoiningTest, AnAnswerThatWasLostIsGivenAgain) {
    EXPECT_OK(store_->join_worker(a_worker("a"), a_membership("one", "ka")));
    EXPECT_EQ(store_->join_worker(a_worker("b"), a_membership("one", "ka", 5'000))->text, "wrk_a") << "even later";
    EXPECT_EQ(workers(), 1u);
    const auto elsewhere = store_->join_worker(a_worker("b"), a_membership("two", "ka"));
    EXPECT_CODE(elsewhere, ErrorCode::kConflict);
    EXPECT_EQ(store_->join_token(JoinTokenId("two"))->uses_left, 2u) << "and takes no use";
}

TEST_F(JoiningTest, RevokedAndExpiredTokensMakeNone) {
    const auto expired = store_->join_worker(a_worker("a"), a_membership("one", "ka", 1'000));
    EXPECT_CODE(expired, ErrorCode::kPermissionDenied);
    EXPECT_EQ(expired.error().reason, "join_token_expired");
    EXPECT_OK(store_->revoke_join_token(JoinTokenId("one")));
    EXPECT_OK(store_->revoke_join_token(JoinTokenId("one")));
    const auto revoked = store_->join_worker(a_worker("a"), a_membership("one", "ka"));
    EXPECT_CODE(revoked, ErrorCode::kPermissionDenied);
    EXPECT_EQ(revoked.error().reason, "join_token_revoked");
    EXPECT_THAT(revoked.error().message, HasSubstr("gantry workers token create"));
    EXPECT_CODE(store_->revoke_join_token(JoinTokenId("none")), ErrorCode::kNotFound);
    EXPECT_OK(store_->delete_join_tokens_before(at(1'000)));
    EXPECT_EQ(store_->join_tokens({})->items.size(), 2u);
    EXPECT_OK(store_->delete_join_tokens_before(at(1'001)));
    EXPECT_EQ(store_->join_tokens({})->items.size(), 0u);
}

TEST_F(JoiningTest, ATakenNameTakesNoUse) {
    EXPECT_OK(store_->create_worker(a_worker("a")));
    Worker same = a_worker("b");
    same.name = "a";
    EXPECT_CODE(store_->join_worker(same, a_membership("one", "ka")), ErrorCode::kConflict);
    EXPECT_EQ(store_->join_token(JoinTokenId("one"))->uses_left, 1u);
}

TEST_F(JoiningTest, AnEndedLeaseTakesTheInstancesAlong) {
    EXPECT_OK(store_->join_worker(a_worker("a"), a_membership("two", "ka")));
    EXPECT_OK(store_->join_worker(a_worker("b"), a_membership("two", "kb")));
    const Deployment d = a_deployment("m");
    EXPECT_OK(store_->create_deployment(d));
    for (const char* name : {"1", "2"}) {
        EXPECT_OK(store_->create_instance(an_instance(name, d)));
        EXPECT_OK(store_->place_instance(InstanceId("ins_" + std::string(name)),
                                         Placement{.claims = {{WorkerId(*name == '1' ? "wrk_a" : "wrk_b"), {"cpu", 0}, 1, 0, 0}}}, "{}", at(2)));
    }
    EXPECT_EQ(*store_->end_lease(WorkerId("wrk_a"), at(3)), 2);
    EXPECT_TRUE(store_->instance(InstanceId("ins_1"))->stopping);
    EXPECT_FALSE(store_->instance(InstanceId("ins_2"))->stopping);
    EXPECT_EQ(*store_->end_lease(WorkerId("wrk_a"), at(9)), 3);
    EXPECT_EQ(store_->instance(InstanceId("ins_1"))->state_since, at(3)) << "marked once";
    const auto rows = store_->snapshot();
    ASSERT_EQ(rows->memberships.size(), 2u);
    EXPECT_EQ(rows->memberships[0].epoch, 3);
    EXPECT_EQ(rows->memberships[1].epoch, 1);
    EXPECT_EQ(rows->memberships[0].key_digest, "ka");

    // What is left on it goes with it, unless it is still wanted.
    EXPECT_CODE(store_->delete_worker(WorkerId("wrk_b")), ErrorCode::kConflict);
    EXPECT_OK(store_->delete_worker(WorkerId("wrk_a")));
    EXPECT_EQ(store_->snapshot()->memberships.size(), 1u);
    EXPECT_CODE(store_->instance(InstanceId("ins_1")), ErrorCode::kNotFound);
    EXPECT_CODE(store_->end_lease(WorkerId("wrk_a"), at(4)), ErrorCode::kNotFound);
}

TEST_F(JoiningTest, AnEndedLeaseTakesInstancesAlongThatHaveAPartThere) {
    EXPECT_OK(store_->join_worker(a_worker("a"), a_membership("two", "ka")));
    EXPECT_OK(store_->join_worker(a_worker("b"), a_membership("two", "kb")));
    const Deployment d = a_deployment("m");
    EXPECT_OK(store_->create_deployment(d));
    EXPECT_OK(store_->create_instance(an_instance("1", d)));
    const Placement both{.claims = {{WorkerId("wrk_a"), {"cpu", 0}, 1, 0, 0}, {WorkerId("wrk_b"), {"cpu", 0}, 1, 0, 0}}};
    EXPECT_OK(store_->place_instance(InstanceId("ins_1"), both, "{}", at(2)));
    EXPECT_EQ(*store_->end_lease(WorkerId("wrk_b"), at(3)), 2);
    EXPECT_TRUE(store_->instance(InstanceId("ins_1"))->stopping);
}

TEST_F(JoiningTest, WhereAWorkerRunsIsKept) {
    EXPECT_OK(store_->join_worker(a_worker("a"), a_membership("one", "ka")));
    Membership moved = a_membership("one", "other");
    moved.worker_id = WorkerId("wrk_a");
    moved.machine_id = "m2";
    moved.address = "10.0.0.2";
    EXPECT_OK(store_->observe_membership(moved));
    const Membership kept = store_->snapshot()->memberships.at(0);
    EXPECT_EQ(kept.machine_id, "m2");
    EXPECT_EQ(kept.address, "10.0.0.2");
    EXPECT_EQ(kept.key_digest, "ka") << "what it joined with stays";
}

TEST_F(JoiningTest, ADrainIsKept) {
    Worker w = a_worker("a");
    EXPECT_OK(store_->create_worker(w));
    w.drain_by = at(77);
    w.version_number = 2;
    EXPECT_OK(store_->update_worker(w, 1));
    EXPECT_EQ(store_->worker(w.id)->drain_by, at(77));
    w.drain_by.reset();
    w.version_number = 3;
    EXPECT_OK(store_->update_worker(w, 2));
    EXPECT_FALSE(store_->worker(w.id)->drain_by.has_value());
}

}  // namespace
}  // namespace gantry::store
