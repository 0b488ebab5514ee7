#include "base/platform/process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "base/no_descriptors_for_test.h"
#include "base/platform/file_lock.h"
#include "base/platform/memory.h"

namespace gantry::platform {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

bool ends_within(const UniqueFd& watch, int ms = 10'000) {
    pollfd waiting{watch.get(), POLLIN, 0};
    return ::poll(&waiting, 1, ms) == 1;
}

template <class Condition>
bool eventually(Condition met) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!met()) {
        if (std::chrono::steady_clock::now() > end) {
            return false;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
}

class ProcessTest : public testing::Test {
protected:
    ProcessTest() {
        char name[] = "/tmp/gantry_process_XXXXXX";
        folder_ = ::mkdtemp(name);
    }
    ~ProcessTest() override {
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }
    SpawnRequest shell(const std::string& script) const {
        SpawnRequest request;
        request.argv = {"/bin/sh", "-c", script};
        request.env = {{"PATH", "/usr/bin:/bin"}};
        request.output_file = folder_ + "/log";
        request.working_folder = folder_;
        return request;
    }
    std::string output() const {
        const auto text = read_file(folder_ + "/log");
        return text.ok() ? *text : "";
    }
    // Runs the script to its end.
    ProcessExit run(const SpawnRequest& request) {
        const auto spawned = spawn(request);
        EXPECT_TRUE(spawned.ok()) << spawned.error().message;
        EXPECT_TRUE(ends_within(spawned->watch));
        return reap(spawned->id.pid).value_or(ProcessExit{-1, -1});
    }

    std::string folder_;
};

TEST_F(ProcessTest, OutputFolderAndEnvironment) {
    auto request = shell("echo out; echo err >&2; pwd; env; cat; echo $0 \"$1\"");
    request.argv.insert(request.argv.end(), {"zero", "; echo injected"});
    request.env["SAID"] = "so";
    ::setenv("NOT_INHERITED", "x", 1);
    EXPECT_EQ(run(request).text(), "exited with status 0");
    EXPECT_THAT(output(), AllOf(HasSubstr("out\nerr\n"), HasSubstr(folder_ + "\n"), HasSubstr("SAID=so\n"),
                                Not(HasSubstr("NOT_INHERITED")), HasSubstr("zero ; echo injected\n")));
    run(shell("echo more"));
    EXPECT_THAT(output(), AllOf(HasSubstr("out\n"), HasSubstr("more\n"))) << "appended";
}

TEST_F(ProcessTest, OwnSessionDefaultSignalsAndNoForeignHandles) {
    const UniqueFd leak(::open("/dev/null", O_RDONLY));  // no O_CLOEXEC, on purpose
    const auto lock = FileLock::try_lock(folder_ + "/lock");
    ASSERT_TRUE(lock.ok());
    auto request = shell("ls -l /proc/self/fd; cat /proc/self/stat; grep SigIgn /proc/self/status; cat /proc/self/oom_score_adj");
    request.inherited_handle = lock->handle();
    request.oom_score_adjust = 321;
    ::signal(SIGTERM, SIG_IGN);
    const auto spawned = spawn(request);
    ::signal(SIGTERM, SIG_DFL);
    ASSERT_TRUE(spawned.ok());
    ASSERT_TRUE(ends_within(spawned->watch));
    reap(spawned->id.pid);
    EXPECT_THAT(output(), AllOf(HasSubstr("3 -> " + folder_ + "/lock"), Not(HasSubstr("4 -> /dev/null")), HasSubstr("0 -> /dev/null"),
                                HasSubstr("SigIgn:"), HasSubstr("321\n")));
    // glibc leaves its own two (32 and 33) ignored; no ordinary one is.
    EXPECT_EQ(std::stoull(output().substr(output().find("SigIgn:") + 7), nullptr, 16) & 0x7fffffff, 0u);
    EXPECT_THAT(output(), HasSubstr(" " + std::to_string(spawned->id.pid) + " " + std::to_string(spawned->id.pid) + " "))
        << "group and session are the child's own";
}

TEST_F(ProcessTest, TheLockLivesAsLongAsTheChild) {
    std::optional<FileLock> lock = *FileLock::try_lock(folder_ + "/lock");
    auto request = shell("exec sleep 1000");
    request.inherited_handle = lock->handle();
    const auto spawned = spawn(request);
    ASSERT_TRUE(spawned.ok());
    lock.reset();
    EXPECT_EQ(FileLock::try_lock(folder_ + "/lock").error().code, ErrorCode::kConflict);
    EXPECT_THAT(find_by_open_file(folder_ + "/lock"), Contains(spawned->id));
    EXPECT_TRUE(signal_group(spawned->id.pid, ProcessSignal::kKill));
    ASSERT_TRUE(ends_within(spawned->watch));
    EXPECT_TRUE(eventually([&] { return FileLock::try_lock(folder_ + "/lock").ok(); }));
    EXPECT_EQ(reap(spawned->id.pid)->text(), "killed by SIGKILL");
}

TEST_F(ProcessTest, ExitsAreTold) {
    EXPECT_EQ(run(shell("exit 3")).text(), "exited with status 3");
    EXPECT_EQ(run(shell("kill -SEGV $$")).text(), "killed by SIGSEGV");
    EXPECT_EQ((ProcessExit{0, 64}.text()), "killed by signal 64");
    EXPECT_FALSE(reap(::getppid()).has_value()) << "no child of ours";
}

TEST_F(ProcessTest, WhatCannotStartIsAnError) {
    auto request = shell("");
    request.argv = {"/nonexistent/program"};
    EXPECT_EQ(spawn(request).error().code, ErrorCode::kNotFound);
    request.argv = {"/etc/hostname"};
    EXPECT_FALSE(spawn(request).ok());
    request = shell("true");
    request.output_file = folder_ + "/no/such/log";
    EXPECT_FALSE(spawn(request).ok());
    request = shell("true");
    request.working_folder = "/nonexistent";
    EXPECT_FALSE(spawn(request).ok());
    std::filesystem::create_symlink("/etc/hostname", folder_ + "/link");
    request.output_file = folder_ + "/link";
    EXPECT_FALSE(spawn(request).ok()) << "a log that is a link is not followed";
}

TEST_F(ProcessTest, NoHandlesLeftIsAnErrorAndLeavesNoChild) {
    for (rlim_t left = 0; left < 3; ++left) {
        std::optional<NoDescriptors> none(std::in_place, left);
        const auto spawned = spawn(shell("exec sleep 1000"));
        none.reset();
        if (spawned.ok()) {
            end_child_now(spawned->id.pid);
        } else {
            EXPECT_EQ(spawned.error().code, ErrorCode::kUnavailable) << spawned.error().message;
        }
        EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "no child is left";
    }
}

TEST_F(ProcessTest, APidTakenByAnotherIsNotMistaken) {
    const auto spawned = spawn(shell("exec sleep 1000"));
    ASSERT_TRUE(spawned.ok());
    EXPECT_EQ(*identify(spawned->id.pid), spawned->id);
    EXPECT_TRUE(watch_process(spawned->id).ok());
    ProcessId other = spawned->id;
    other.start_ticks += 1;
    EXPECT_EQ(watch_process(other).error().code, ErrorCode::kNotFound);
    EXPECT_FALSE(holds_pid(other));
    kill_process(other);
    EXPECT_TRUE(identify(spawned->id.pid).ok()) << "and is not killed";
    other = spawned->id;
    other.boot_id = "another boot";
    EXPECT_FALSE(watch_process(other).ok());
    kill_process(spawned->id);
    ASSERT_TRUE(ends_within(spawned->watch));
    EXPECT_FALSE(identify(spawned->id.pid).ok()) << "ended, though not waited for";
    EXPECT_TRUE(holds_pid(spawned->id)) << "its pid is not free until then";
    reap(spawned->id.pid);
    EXPECT_FALSE(holds_pid(spawned->id));
    EXPECT_FALSE(watch_process(spawned->id).ok());
    EXPECT_FALSE(watch_process(ProcessId{}).ok());
}

TEST_F(ProcessTest, GroupsAreSignalledAndMeasuredWhole) {
    const auto spawned = spawn(shell("sleep 1000 & exec sleep 1000"));
    ASSERT_TRUE(spawned.ok());
    ASSERT_TRUE(eventually([&] { return group_memory({spawned->id.pid})[0].pids.size() == 2; }));
    const GroupMemory memory = group_memory({spawned->id.pid})[0];
    EXPECT_GT(memory.private_bytes, 0u);
    EXPECT_LT(memory.private_bytes, memory.resident_bytes) << "the program itself is a file's";
    EXPECT_GE(memory.peak_bytes, memory.resident_bytes);
    EXPECT_TRUE(is_group_leader(spawned->id.pid));
    ::kill(static_cast<pid_t>(spawned->id.pid), SIGSTOP);
    EXPECT_TRUE(signal_group(spawned->id.pid, ProcessSignal::kTerminate));
    ASSERT_TRUE(ends_within(spawned->watch)) << "a stopped process is woken to end";
    EXPECT_EQ(reap(spawned->id.pid)->text(), "killed by SIGTERM");
    EXPECT_TRUE(eventually([&] { return !signal_group(spawned->id.pid, ProcessSignal::kKill); }));
}

TEST_F(ProcessTest, FindsAProcessByItsEnvironment) {
    auto request = shell("exec sleep 1000");
    request.env["GANTRY_TEST_NONCE"] = "n0nce";
    const auto spawned = spawn(request);
    ASSERT_TRUE(spawned.ok());
    EXPECT_TRUE(eventually([&] {
        const auto found = find_by_environment("GANTRY_TEST_NONCE", "n0nce");
        return found.size() == 1 && found[0] == spawned->id;
    }));
    EXPECT_TRUE(find_by_environment("GANTRY_TEST_NONCE", "n0nc").empty()) << "whole values only";
    end_child_now(spawned->id.pid);
}

TEST_F(ProcessTest, FindsPrograms) {
    EXPECT_EQ(*find_program("/bin/sh"), "/bin/sh");
    EXPECT_TRUE(find_program("sh").ok());
    EXPECT_FALSE(find_program("bin/sh").ok());
    EXPECT_FALSE(find_program("").ok());
    EXPECT_FALSE(find_program("/tmp").ok());
    EXPECT_FALSE(find_program("no-such-program-here").ok());
    EXPECT_TRUE(std::filesystem::exists(own_executable()));
    EXPECT_GT(*free_port("127.0.0.1"), 1023);
    EXPECT_GT(*free_port("127.0.0.2"), 1023) << "all of 127/8 is this machine's";
    EXPECT_EQ(free_port("192.0.2.1").error().message, "192.0.2.1 is no address of this machine");
    EXPECT_EQ(free_port("localhost").error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(outward_address("127.0.0.1"), "127.0.0.1");
    EXPECT_EQ(outward_address("localhost"), "127.0.0.1");
    EXPECT_EQ(outward_address("no host has this name"), "");
    for (const char* mine : {"127.0.0.1", "127.8.9.10", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1"}) EXPECT_TRUE(is_loopback(mine)) << mine;
    for (const char* others :
         {"10.0.0.1", "128.0.0.1", "fe80::1", "::ffff:10.0.0.1", "unix", "127.0.0", ""}) {
        EXPECT_FALSE(is_loopback(others)) << others;
    }
    EXPECT_FALSE(host_name().empty());
    in_addr address{};   // or none, on a machine without a way outside
    EXPECT_TRUE(outward_address().empty() || ::inet_pton(AF_INET, outward_address().c_str(), &address) == 1) << outward_address();
    EXPECT_GE(usable_cores(), 1u);
}

TEST(Memory, CountsKillsForWantOfMemory) {
    EXPECT_EQ(out_of_memory_kills(std::string(GANTRY_SOURCE_DIR) + "/tests/data/devices/xeon-2-cores"), 3u);
    EXPECT_EQ(out_of_memory_kills("/nonexistent"), 0u);
}

}  // namespace
}  // namespace gantry::platform
