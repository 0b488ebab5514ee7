#include "base/log_tail.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace gantry {
namespace {

class LogTailTest : public testing::Test {
protected:
    void SetUp() override {
        std::string pattern = "/tmp/gantry-log-XXXXXX";
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        dir_ = pattern;
    }
    void TearDown() override { std::filesystem::remove_all(dir_); }
    std::string path(const std::string& name) const { return dir_ + "/" + name; }
    void append(const std::string& name, const std::string& text) { std::ofstream(path(name), std::ios::app) << text; }
    std::string dir_;
};

TEST_F(LogTailTest, last_lines_over_files) {
    append("old", "1\n2\n3\n");
    append("new", "4\n5");
    const std::vector<std::string> files{path("old"), path("new")};
    EXPECT_EQ(LogTail(files).last_lines(1), "5");
    EXPECT_EQ(LogTail(files).last_lines(2), "4\n5");
    EXPECT_EQ(LogTail(files).last_lines(3), "3\n4\n5");
    EXPECT_EQ(LogTail(files).last_lines(100), "1\n2\n3\n4\n5");
    EXPECT_EQ(LogTail(files).last_lines(0), "");
    EXPECT_EQ(LogTail({}).last_lines(5), "");
    EXPECT_EQ(LogTail({path("absent")}).last_lines(5), "");
}

TEST_F(LogTailTest, blank_lines_count) {
    append("log", "\n\na\n\n");
    EXPECT_EQ(LogTail({path("log")}).last_lines(1), "\n");
    EXPECT_EQ(LogTail({path("log")}).last_lines(2), "a\n\n");
    EXPECT_EQ(LogTail({path("log")}).last_lines(9), "\n\na\n\n");
}

TEST_F(LogTailTest, follows_growth_rotation_and_cutting) {
    append("log", "a\n");
    LogTail tail({path("log")});
    EXPECT_EQ(tail.last_lines(10), "a\n");
    EXPECT_EQ(tail.more(), "");
    append("log", "b\n");
    EXPECT_EQ(tail.more(), "b\n");
    append("log", "c\n");
    std::filesystem::rename(path("log"), path("log.1"));
    append("log", "d\n");
    tail.set_files({path("log.1"), path("log")});
    EXPECT_EQ(tail.more(), "c\n") << "what the old file got before it was rotated";
    EXPECT_EQ(tail.more(), "d\n");
    std::ofstream(path("log"), std::ios::trunc) << "";
    append("log", "e\n");
    std::filesystem::resize_file(path("log"), 0);
    EXPECT_EQ(tail.more(), "");
    append("log", "f\n");
    EXPECT_EQ(tail.more(), "f\n");
}

TEST_F(LogTailTest, only_regular_files) {
    append("secret", "s\n");
    std::filesystem::create_symlink(path("secret"), path("link"));
    ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
    EXPECT_EQ(LogTail({path("link")}).last_lines(5), "");
    EXPECT_EQ(LogTail({path("fifo")}).last_lines(5), "");
    EXPECT_EQ(LogTail({"/dev/zero"}).last_lines(5), "");
}

TEST_F(LogTailTest, a_huge_log_is_cut) {
    append("log", std::string(10u << 20, 'x'));
    EXPECT_EQ(LogTail({path("log")}).last_lines(10).size(), LogTail::kBytesMax);
}

}  // namespace
}  // namespace gantry
