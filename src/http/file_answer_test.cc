#include "http/file_answer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "http/http_test_support.h"

namespace gantry::http {
namespace {

class FileAnswer : public testing::Test {
protected:
    FileAnswer() {
        std::ofstream(path_, std::ios::binary) << content_;
        server_.route("GET", "/file", [this](Exchange& exchange) { return answer_with_file(exchange, pool_, path_); });
        server_.route("GET", "/none", [this](Exchange& exchange) { return answer_with_file(exchange, pool_, path_ + ".none"); });
        port_ = server_.start();
    }
    ~FileAnswer() override { std::filesystem::remove(path_); }
    SimpleResponse get(const std::string& target, const std::string& range = "") {
        Client::Call call{.target = target};
        if (!range.empty()) call.headers.set("range", range);
        auto answer = fetch("tcp:127.0.0.1:" + std::to_string(port_), call);
        EXPECT_TRUE(answer.ok());
        return answer ? *std::move(answer) : SimpleResponse{};
    }
    static std::string long_content() {
        std::string out;
        for (int i = 0; out.size() < 3'500'000; ++i) out += std::to_string(i);
        return out;
    }
    const std::string path_ = testing::TempDir() + "answer-" + std::to_string(::getpid());
    const std::string content_ = long_content();   // of several pieces
    BlockingPool pool_{1};
    TestServer server_;
    uint16_t port_ = 0;
};

TEST_F(FileAnswer, GivesAllOrWhatIsAskedFor) {
    const SimpleResponse all = get("/file");
    EXPECT_EQ(all.status, 200);
    EXPECT_EQ(all.body, content_);
    const std::string size = std::to_string(content_.size());
    const SimpleResponse part = get("/file", "bytes=1000000-3000000");
    EXPECT_EQ(part.status, 206);
    EXPECT_EQ(part.body, content_.substr(1'000'000, 2'000'001));
    EXPECT_EQ(part.headers.get("content-range"), "bytes 1000000-3000000/" + size);
    EXPECT_EQ(get("/file", "bytes=0-0").body, content_.substr(0, 1));
    const SimpleResponse rest = get("/file", "bytes=3000000-");
    EXPECT_EQ(rest.status, 206);
    EXPECT_EQ(rest.body, content_.substr(3'000'000));
    const SimpleResponse beyond = get("/file", "bytes=3000000-99999999999999999999999");   // more than 64 bits: no range
    EXPECT_EQ(beyond.status, 200);
    EXPECT_EQ(get("/file", "bytes=10-18446744073709551615").body, content_.substr(10));
    for (const char* none : {"bytes=-5", "bytes=5-2", "bytes=a-b", "bytes=1-2,4-5", "chunks=1-2", "bytes="}) {
        EXPECT_EQ(get("/file", none).status, 200) << none;
    }
    const SimpleResponse behind = get("/file", "bytes=" + size + "-");
    EXPECT_EQ(behind.status, 416);
    EXPECT_EQ(behind.headers.get("content-range"), "bytes */" + size);
    EXPECT_EQ(get("/none").status, 404);
}

}  // namespace
}  // namespace gantry::http
