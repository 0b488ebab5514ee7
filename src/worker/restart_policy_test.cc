#include "worker/restart_policy.h"

#include <gtest/gtest.h>

#include "worker/out_of_memory.h"

namespace gantry::worker {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

constexpr double kNoJitter = 0.5;

TEST(RestartPolicy, FirstAtOnceThenDoublingToItsCap) {
    const SupervisionPolicy product;
    RestartPolicy policy(product);
    FakeClock clock;
    const milliseconds expected[] = {0s, 1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s};
    for (const milliseconds delay : expected) {
        EXPECT_EQ(policy.on_failure(clock.steady(), kNoJitter), delay);
        clock.advance(delay);
    }
    for (int i = 0; i < 200; ++i) {
        EXPECT_EQ(policy.on_failure(clock.steady(), kNoJitter), 60s);
    }
}

TEST(RestartPolicy, ChanceSpreadsByAFifth) {
    const SupervisionPolicy product;
    RestartPolicy policy(product);
    FakeClock clock;
    policy.on_failure(clock.steady(), 0);
    EXPECT_EQ(policy.on_failure(clock.steady(), 0), 800ms);
    EXPECT_NEAR(static_cast<double>(policy.on_failure(clock.steady(), 0.999999).count()), 2400, 1);
}

TEST(RestartPolicy, AMinuteOfHealthForgets) {
    const SupervisionPolicy product;
    RestartPolicy policy(product);
    FakeClock clock;
    for (int i = 0; i < 6; ++i) {
        policy.on_failure(clock.steady(), kNoJitter);
    }
    EXPECT_TRUE(policy.crash_loop());
    policy.on_ready(clock.steady());
    clock.advance(59'999ms);
    EXPECT_EQ(policy.on_failure(clock.steady(), kNoJitter), 32s) << "not quite a minute";
    policy.on_ready(clock.steady());
    clock.advance(60'000ms);
    EXPECT_EQ(policy.on_failure(clock.steady(), kNoJitter), 0s);
    EXPECT_FALSE(policy.crash_loop());
    // A start that never became ready forgets nothing, however long it took.
    clock.advance(600'000ms);
    EXPECT_EQ(policy.on_failure(clock.steady(), kNoJitter), 1s);
}

TEST(RestartPolicy, SaysWhatWhyAndWhatNext) {
    const SupervisionPolicy product;
    RestartPolicy policy(product);
    FakeClock clock;
    milliseconds delay = policy.on_failure(clock.steady(), kNoJitter);
    EXPECT_EQ(policy.describe("exited with status 3", delay, "tiny"), "exited with status 3; trying again now");
    delay = policy.on_failure(clock.steady(), kNoJitter);
    EXPECT_EQ(policy.describe("exited with status 3", delay, "tiny"), "exited with status 3; next try in 1 s");
    for (int i = 0; i < 3; ++i) {
        delay = policy.on_failure(clock.steady(), kNoJitter);
    }
    EXPECT_EQ(policy.describe("exited with status 3", delay, "tiny"),
              "crash loop: exited with status 3 5 times; next try in 8 s; see gantry logs tiny");
    EXPECT_EQ(policy.describe("no such binary", delay, "tiny", false), "no such binary; next try in 8 s");
}

TEST(OutOfMemoryWatch, KnowsTheRuntimesWords) {
    EXPECT_TRUE(says_out_of_memory("loading\ntorch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB\nbye\n"));
    EXPECT_TRUE(says_out_of_memory("ggml_backend_cuda_buffer_type_alloc_buffer: allocating 9000 MiB: cudaMalloc failed: out of memory"));
    EXPECT_TRUE(says_out_of_memory("terminate called after throwing an instance of 'std::bad_alloc'"));
    EXPECT_FALSE(says_out_of_memory("failed to load model"));
    EXPECT_FALSE(says_out_of_memory(""));
}

TEST(OutOfMemoryWatch, SeesARiseForTenSeconds) {
    OutOfMemoryWatch watch;
    FakeClock clock;
    EXPECT_FALSE(watch.rose(clock.steady(), 7)) << "nothing to compare with";
    for (int second = 0; second < 30; ++second) {
        watch.sample(clock.steady(), 3);
        clock.advance(1s);
    }
    EXPECT_FALSE(watch.rose(clock.steady(), 3));
    EXPECT_TRUE(watch.rose(clock.steady(), 4));
    for (int second = 0; second < 9; ++second) {
        watch.sample(clock.steady(), 4);
        clock.advance(1s);
    }
    EXPECT_TRUE(watch.rose(clock.steady(), 4));
    for (int second = 0; second < 12; ++second) {
        watch.sample(clock.steady(), 4);
        clock.advance(1s);
    }
    EXPECT_FALSE(watch.rose(clock.steady(), 4)) << "long ago: another's";
}

}  // namespace
}  // namespace gantry::worker
