// What deployments ran: kept with them, marked when it was good, forgotten when it is old.

#include "store/store_for_test.h"

namespace gantry::store {
namespace {

class Revisions : public ::testing::Test {
protected:
    TempDir dir_;
    std::unique_ptr<SqliteStore> store_ = open_store(dir_.path());
    Deployment d_ = a_deployment("a");

    void edit(int64_t generation) {
        ++d_.version;
        d_.generation = generation;
        d_.newest_generation = std::max(d_.newest_generation, generation);
        d_.options.threads = static_cast<uint32_t>(generation);
        EXPECT_OK(store_->update_deployment(d_, d_.version - 1));
    }
    std::vector<int64_t> kept() {
        std::vector<int64_t> out;
        const auto revisions = store_->revisions(d_.id);
        for (const Revision& r : *revisions) out.push_back(r.generation);
        return out;
    }
};

TEST_F(Revisions, EachGenerationHasOne) {
    d_.rollout.strategy = UpdateStrategy::kRecreate;
    d_.notice = "why";
    EXPECT_OK(store_->create_deployment(d_));
    edit(2);
    edit(2);
    edit(1);   // back again
    EXPECT_EQ(kept(), (std::vector<int64_t>{2, 1}));
    const auto revisions = *store_->revisions(d_.id);
    EXPECT_EQ(revisions[0].options.threads, 2u);
    EXPECT_EQ(revisions[1].options.threads, 0u) << "as it was first";
    EXPECT_EQ(revisions[1].source, d_.source);
    const Deployment read = *store_->deployment(d_.id);
    EXPECT_EQ(read.newest_generation, 2);
    EXPECT_EQ(read.rollout, d_.rollout);
    EXPECT_EQ(read.notice, "why");
    EXPECT_EQ(store_->snapshot()->revisions.size(), 2u);
    EXPECT_OK(store_->delete_deployment(d_.id));
    EXPECT_TRUE(kept().empty());
}

TEST_F(Revisions, TheLastToServeIsTheGoodOne) {
    EXPECT_OK(store_->create_deployment(d_));
    edit(2);
    EXPECT_EQ(last_good(*store_->revisions(d_.id), d_.id), nullptr);
    EXPECT_OK(store_->finish_rollout(d_.id, 1, at(50)));
    EXPECT_OK(store_->finish_rollout(d_.id, 2, at(20)));   // the clock was set back
    auto revisions = *store_->revisions(d_.id);
    EXPECT_EQ(last_good(revisions, d_.id)->generation, 2);
    EXPECT_OK(store_->finish_rollout(d_.id, 1, at(90)));
    revisions = *store_->revisions(d_.id);
    EXPECT_EQ(last_good(revisions, d_.id)->generation, 1);
    EXPECT_EQ(*last_good(revisions, d_.id)->good_at, at(90));
    EXPECT_EQ(last_good(revisions, DeploymentId("other")), nullptr);
    EXPECT_CODE(store_->finish_rollout(d_.id, 7, at(1)), ErrorCode::kNotFound);
}

TEST_F(Revisions, TheOldestAreForgottenButThoseInUse) {
    EXPECT_OK(store_->create_deployment(d_));
    edit(2);
    EXPECT_OK(store_->finish_rollout(d_.id, 2, at(1)));
    Instance old = an_instance("old", d_);
    old.generation = 3;
    edit(3);
    EXPECT_OK(store_->create_instance(old));
    for (int64_t generation = 4; generation <= 15; ++generation) edit(generation);
    EXPECT_EQ(kept(), (std::vector<int64_t>{15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 3, 2}));
}

}  // namespace
}  // namespace gantry::store
