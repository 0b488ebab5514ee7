#include <gtest/gtest.h>

#include "domain/deployment.h"
#include "domain/instance.h"
#include "domain/worker.h"

namespace gantry {
namespace {

TEST(Deployment, NamesThatMayBePublicModelNames) {
    for (const char* good : {"a", "smollm2", "Qwen/Qwen3-0.6B", "org/name:tag", "a_b-c.d"}) {
        EXPECT_TRUE(valid_deployment_name(good)) << good;
    }
    for (const char* bad : {"", "-a", "/a", "a/", "a//b", "a/../b", "a b", "a\n", "<img>", "\xc3\xa9"}) {
        EXPECT_FALSE(valid_deployment_name(bad)) << bad;
    }
    EXPECT_TRUE(valid_deployment_name(std::string(128, 'a')));
    EXPECT_FALSE(valid_deployment_name(std::string(129, 'a')));
}

TEST(States, TextGoesBothWays) {
    for (int i = 0; i <= static_cast<int>(InstanceState::kUnreachable); ++i) {
        const auto state = static_cast<InstanceState>(i);
        EXPECT_EQ(instance_state_from(to_string(state)), state);
    }
    for (int i = 0; i <= static_cast<int>(WorkerState::kDraining); ++i) {
        const auto state = static_cast<WorkerState>(i);
        EXPECT_EQ(worker_state_from(to_string(state)), state);
    }
    EXPECT_EQ(backend_kind_from("llama-server"), BackendKind::kLlamaServer);
    EXPECT_EQ(backend_kind_from("triton"), std::nullopt);
}

}  // namespace
}  // namespace gantry
