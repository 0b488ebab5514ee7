#include "worker/log_blanker.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace gantry::worker {
namespace {

struct Blanking : testing::Test {
    Blanking() {
        char name[] = "/tmp/gantry_blank_XXXXXX";
        folder = ::mkdtemp(name);
        path = folder + "/engine.log";
    }
    ~Blanking() override { std::filesystem::remove_all(folder); }
    void append(const std::string& text) const { std::ofstream(path, std::ios::app) << text; }
    std::string text() const {
        std::ifstream file(path);
        std::stringstream all;
        all << file.rdbuf();
        return all.str();
    }
    std::string folder, path;
    LogBlanker blanker{{"k3y-k3y-k3y", "token-of-a-hub", "short"}};
};

TEST_F(Blanking, AsManyStarsWhereTheSecretStood) {
    append("server_args=ServerArgs(model_path='/m', api_key='k3y-k3y-k3y', port=1)\nagain k3y-k3y-k3y and token-of-a-hub, short\n");
    blanker.look(path);
    EXPECT_EQ(text(), "server_args=ServerArgs(model_path='/m', api_key='***********', port=1)\nagain *********** and **************, short\n");
}

TEST_F(Blanking, WhatIsWrittenInPiecesAndLater) {
    blanker.look(path);   // not there yet
    append("one k3y-k3");
    blanker.look(path);
    append("y-k3y two ");
    blanker.look(path);
    EXPECT_EQ(text(), "one *********** two ");
    append("token-of-a-hub");
    blanker.look(path);
    EXPECT_EQ(text(), "one *********** two **************");
}

TEST_F(Blanking, ALogThatBeginsAnew) {
    append(std::string(1000, 'x'));
    blanker.look(path);
    std::ofstream(path, std::ios::trunc) << "k3y-k3y-k3y";
    blanker.look(path);
    EXPECT_EQ(text(), "***********");
}

TEST_F(Blanking, MoreThanOneLookReads) {
    append(std::string((1u << 20) - 4, 'x') + "k3y-k3y-k3y" + std::string(1u << 20, 'y') + "token-of-a-hub");
    for (int i = 0; i < 4; ++i) blanker.look(path);
    EXPECT_EQ(text().find("k3y-"), std::string::npos);
    EXPECT_EQ(text().find("token-of"), std::string::npos);
    EXPECT_EQ(text().size(), (1u << 20) - 4 + 11 + (1u << 20) + 14);
}

}  // namespace
}  // namespace gantry::worker
