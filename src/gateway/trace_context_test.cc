#include "gateway/trace_context.h"

#include <gtest/gtest.h>

namespace gantry::gateway {
namespace {

const std::string kGiven = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

std::string of(const std::string& given) { return traceparent_of({{"traceparent", given}}); }

TEST(TraceContext, AWellFormedOneGoesOn) {
    EXPECT_EQ(of(kGiven), kGiven);
    EXPECT_EQ(trace_id(kGiven), "0af7651916cd43dd8448eb211c80319c");
    EXPECT_EQ(of("cc" + kGiven.substr(2) + "-what-comes-later"), kGiven) << "a later version is told in ours";
    EXPECT_EQ(of("cc" + kGiven.substr(2)), kGiven);
}

TEST(TraceContext, AnythingElseIsReplacedByAFreshOne) {
    std::string upper = kGiven;
    upper[4] = 'A';
    std::string long_trace = kGiven;
    long_trace.insert(10, "0");
    const std::string wrong[] = {"", "00", kGiven.substr(1), kGiven + "-01", kGiven + "0", "ff" + kGiven.substr(2),
                                 "cc" + kGiven.substr(2) + "x", "zz" + kGiven.substr(2), upper, long_trace,
                                 "00-" + std::string(32, '0') + "-b7ad6b7169203331-01",
                                 "00-0af7651916cd43dd8448eb211c80319c-" + std::string(16, '0') + "-01",
                                 "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g", "00_" + kGiven.substr(3)};
    for (const std::string& given : wrong) {
        const std::string made = of(given);
        EXPECT_NE(made, given);
        EXPECT_EQ(of(made), made) << given << ": what is made is well-formed itself";
        EXPECT_TRUE(made.ends_with("-00")) << "nobody asked for it to be sampled";
    }
    EXPECT_NE(of(""), of("")) << "each its own";
    EXPECT_NE(traceparent_of({{"traceparent", kGiven}, {"traceparent", kGiven}}), kGiven) << "which of the two?";
}

}  // namespace
}  // namespace gantry::gateway
