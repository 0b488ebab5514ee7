#include "cli/config_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace gantry::cli {
namespace {

class ConfigFile : public testing::Test {
protected:
    ConfigFile() : path_(testing::TempDir() + "gantry-config-" + std::to_string(getpid())) {
        verb_.add_option("--port", port_)->envname("GANTRY_TEST_PORT");
        verb_.add_option("--data-dir", data_dir_);
        verb_.add_flag("--no-worker", no_worker_);
        unsetenv("GANTRY_TEST_PORT");
    }
    ~ConfigFile() override {
        std::filesystem::remove(path_);
        unsetenv("GANTRY_TEST_PORT");
    }
    Status apply(const std::string& text, const std::string& line) {
        std::ofstream(path_) << text;
        verb_.parse(line);
        return apply_config(verb_, path_);
    }

    std::string path_;
    CLI::App verb_;
    int port_ = 9090;
    std::string data_dir_;
    bool no_worker_ = false;
};

TEST_F(ConfigFile, SetsWhatNothingElseSet) {
    const Status applied = apply("# a comment\nport = 9191\ndata-dir = \"/srv/g x\"\nno-worker = true\n", "");
    ASSERT_TRUE(applied) << applied.error().message;
    EXPECT_EQ(port_, 9191);
    EXPECT_EQ(data_dir_, "/srv/g x");
    EXPECT_TRUE(no_worker_);
}

TEST_F(ConfigFile, FlagsBeatIt) {
    ASSERT_TRUE(apply("port = 9191\n", "--port 7"));
    EXPECT_EQ(port_, 7);
}

TEST_F(ConfigFile, TheEnvironmentBeatsIt) {
    setenv("GANTRY_TEST_PORT", "8", 1);
    ASSERT_TRUE(apply("port = 9191\n", ""));
    EXPECT_EQ(port_, 8);
}

TEST_F(ConfigFile, FlagsBeatTheEnvironment) {
    setenv("GANTRY_TEST_PORT", "8", 1);
    ASSERT_TRUE(apply("", "--port 7"));
    EXPECT_EQ(port_, 7);
}

TEST_F(ConfigFile, NamesWhatItDoesNotKnow) {
    const Status unknown = apply("prot = 9191\n", "");
    ASSERT_FALSE(unknown);
    EXPECT_NE(unknown.error().message.find("prot"), std::string::npos);
    const Status wrong = apply("port = many\n", "");
    ASSERT_FALSE(wrong);
    EXPECT_NE(wrong.error().message.find("port"), std::string::npos);
    EXPECT_FALSE(apply_config(verb_, "/no/such/file"));
}

TEST_F(ConfigFile, AFalseFlagStaysFalse) {
    ASSERT_TRUE(apply("no-worker = false\n", ""));
    EXPECT_FALSE(no_worker_);
}

}  // namespace
}  // namespace gantry::cli
