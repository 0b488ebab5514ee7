// Against recorded files of /proc and /sys, as they are while memory fills up and empties.
#include "gateway/memory_guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace gantry::gateway {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class MemoryGuardTest : public testing::Test {
protected:
    MemoryGuardTest() {
        std::string pattern = "/tmp/gantry-memory-XXXXXX";
        if (::mkdtemp(pattern.data()) == nullptr) std::abort();
        root_ = pattern;
    }
    ~MemoryGuardTest() override { std::filesystem::remove_all(root_); }

    void write(const std::string& path, const std::string& text) {
        std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
        std::ofstream(root_ + path) << text;
    }
    void machine(uint64_t total_mib, uint64_t available_mib) {
        const auto kib = [](uint64_t mib) { return std::to_string(mib << 10) + " kB\n"; };
        write("/proc/meminfo", "MemTotal: " + kib(total_mib) + "MemAvailable: " + kib(available_mib));
    }
    // A container of cgroup v2: what it holds, and how much of that are files.
    void container(uint64_t limit_mib, uint64_t used_mib, uint64_t idle_files_mib, uint64_t mapped_files_mib) {
        write("/proc/self/cgroup", "0::/box\n");
        write("/sys/fs/cgroup/box/memory.max", std::to_string(limit_mib << 20) + "\n");
        write("/sys/fs/cgroup/box/memory.current", std::to_string(used_mib << 20) + "\n");
        write("/sys/fs/cgroup/box/memory.stat", "anon 1\ninactive_file " + std::to_string(idle_files_mib << 20) + "\nactive_file " +
                                                    std::to_string(mapped_files_mib << 20) + "\n");
    }
    bool is_short(MemoryGuard& guard) {
        clock_.advance(MemoryGuard::kLookEvery);
        return !guard.shortage().empty();
    }

    FakeClock clock_;
    std::string root_;
};

TEST_F(MemoryGuardTest, sheds_below_the_reserve_and_until_there_is_a_quarter_more) {
    MemoryGuard guard(clock_, 100ull << 20, root_);
    machine(1000, 100);
    EXPECT_FALSE(is_short(guard));
    machine(1000, 99);
    EXPECT_TRUE(is_short(guard));
    EXPECT_EQ(guard.shortage(), "memory is short: 99 MiB of 1000 MiB are left, and 100 MiB are to stay free");
    machine(1000, 124);
    EXPECT_TRUE(is_short(guard));
    machine(1000, 125);
    EXPECT_FALSE(is_short(guard));
    machine(1000, 100);
    EXPECT_FALSE(is_short(guard));
}

TEST_F(MemoryGuardTest, the_tightest_group_around_us_counts_and_files_are_no_shortage) {
    MemoryGuard guard(clock_, 100ull << 20, root_);
    machine(64'000, 60'000);
    container(1000, 980, 30, 900);   // a model's file, mapped and read by each token
    EXPECT_FALSE(is_short(guard));
    container(1000, 980, 30, 0);
    EXPECT_TRUE(is_short(guard));
    EXPECT_THAT(guard.shortage(), HasSubstr("50 MiB of 1000 MiB"));
}

TEST_F(MemoryGuardTest, by_default_a_part_of_the_memory_there_is) {
    EXPECT_EQ(MemoryGuard::default_reserve(256ull << 20), 32ull << 20);
    EXPECT_EQ(MemoryGuard::default_reserve(8ull << 30), 256ull << 20);
    EXPECT_EQ(MemoryGuard::default_reserve(1ull << 40), 512ull << 20);
    MemoryGuard guard(clock_, std::nullopt, root_);
    machine(8192, 257);
    EXPECT_FALSE(is_short(guard));
    machine(8192, 255);
    EXPECT_TRUE(is_short(guard));
}

TEST_F(MemoryGuardTest, without_a_reserve_or_figures_nothing_is_shed) {
    MemoryGuard off(clock_, 0, root_);
    MemoryGuard blind(clock_, 100ull << 20, root_);
    EXPECT_FALSE(is_short(blind)) << "no file is there";
    machine(1000, 1);
    EXPECT_FALSE(is_short(off));
    EXPECT_TRUE(is_short(blind));
}

TEST_F(MemoryGuardTest, large_bodies_are_looked_at_first_and_others_not_each_time) {
    MemoryGuard guard(clock_, 100ull << 20, root_);
    machine(1000, 500);
    EXPECT_FALSE(is_short(guard));
    machine(1000, 10);
    EXPECT_EQ(guard.shortage(1000), "");
    EXPECT_NE(guard.shortage(MemoryGuard::kLargeBytes), "");
    EXPECT_NE(guard.shortage(), "") << "and the others know";
}

TEST_F(MemoryGuardTest, requests_to_models_are_refused_and_nothing_else) {
    MemoryGuard guard(clock_, 100ull << 20, root_);
    machine(1000, 10);
    const HeadCheck check = refuse_while_short(guard, [](const http::Request& head) -> std::optional<http::Response> {
        if (head.path == "/v1/secret") return http::text_response(401, "");
        return std::nullopt;
    });
    const auto asked = [&](const char* method, const char* path) {
        http::Request head;
        head.method = method;
        head.path = path;
        return check(head);
    };
    for (const char* path : {"/v1/chat/completions", "/v1/messages", "/v1-openai/embeddings", "/v2/rerank", "/v1/audio/transcriptions",
                             "/api/v1/compare"}) {
        const auto refused = asked("POST", path);
        ASSERT_TRUE(refused) << path;
        EXPECT_EQ(refused->status, 503);
        EXPECT_EQ(refused->headers.get("retry-after"), "5");
        EXPECT_THAT(refused->body, HasSubstr("10 MiB of 1000 MiB are left"));
        if (std::string_view(path) != "/v1/messages") {   // of another shape, without a code
            EXPECT_THAT(refused->body, HasSubstr("\"server_memory_short\""));
        }
    }
    EXPECT_FALSE(asked("GET", "/v1/models"));
    EXPECT_FALSE(asked("POST", "/api/v1/deployments/m/sleep"));
    EXPECT_FALSE(asked("DELETE", "/api/v1/deployments/m"));
    EXPECT_FALSE(asked("GET", "/healthz"));
    EXPECT_EQ(asked("POST", "/v1/secret")->status, 401) << "who may not ask learns nothing of it";
    machine(1000, 900);
    clock_.advance(MemoryGuard::kLookEvery);
    EXPECT_FALSE(asked("POST", "/v1/chat/completions"));
}

}  // namespace
}  // namespace gantry::gateway
