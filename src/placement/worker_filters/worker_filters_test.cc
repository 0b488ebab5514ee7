#include "placement/worker_filters/worker_filters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "placement/fleet_for_test.h"

namespace gantry::placement {
namespace {

using testing::HasSubstr;
using testing::Optional;

struct WorkerFilters : testing::Test {
    Deployment deployment;
    Asked asked{.deployment = deployment, .backend = backends::backend(BackendKind::kEngine)};
    Worker worker = machine("w1", {});
};

TEST_F(WorkerFilters, not_ready) {
    EXPECT_EQ(refuse_not_ready(worker, asked), std::nullopt);
    worker.state = WorkerState::kDraining;
    EXPECT_EQ(refuse_not_ready(worker, asked), std::nullopt);
    worker.state = WorkerState::kPending;
    EXPECT_THAT(refuse_not_ready(worker, asked), Optional(HasSubstr("w1 has not reported")));
    worker.state = WorkerState::kUnreachable;
    EXPECT_THAT(refuse_not_ready(worker, asked), Optional(HasSubstr("unreachable since")));
}

TEST_F(WorkerFilters, cordoned) {
    EXPECT_EQ(refuse_cordoned(worker, asked), std::nullopt);
    worker.cordoned = true;
    EXPECT_THAT(refuse_cordoned(worker, asked), Optional(HasSubstr("w1 is cordoned")));
    worker.cordoned = false;
    worker.state = WorkerState::kDraining;
    EXPECT_THAT(refuse_cordoned(worker, asked), Optional(HasSubstr("takes no new instances")));
}

TEST_F(WorkerFilters, labels) {
    EXPECT_EQ(refuse_labels(worker, asked), std::nullopt);
    deployment.placement.worker_labels = {{"room", "lab"}, {"disk", "ssd"}};
    worker.labels = {{"room", "hall"}, {"more", "x"}};
    EXPECT_THAT(refuse_labels(worker, asked), Optional(HasSubstr("disk=ssd, room=lab (it is hall)")));
    worker.labels = {{"room", "lab"}, {"disk", "ssd"}, {"more", "x"}};
    EXPECT_EQ(refuse_labels(worker, asked), std::nullopt);
}

}  // namespace
}  // namespace gantry::placement
