#include "engine_server/exit_file.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include <stdexcept>

#include "base/json.h"
#include "base/platform/files.h"

namespace gantry::engine_server {
namespace {

class ExitFile : public testing::Test {
protected:
    void SetUp() override {
        GTEST_FLAG_SET(death_test_style, "threadsafe");
        std::string pattern = testing::TempDir() + "exit-XXXXXX";
        folder_ = ::mkdtemp(pattern.data());
        path_ = folder_ + "/exit.json";
    }
    void TearDown() override { (void)platform::remove_tree(folder_); }

    json::value content() const {
        const Result<std::string> text = platform::read_file(path_);
        return text ? *parse_json(*text) : json::value();
    }

    std::string folder_;
    std::string path_;
};

TEST_F(ExitFile, TheFirstReasonStays) {
    start_exit_file(path_);
    write_exit_file("invalid model file: \"x\"", 3);
    write_exit_file("stopped", 0);
    EXPECT_EQ(content().at("reason"), "invalid model file: \"x\"");
    EXPECT_EQ(content().at("code"), 3);
    start_exit_file("");
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_F(ExitFile, ACrashIsWrittenDown) {
    // The path must be the same in the child, which runs this test again from its start.
    const std::string path = testing::TempDir() + "gantry-crash-test.json";
    EXPECT_EXIT(
        {
            start_exit_file(path);
            ::raise(SIGSEGV);
        },
        testing::KilledBySignal(SIGSEGV), "");
    path_ = path;
    EXPECT_EQ(content().at("code"), 139);
    ::remove(path.c_str());
}

TEST_F(ExitFile, AnUnhandledExceptionIsWrittenDown) {
    const std::string path = testing::TempDir() + "gantry-terminate-test.json";
    EXPECT_EXIT(
        {
            start_exit_file(path);
            const auto fail = [] { throw std::runtime_error("no way out"); };
            [&]() noexcept { fail(); }();
        },
        testing::KilledBySignal(SIGABRT), "no way out");
    path_ = path;
    EXPECT_EQ(content().at("reason"), "unhandled exception: no way out");
    ::remove(path.c_str());
}
#endif

}  // namespace
}  // namespace gantry::engine_server
