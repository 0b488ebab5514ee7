// Calls held together in one transaction, and the answers that are kept in it. Under failing disks and power cuts: fault_test.cc.

#include <future>
#include <thread>

#include "store/store_for_test.h"

namespace gantry::store {
namespace {

class TogetherTest : public ::testing::Test {
protected:
    // What another thread sees.
    std::optional<std::string> elsewhere(const std::string& name) {
        std::optional<std::string> seen;
        std::thread([&] { seen = store_->setting(name).value(); }).join();
        return seen;
    }
    TempDir dir_;
    std::unique_ptr<SqliteStore> store_ = open_store(dir_.path());
};

TEST_F(TogetherTest, IsSeenByItsThreadAtOnceAndByOthersWhenCommitted) {
    const auto held = store_->together();
    EXPECT_OK(store_->set_setting("a", "1"));
    EXPECT_OK(store_->create_deployment(a_deployment("d")));
    EXPECT_EQ(store_->setting("a").value(), "1");
    EXPECT_OK(store_->deployment_by_name("d"));
    EXPECT_EQ(elsewhere("a"), std::nullopt);
    EXPECT_OK(held->commit());
    EXPECT_EQ(elsewhere("a"), "1");
    EXPECT_EQ(store_->setting("a").value(), "1");
}

TEST_F(TogetherTest, WithoutACommitNothingWasWritten) {
    {
        const auto held = store_->together();
        EXPECT_OK(store_->set_setting("a", "1"));
    }
    EXPECT_EQ(store_->setting("a").value(), std::nullopt);
    {
        const auto held = store_->together();   // nothing to commit
        EXPECT_OK(held->commit());
    }
    EXPECT_OK(store_->set_setting("a", "2"));
    EXPECT_EQ(elsewhere("a"), "2");
}

TEST_F(TogetherTest, AFailedCallTakesBackItsOwnWritesOnly) {
    const auto held = store_->together();
    EXPECT_OK(store_->create_deployment(a_deployment("d")));
    EXPECT_CODE(store_->create_deployment(a_deployment("d")), ErrorCode::kConflict);
    Deployment stale = a_deployment("d");
    EXPECT_CODE(store_->update_deployment(stale, 7), ErrorCode::kConflict);
    EXPECT_OK(store_->set_setting("a", "1"));
    EXPECT_OK(held->commit());
    EXPECT_OK(store_->deployment_by_name("d"));
    EXPECT_EQ(elsewhere("a"), "1");
}

TEST_F(TogetherTest, OtherWritersWaitForTheirTurn) {
    std::promise<void> begun;
    std::thread other;
    {
        const auto held = store_->together();
        EXPECT_OK(store_->set_setting("count", "1"));
        other = std::thread([&] {
            begun.set_value();
            EXPECT_OK(store_->set_setting("count", "2"));
        });
        begun.get_future().get();
        EXPECT_EQ(store_->setting("count").value(), "1");
        EXPECT_OK(held->commit());
    }
    other.join();
    EXPECT_EQ(store_->setting("count").value(), "2") << "the later one";
}

TEST_F(TogetherTest, AWriterThatGetsNoTurnIsTold) {
    store_.reset();
    store_ = open_store(dir_.path(), {.busy_timeout = std::chrono::milliseconds(20)});
    const auto held = store_->together();
    EXPECT_OK(store_->set_setting("a", "1"));
    std::thread([&] {
        const auto second = store_->together();
        const Status refused = store_->set_setting("a", "2");
        EXPECT_CODE(refused, ErrorCode::kUnavailable);
        EXPECT_EQ(refused.error().reason, "database_busy");
    }).join();
    EXPECT_OK(held->commit());
    EXPECT_OK(store_->set_setting("b", "1"));
}

TEST_F(TogetherTest, AnswersAreKeptOnceForAWhileAndNotTooMany) {
    EXPECT_OK(store_->keep_answer({"k", "r", "sealed", at(10)}, at(0)));
    EXPECT_CODE(store_->keep_answer({"k", "r", "other", at(11)}, at(0)), ErrorCode::kConflict);
    const auto kept = store_->kept_answer("k").value();
    ASSERT_TRUE(kept.has_value());
    EXPECT_EQ(kept->request, "r");
    EXPECT_EQ(kept->answer, "sealed");
    EXPECT_EQ(kept->at, at(10));
    EXPECT_OK(store_->keep_answer({"k", "r", "later", at(100)}, at(11)));   // the old one is forgotten
    EXPECT_EQ(store_->kept_answer("k").value()->answer, "later");
    EXPECT_EQ(store_->kept_answer("other").value(), std::nullopt);
    const auto held = store_->together();
    for (int64_t i = 0; i < kKeptAnswersMax; ++i) {
        ASSERT_TRUE(store_->keep_answer({"k" + std::to_string(i), "r", "s", at(200 + i)}, at(0)).ok());
    }
    EXPECT_OK(held->commit());
    EXPECT_FALSE(store_->kept_answer("k").value().has_value()) << "the oldest of one too many";
    EXPECT_TRUE(store_->kept_answer("k0").value().has_value());
}

}  // namespace
}  // namespace gantry::store
