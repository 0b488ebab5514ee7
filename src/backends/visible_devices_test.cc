#include "backends/visible_devices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backends/backends_for_test.h"

namespace gantry::backends {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

TEST(VisibleDevices, EachVendorHasItsVariable) {
    const std::pair<const char*, const char*> cases[] = {
        {"amd", "HIP_VISIBLE_DEVICES"},     {"ascend", "ASCEND_RT_VISIBLE_DEVICES"}, {"hygon", "HIP_VISIBLE_DEVICES"},
        {"mthreads", "MUSA_VISIBLE_DEVICES"}, {"iluvatar", "CUDA_VISIBLE_DEVICES"},   {"cambricon", "MLU_VISIBLE_DEVICES"},
        {"metax", "CUDA_VISIBLE_DEVICES"},
    };
    for (const auto& [vendor, variable] : cases) {
        EXPECT_THAT(visible_devices(placed({claim_of(vendor, 3, 1), claim_of(vendor, 0, 1), claim_of("cpu", 0, 1)}), {}),
                    ElementsAre(Pair(variable, "3,0")))
            << vendor;
    }
    EXPECT_THAT(visible_devices(placed({claim_of("nvidia", 1, 1)}), {}),
                ElementsAre(Pair("CUDA_DEVICE_ORDER", "PCI_BUS_ID"), Pair("CUDA_VISIBLE_DEVICES", "1")));
    EXPECT_THAT(visible_devices(placed({claim_of("apple", 0, 1)}), {}), IsEmpty());
    EXPECT_THAT(visible_devices(placed({claim_of("cpu", 0, 1)}), {}), IsEmpty());
    EXPECT_THAT(visible_devices({}, {}), IsEmpty());
}

Device nvidia(uint32_t index, const std::string& uuid) {
    Device device = device_of("nvidia", index, "sm_80");
    device.uuid = uuid;
    device.memory_total_bytes = 1;
    return device;
}

// Of four GPUs the first is lost, the second is whole, the third is cut: CUDA's count of whole ones is not NVML's.
TEST(VisibleDevices, NvidiaDevicesAreNamedByUuidWhereCudaCountsOtherwise) {
    Device lost = nvidia(0, "");
    lost.memory_total_bytes = 0;
    const Device whole = nvidia(1, "GPU-5f3c");
    Device part = nvidia(3000, "MIG-9a1b");
    part.partition = "GPU-77aa 1g.10gb";
    const Placement on_whole = placed({claim_of("nvidia", 1, 1)}), on_part = placed({claim_of("nvidia", 3000, 1)});
    EXPECT_EQ(device_list(on_whole, {nvidia(0, "GPU-11bb"), whole}), "1") << "vLLM takes no uuid of a whole one";
    EXPECT_EQ(device_list(on_whole, {lost, whole}), "GPU-5f3c");
    EXPECT_EQ(device_list(on_whole, {whole, part}), "GPU-5f3c");
    EXPECT_EQ(device_list(on_part, {whole, part}), "MIG-9a1b");
}

TEST(VisibleDevices, MayNotBeSetByHand) {
    for (const char* name : {"CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ASCEND_RT_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"}) {
        EXPECT_EQ(check_visible_devices(with_env({}, name)).error().param, std::string("options.env.") + name);
    }
    EXPECT_TRUE(check_visible_devices(with_env({}, "OMP_NUM_THREADS")).ok());
}

}  // namespace
}  // namespace gantry::backends
