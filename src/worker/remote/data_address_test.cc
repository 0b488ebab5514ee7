#include "worker/remote/data_address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/platform/process.h"

namespace gantry::worker {
namespace {

using testing::HasSubstr;

TEST(DataAddress, IsNeverOneOfLoopback) {
    const std::string outside = platform::outward_address();   // "" on a machine without a way outside
    for (const char* host : {"127.0.0.1", "localhost", "127.8.9.10"}) {
        const DataAddress found = data_address_towards(host);
        EXPECT_EQ(found.address, outside) << host;
        EXPECT_FALSE(platform::is_loopback(found.address)) << found.address;
        EXPECT_EQ(found.why.empty(), !outside.empty()) << host;
        if (outside.empty()) {
            EXPECT_THAT(found.why, testing::AllOf(HasSubstr("127."), HasSubstr("--data-address")));
        }
    }
}

TEST(DataAddress, NoneIsOfferedWithoutAWayToTheServerAndWhyIsSaid) {
    const DataAddress found = data_address_towards("no host has this name");
    EXPECT_EQ(found.address, "");
    EXPECT_THAT(found.why, testing::AllOf(HasSubstr("no host has this name"), HasSubstr("--data-address")));
}

}  // namespace
}  // namespace gantry::worker
