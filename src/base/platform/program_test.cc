#include "base/platform/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <thread>

#include "base/platform/process.h"

namespace gantry::platform {
namespace {

using namespace std::chrono_literals;

ProgramRequest shell(const std::string& script, Deadline deadline = {}) {
    return {.argv = {"sh", "-c", script}, .deadline = deadline};
}

TEST(RunProgram, TakesWhatItPrintsAndHowItEnded) {
    const auto output = run_program(shell("echo out; echo err >&2; exit 3"));
    ASSERT_TRUE(output.ok()) << output.error().message;
    EXPECT_EQ(output->text, "out\nerr\n");
    EXPECT_EQ(output->status, 3);
    EXPECT_EQ(run_program(shell("kill -SEGV $$"))->signal, 11);
    ProgramRequest quiet = shell("echo out; echo err >&2; echo $LC_ALL");
    quiet.with_errors = false;
    EXPECT_EQ(run_program(quiet)->text, "out\nC\n");
    EXPECT_EQ(run_program({.argv = {"no-such-program-here"}, .deadline = {}}).error().code, ErrorCode::kNotFound);
}

TEST(RunProgram, WhatHangsIsKilledWithAllItStarted) {
    // Both sleep, and both hold the pipe; the inner one tells its pid first.
    const auto output = run_program(shell("sleep 1000 & echo $! > /dev/null; sleep 1000", Deadline::after(50ms)));
    ASSERT_FALSE(output.ok());
    EXPECT_EQ(output.error().reason, "timeout");
    EXPECT_THAT(output.error().message, testing::HasSubstr("sh did not answer in time"));
}

TEST(RunProgram, IsEndedFromAnotherThread) {
    ProgramCancel cancel;
    ProgramRequest request = shell("exec sleep 1000");
    request.cancel = &cancel;
    std::thread other([&] { cancel.cancel(); });
    EXPECT_EQ(run_program(request).error().code, ErrorCode::kCancelled);
    other.join();
    EXPECT_EQ(run_program(request).error().code, ErrorCode::kCancelled) << "one that comes later, too";
}

TEST(RunProgram, BelongsToThisProcessesGroupWhereItShall) {
    ProgramRequest request = shell("ps -o pgid= -p $$ 2>/dev/null || cut -d' ' -f5 /proc/$$/stat");
    EXPECT_NE(std::stoll(run_program(request)->text), ::getpgrp());
    request.own_group = false;
    EXPECT_EQ(std::stoll(run_program(request)->text), ::getpgrp());
    EXPECT_TRUE(group_lives(::getpgrp()));
}

TEST(RunProgram, WhatItLeavesBehindIsEnded) {
    const auto output = run_program(shell("sleep 1000 >/dev/null 2>&1 & echo $!"));
    ASSERT_TRUE(output.ok());
    const int64_t pid = std::stoll(output->text);
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (identify(pid).ok() && std::chrono::steady_clock::now() < end) {
        std::this_thread::sleep_for(1ms);
    }
    EXPECT_FALSE(identify(pid).ok());
}

TEST(RunProgram, NoMoreThanTheLimitIsTaken) {
    ProgramRequest request = shell("yes");
    request.bytes_max = 1000;
    const auto output = run_program(request);
    ASSERT_TRUE(output.ok());
    EXPECT_TRUE(output->cut);
    EXPECT_EQ(output->text.size(), 1000u);
}

}  // namespace
}  // namespace gantry::platform
