#include "placement/device_filters/device_filters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "placement/fleet_for_test.h"

namespace gantry::placement {
namespace {

using testing::HasSubstr;
using testing::Optional;

struct DeviceFilters : testing::Test {
    Deployment deployment;
    Asked asked{.deployment = deployment, .backend = backends::backend(BackendKind::kVllm)};
    Worker worker = machine("rack/1", {card("ascend", 3, 64, "910B", "Ascend 910B3")});
    Device& npu = worker.devices[0];
};

TEST_F(DeviceFilters, not_chosen) {
    EXPECT_EQ(refuse_not_chosen(worker, npu, asked), std::nullopt);
    for (const auto& [text, passes] : {std::pair{"ascend/3", true}, {"rack/1/ascend/3", true}, {"wrk_rack/1/ascend/3", true},
                                       {"ascend/2", false}, {"w2/ascend/3", false}}) {
        deployment.placement.devices = {text};
        asked.by_hand = {*parse_chosen(text)};
        EXPECT_EQ(!refuse_not_chosen(worker, npu, asked), passes) << text;
    }
    EXPECT_THAT(refuse_not_chosen(worker, npu, asked), Optional(HasSubstr("w2/ascend/3")));
    for (const char* text : {"", "ascend", "ascend/", "/3", "ascend/x", "ascend/-1", "w1/ascend/3x", "/ascend/3", "ascend/99999999999"}) {
        EXPECT_EQ(parse_chosen(text), std::nullopt) << text;
    }
}

TEST_F(DeviceFilters, type) {
    EXPECT_EQ(refuse_type(worker, npu, asked), std::nullopt);
    for (const auto& [type, passes] : {std::pair{"ascend", true}, {"Ascend", true}, {"910b", true}, {"910", true},
                                       {"910B3", false}, {"310P", false}, {"asc", false}, {"", false}}) {
        deployment.placement.device_types = {"nvidia", type};
        EXPECT_EQ(!refuse_type(worker, npu, asked), passes) << type;
    }
    EXPECT_THAT(refuse_type(worker, npu, asked), Optional(HasSubstr("ascend 910B")));
}

TEST_F(DeviceFilters, unsupported) {
    EXPECT_EQ(refuse_unsupported(worker, npu, asked), std::nullopt);
    npu.chip = "310P";
    EXPECT_THAT(refuse_unsupported(worker, npu, asked), Optional(HasSubstr("vLLM does not run on Ascend 310P")));
}

TEST_F(DeviceFilters, unhealthy) {
    EXPECT_EQ(refuse_unhealthy(worker, npu, asked), std::nullopt);
    npu.problem = "Alarm: HBM multi-bit ECC error";
    EXPECT_THAT(refuse_unhealthy(worker, npu, asked), Optional(HasSubstr("multi-bit")));
}

}  // namespace
}  // namespace gantry::placement
