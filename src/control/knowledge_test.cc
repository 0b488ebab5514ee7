#include "control/knowledge.h"

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "control/control_test_support.h"

namespace gantry::control {
namespace {

// A store, a model's file, and one instance of it that waits for a place; the file is read when the test says so.
struct Knowing : testing::Test {
    Knowing() {
        rows = std::move(*store::Store::open(dir.path()));
        std::ofstream(path) << "model";
        Deployment d;
        d.id = DeploymentId("dep_1");
        d.source = source;
        view.deployments.push_back(d);
        Instance i;
        i.id = InstanceId("ins_1");
        i.deployment_id = d.id;
        view.instances.push_back(i);
    }
    KnowledgeSource::Options slow(std::chrono::milliseconds patience) {
        KnowledgeSource::Options options;
        options.patience = patience;
        options.read = [this] {
            const std::lock_guard lock(mutex);
            ++told;
            changed.notify_all();
        };
        options.reader = [this](const std::string&, const models::ReadLimits& limits) -> Result<ModelMeta> {
            ++readings;
            while (!may_read.load()) {
                if (limits.give_up()) return invalid_argument("given up");
                std::this_thread::yield();
            }
            ModelMeta meta;
            meta.layers = 7;
            return meta;
        };
        return options;
    }
    void wait_until_told(int times) {
        std::unique_lock lock(mutex);
        ASSERT_TRUE(changed.wait_for(lock, 20s, [&] { return told >= times; }));
    }

    TempDir dir;
    const std::string path = dir.path() + "/m.gguf", source = "file:" + path;
    std::unique_ptr<store::Store> rows;
    Snapshot view;
    std::mutex mutex;
    std::condition_variable changed;
    int told = 0;
    std::atomic<bool> may_read{false};
    std::atomic<int> readings{0};
};

TEST_F(Knowing, WhatIsSlowToReadIsNotWaitedFor) {
    KnowledgeSource knowledge(*rows, slow(0ms));
    const auto first = knowledge.of_waiting(view);
    EXPECT_TRUE(first.reading.contains(source));
    EXPECT_TRUE(first.metas.empty());
    EXPECT_TRUE(first.meta_problems.empty()) << "it is not unknown: it will be known";
    EXPECT_TRUE(knowledge.of_waiting(view).reading.contains(source));
    may_read = true;
    wait_until_told(1);
    const auto later = knowledge.of_waiting(view);
    EXPECT_TRUE(later.reading.empty());
    EXPECT_EQ(later.metas.at(source).layers, 7u);
    EXPECT_EQ(readings, 1);
}

TEST_F(Knowing, WhatIsReadAtOnceIsKnownAtOnce) {
    may_read = true;
    KnowledgeSource knowledge(*rows, slow(20s));
    EXPECT_EQ(knowledge.of_waiting(view).metas.at(source).layers, 7u);
}

TEST_F(Knowing, AFileThatChangedIsReadAnew) {
    may_read = true;
    KnowledgeSource knowledge(*rows, slow(20s));
    (void)knowledge.of_waiting(view);
    (void)knowledge.of_waiting(view);
    EXPECT_EQ(readings, 1);
    std::ofstream(path) << "another model";
    EXPECT_EQ(knowledge.of_waiting(view).metas.size(), 1u);
    EXPECT_EQ(readings, 2);
    EXPECT_EQ(knowledge.of({source}, view).metas.at(source).layers, 7u);
    EXPECT_EQ(readings, 2) << "both know the same";
}

TEST_F(Knowing, WhoeverLooksAtAModelReadsItsFileOnce) {
    may_read = true;
    KnowledgeSource knowledge(*rows, slow(20s));
    EXPECT_EQ(knowledge.look(source)->layers, 7u);
    EXPECT_EQ(knowledge.look(source)->layers, 7u);
    EXPECT_EQ(knowledge.of({source}, view).metas.at(source).layers, 7u);
    EXPECT_EQ(readings, 1);
    std::ofstream(path) << "another model";
    EXPECT_TRUE(knowledge.look(source).ok());
    EXPECT_EQ(readings, 2);
    std::ofstream(dir.path() + "/mmproj-m.gguf") << "a tower";   // the model's own file stays as it was
    EXPECT_TRUE(knowledge.look(source).ok());
    EXPECT_EQ(readings, 3);
    std::ofstream(dir.path() + "/mmproj-m.gguf") << "another tower";
    EXPECT_EQ(knowledge.of({source}, view).metas.size(), 1u);
    EXPECT_EQ(readings, 4);
}

TEST_F(Knowing, WhatCouldNotBeReadIsTriedAgainByWhoLooks) {
    KnowledgeSource::Options options = slow(20s);
    options.longest = 0s;
    KnowledgeSource knowledge(*rows, options);
    EXPECT_FALSE(knowledge.look(source).ok());
    may_read = true;
    EXPECT_EQ(knowledge.look(source)->layers, 7u);
    EXPECT_EQ(readings, 2);
}

TEST_F(Knowing, AStopGivesUpWhatIsBeingRead) {
    KnowledgeSource knowledge(*rows, slow(0ms));
    (void)knowledge.of_waiting(view);
    ASSERT_TRUE(eventually([&] { return readings == 1; }));
    knowledge.stop();   // comes back although the file is never read
    EXPECT_EQ(told, 0);
}

TEST_F(Knowing, ReadingThatTakesTooLongIsGivenUp) {
    KnowledgeSource::Options options = slow(20s);
    options.longest = 0s;
    KnowledgeSource knowledge(*rows, options);
    EXPECT_THAT(knowledge.of_waiting(view).meta_problems.at(source), HasSubstr("given up"));
}

TEST_F(Knowing, AFileOfAnotherMachineIsKnownFromTheCatalogue) {
    Model row;
    row.source = "file:/nowhere/m.gguf";
    row.meta.layers = 9;
    view.models.push_back(row);
    view.deployments[0].source = row.source;
    KnowledgeSource::Options options = slow(20s);
    options.reader = models::read_model;
    KnowledgeSource knowledge(*rows, options);
    EXPECT_EQ(knowledge.of_waiting(view).metas.at(row.source).layers, 9u);
    EXPECT_EQ(knowledge.of({row.source}, view).metas.at(row.source).layers, 9u);
    view.models.clear();
    EXPECT_THAT(knowledge.of_waiting(view).meta_problems.at(row.source), HasSubstr("does not exist"));
}

}  // namespace
}  // namespace gantry::control
