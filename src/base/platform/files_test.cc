#include "base/platform/files.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/platform/file_lock.h"

namespace gantry::platform {
namespace {

using testing::HasSubstr;

class FilesTest : public testing::Test {
protected:
    FilesTest() {
        char name[] = "/tmp/gantry_files_XXXXXX";
        folder_ = ::mkdtemp(name);
    }
    ~FilesTest() override {
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }
    std::string at(const std::string& name) const { return folder_ + "/" + name; }
    mode_t mode(const std::string& path) const {
        struct stat info {};
        return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 07777 : 0;
    }

    std::string folder_;
};

TEST_F(FilesTest, WritesWholeAndPrivate) {
    ASSERT_TRUE(write_file_atomic(at("a"), "one").ok());
    ASSERT_TRUE(write_file_atomic(at("a"), "two\n").ok());
    EXPECT_EQ(*read_file(at("a")), "two\n");
    EXPECT_EQ(mode(at("a")), 0600u);
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1) << "no temporary file stays";
}

TEST_F(FilesTest, AFailedWriteLeavesTheOldText) {
    ASSERT_TRUE(write_file_atomic(at("a"), "old").ok());
    // A limit on file sizes stands in for a full disk: write() fails after the file was made.
    struct rlimit before {};
    ::getrlimit(RLIMIT_FSIZE, &before);
    ::signal(SIGXFSZ, SIG_IGN);
    struct rlimit tight = before;
    tight.rlim_cur = 10;
    ::setrlimit(RLIMIT_FSIZE, &tight);
    const Status written = write_file_atomic(at("a"), std::string(100, 'x'));
    ::setrlimit(RLIMIT_FSIZE, &before);
    ::signal(SIGXFSZ, SIG_DFL);
    EXPECT_FALSE(written.ok());
    EXPECT_EQ(*read_file(at("a")), "old");
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);
    EXPECT_EQ(write_file_atomic(at("no/such/folder"), "x").error().code, ErrorCode::kNotFound);
}

TEST_F(FilesTest, ReadsWithinItsLimit) {
    std::ofstream(at("big")) << std::string(5000, 'x');
    EXPECT_EQ(read_file(at("big"), 4999).error().code, ErrorCode::kTooLarge);
    EXPECT_EQ(read_file(at("big"), 5000)->size(), 5000u);
    EXPECT_EQ(read_file(at("none")).error().code, ErrorCode::kNotFound);
    EXPECT_EQ(read_tail(at("big"), 10), "xxxxxxxxxx");
    EXPECT_EQ(read_tail(at("none"), 10), "");
    std::ofstream(at("short")) << "ab";
    EXPECT_EQ(read_tail(at("short"), 10), "ab");
}

TEST_F(FilesTest, AFifoDoesNotBlockAReader) {
    ASSERT_EQ(::mkfifo(at("fifo").c_str(), 0600), 0);
    EXPECT_EQ(read_tail(at("fifo"), 10), "");
    EXPECT_EQ(read_file(at("fifo")).ok() ? *read_file(at("fifo")) : "", "");
}

TEST_F(FilesTest, MakesFoldersAndRemovesTrees) {
    ASSERT_TRUE(make_folders(at("a/b/c"), 0700).ok());
    ASSERT_TRUE(make_folders(at("a/b/c"), 0700).ok());
    EXPECT_EQ(mode(at("a/b")), 0700u);
    std::ofstream(at("a/file")) << "x";
    EXPECT_FALSE(make_folders(at("a/file/d")).ok());
    std::filesystem::create_directory(at("outside"));
    std::ofstream(at("outside/kept")) << "x";
    std::filesystem::create_directory_symlink(at("outside"), at("a/link"));
    ASSERT_TRUE(remove_tree(at("a")).ok());
    ASSERT_TRUE(remove_tree(at("a")).ok());
    EXPECT_TRUE(std::filesystem::exists(at("outside/kept"))) << "links are not followed";
}

TEST_F(FilesTest, APrivateFolderIsOursAlone) {
    ASSERT_EQ(::mkdir(at("p").c_str(), 0777), 0);
    ::chmod(at("p").c_str(), 0777);
    ASSERT_TRUE(make_private_folder(at("p")).ok());
    EXPECT_EQ(mode(at("p")), 0700u);
    std::filesystem::create_directory_symlink(at("p"), at("link"));
    EXPECT_FALSE(make_private_folder(at("link")).ok());
    if (::geteuid() == 0) {
        ASSERT_EQ(::chown(at("p").c_str(), 12345, 12345), 0);
        EXPECT_EQ(make_private_folder(at("p")).error().code, ErrorCode::kPermissionDenied);
    }
}

TEST_F(FilesTest, CopyAndTruncateLetsTheWriterGoOn) {
    UniqueFd writer(::open(at("log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600));
    ASSERT_EQ(::write(writer.get(), "before", 6), 6);
    ASSERT_TRUE(copy_and_truncate(at("log"), at("log.1")).ok());
    ASSERT_EQ(::write(writer.get(), "after", 5), 5);
    EXPECT_EQ(*read_file(at("log.1")), "before");
    EXPECT_EQ(*read_file(at("log")), "after");
}

TEST_F(FilesTest, SocketPathsHaveALimit) {
    EXPECT_TRUE(socket_path_fits(std::string(107, 'x')));
    EXPECT_FALSE(socket_path_fits(std::string(108, 'x')));
    EXPECT_FALSE(socket_path_fits(""));
}

TEST_F(FilesTest, ALockIsHeldByOneAndNamesItsHolder) {
    {
        const auto first = FileLock::try_lock_with_pid(at("lock"), "the data folder");
        ASSERT_TRUE(first.ok());
        const auto second = FileLock::try_lock_with_pid(at("lock"), "the data folder");
        ASSERT_FALSE(second.ok());
        EXPECT_EQ(second.error().code, ErrorCode::kConflict);
        EXPECT_THAT(second.error().message, HasSubstr("pid " + std::to_string(::getpid())));
    }
    EXPECT_TRUE(FileLock::try_lock(at("lock")).ok()) << "free once its holder is gone";
    EXPECT_EQ(FileLock::try_lock(at("no/lock")).error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace gantry::platform
