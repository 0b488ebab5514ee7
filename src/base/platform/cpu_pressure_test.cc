#include "base/platform/cpu_pressure.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

namespace gantry::platform {
namespace {

TEST(ThreadWaits, KnowsThreadsByTheirNameAndCountsWhatTheyWaited) {
    const std::string own = thread_name();
    set_thread_name("pressure-test");
    std::atomic<bool> stop{false};
    std::thread child([&stop] { while (!stop) { std::this_thread::yield(); } });   // inherits the name
    set_thread_name(own);
    const std::vector<int64_t> found = threads_named("pressure-test");
    EXPECT_EQ(found.size(), 1u);
    EXPECT_EQ(thread_name(), own);
    const ThreadWaits waits(found);
    const std::optional<double> before = waits.total_ms();
    if (before) {   // not every kernel counts it
        EXPECT_GE(*waits.total_ms(), *before);
    }
    stop = true;
    child.join();
    EXPECT_EQ(ThreadWaits({found[0]}).total_ms(), std::nullopt) << "of a thread that has ended nothing is known";
    EXPECT_EQ(ThreadWaits().total_ms(), std::nullopt);
}

class IdleCoresTest : public ::testing::Test {
protected:
    void SetUp() override { std::filesystem::create_directories(root_ + "/proc"); }
    void TearDown() override { std::filesystem::remove_all(root_); }
    // Ticks of idle and of waiting for a disk since boot, for each core that this process could have.
    void write(uint64_t idle, uint64_t waiting) const {
        std::ofstream file(root_ + "/proc/stat");
        file << "cpu  1 2 3 4 5 6 7 8 9 10\n";
        for (int core = 0; core < 1024; ++core) {
            file << "cpu" << core << " 70 1 30 " << idle << " " << waiting << " 0 3 0 0 0\n";
        }
        file << "intr 12345 1 2 3\nctxt 99\n";
    }
    const std::string root_ = std::filesystem::temp_directory_path() / ("gantry_idle_cores_" + std::to_string(getpid()));
    const std::chrono::steady_clock::time_point start_{};
};

TEST_F(IdleCoresTest, AreWhatNobodyUsedBetweenTwoLooks) {
    IdleCores cores(root_);
    const double tick = 1.0 / static_cast<double>(sysconf(_SC_CLK_TCK));
    write(1000, 50);
    EXPECT_EQ(cores.since_last_look(start_ + std::chrono::seconds(10)), std::nullopt) << "the first look compares with nothing";
    write(1030, 70);
    const std::optional<double> idle = cores.since_last_look(start_ + std::chrono::seconds(12));
    ASSERT_TRUE(idle);
    // 50 ticks a core in two seconds; of each core that this process may use, and no others.
    const double cores_counted = *idle / (50 * tick / 2);
    EXPECT_NEAR(cores_counted, std::thread::hardware_concurrency(), 0.01);
    cores.forget();
    EXPECT_EQ(cores.since_last_look(start_ + std::chrono::seconds(13)), std::nullopt);
}

TEST_F(IdleCoresTest, WithoutTheFileNothingIsKnown) {
    EXPECT_EQ(IdleCores(root_ + "/none").since_last_look(start_), std::nullopt);
}

}  // namespace
}  // namespace gantry::platform
