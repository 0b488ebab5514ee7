#include "placement/placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gantry::placement {
namespace {

Worker worker(const std::string& id, WorkerState state = WorkerState::kReady, bool cordoned = false) {
    Worker w;
    w.id = WorkerId(id);
    w.name = id;
    w.state = state;
    w.cordoned = cordoned;
    return w;
}

Instance instance(const std::string& id, const std::string& deployment, const std::string& on) {
    Instance i;
    i.id = InstanceId(id);
    i.deployment_id = DeploymentId(deployment);
    i.worker_id = WorkerId(on);
    return i;
}

struct Case {
    const char* what;
    std::vector<Worker> workers;
    std::vector<Instance> placed;
    const char* expected;
    std::vector<std::string> rules;
};

TEST(placement, table) {
    const std::vector<Case> cases = {
        {"no workers", {}, {}, "", {}},
        {"the only one", {worker("w1")}, {}, "w1", {}},
        {"equal: by id", {worker("w2"), worker("w1")}, {}, "w1", {}},
        {"fewest instances", {worker("w1"), worker("w2")}, {instance("i1", "other", "w1")}, "w2", {}},
        {"equal load: fewest of the same deployment",
         {worker("w1"), worker("w2")},
         {instance("i1", "d", "w1"), instance("i2", "other", "w2")},
         "w2",
         {}},
        {"unplaced ones weigh nothing", {worker("w1"), worker("w2")}, {instance("i1", "d", "")}, "w1", {}},
        {"its own row weighs nothing", {worker("w1"), worker("w2")}, {instance("new", "d", "w1")}, "w1", {}},
        {"unreachable", {worker("w1", WorkerState::kUnreachable)}, {}, "", {"ready"}},
        {"pending", {worker("w1", WorkerState::kPending)}, {}, "", {"ready"}},
        {"cordoned", {worker("w1", WorkerState::kReady, true)}, {}, "", {"not cordoned"}},
        {"draining", {worker("w1", WorkerState::kDraining)}, {}, "", {"not cordoned"}},
        {"loaded but ready beats idle but refused",
         {worker("w1", WorkerState::kUnreachable), worker("w2"), worker("w3", WorkerState::kReady, true)},
         {instance("i1", "d", "w2"), instance("i2", "d", "w2")},
         "w2",
         {"ready", "not cordoned"}},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.what);
        Snapshot snapshot;
        snapshot.workers = c.workers;
        snapshot.instances = c.placed;
        Deployment deployment;
        deployment.id = DeploymentId("d");
        const Decision decision = place(instance("new", "d", ""), deployment, snapshot);
        EXPECT_EQ(decision.worker_id.text, c.expected);
        std::vector<std::string> rules;
        for (const Refusal& r : decision.refusals) {
            rules.push_back(r.rule);
            EXPECT_THAT(r.reason, testing::HasSubstr(r.worker_id.text));
        }
        EXPECT_EQ(rules, c.rules);
        EXPECT_EQ(explain(decision).empty(), !decision.worker_id.empty());
    }
}

TEST(placement, explains_in_one_line) {
    Decision nowhere;
    EXPECT_THAT(explain(nowhere), testing::HasSubstr("no worker"));
    for (int i = 0; i < 10; ++i) {
        nowhere.refusals.push_back({WorkerId("w"), "ready", "w" + std::to_string(i) + " is unreachable"});
    }
    const std::string text = explain(nowhere);
    EXPECT_THAT(text, testing::HasSubstr("w0 is unreachable; w1 is unreachable"));
    EXPECT_THAT(text, testing::EndsWith("and 6 more"));
}

}  // namespace
}  // namespace gantry::placement
