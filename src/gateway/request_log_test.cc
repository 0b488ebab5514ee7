#include "gateway/request_log.h"

#include <algorithm>
#include <fstream>

#include "base/log.h"
#include "gateway/gateway_test_support.h"

namespace gantry::gateway {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::string kTrace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

TEST(LogFields, OnlyWhatIsKnown) {
    Principal who;
    who.user_name = "ann";
    UsageRecord record;
    record.operation = "chat";
    EXPECT_EQ(log_fields(who, record, kTrace, "rate_limit_exceeded"),
              "trace=0af7651916cd43dd8448eb211c80319c user=ann op=chat error=rate_limit_exceeded");
    who.key_id = ApiKeyId("key_1");
    record.model = "org/tiny:7b";
    record.instance_id = InstanceId("ins_0");
    record.prompt_tokens = 11;
    record.completion_tokens = 2;
    record.cached_tokens = 8;
    record.ttft_ms = 12;
    EXPECT_EQ(log_fields(who, record, kTrace, {}),
              "trace=0af7651916cd43dd8448eb211c80319c user=ann key=key_1 model=org/tiny:7b instance=ins_0 op=chat tokens=11+2 cached=8 ttft=12ms");
}

TEST(LogFields, AMadeUpNameForgesNoField) {
    UsageRecord record;
    record.model = "x user=root\n\"";
    EXPECT_THAT(log_fields({}, record, kTrace, {}), HasSubstr(R"(model="x user=root\n\"")"));
    record.model = std::string(100'000, 'x');
    EXPECT_LT(log_fields({}, record, kTrace, {}).size(), 300u);
}

class RequestLogTest : public GatewayRig {
protected:
    void SetUp() override {
        GatewayRig::SetUp();
        log::start({.file = dir_ / "log", .to_stderr = false});
        access_log_ = true;
    }
    void TearDown() override {
        GatewayRig::TearDown();   // its thread may write
        log::start({});
    }
    // The line of a request in the log, which is written behind its answer. Warnings have lines of their own.
    std::string line_of(const http::SimpleResponse& response) {
        const std::string id(response.headers.get("x-request-id"));
        std::string found;
        EXPECT_TRUE(eventually([&] {
            std::ifstream file(dir_ / "log");
            found.clear();
            for (std::string line; std::getline(file, line);) {
                if (line.find(" info ") != std::string::npos && line.find(id) != std::string::npos && !file.eof()) found += line + "\n";
            }
            return !found.empty();
        }));
        EXPECT_EQ(std::count(found.begin(), found.end(), '\n'), 1) << found;
        return found;
    }
};

TEST_F(RequestLogTest, ARequestIsOneLineWithoutItsPrompt) {
    ScriptedEngine& engine = serve(streams({data(chunk("secret-answer")), data(kFinish), data(kUsage), kDone}));
    http::Client::Call asked = call("POST", "/v1/chat/completions", chat_body(true, R"(,"user":"secret-user")"));
    asked.headers.set("traceparent", kTrace);
    const std::string line = line_of(send(asked));
    EXPECT_THAT(line, HasSubstr("POST /v1/chat/completions 200 "));
    EXPECT_THAT(line, HasSubstr(" trace=0af7651916cd43dd8448eb211c80319c user=ann key=key_1 model=tiny instance=ins_0 op=chat tokens=11+2 cached=8"));
    EXPECT_THAT(line, Not(HasSubstr("secret")));
    EXPECT_THAT(line, Not(HasSubstr("error=")));
    EXPECT_EQ(engine.seen()[0].headers.get("traceparent"), kTrace) << "the engine is told, too";
}

TEST_F(RequestLogTest, ARefusedOneSaysWhy) {
    ScriptedEngine& engine = serve(answers(400, R"({"error":{"message":"secret-reason","type":"invalid_request_error","param":null,"code":"too_long"}})"));
    EXPECT_THAT(line_of(chat(false, {}, "no such")), HasSubstr(R"( user=ann key=key_1 model="no such" op=chat error=model_not_found)"));
    const std::string line = line_of(chat(false));
    EXPECT_THAT(line, HasSubstr(" 400 "));
    EXPECT_THAT(line, HasSubstr(" error=too_long"));
    EXPECT_THAT(line, Not(HasSubstr("secret")));
    EXPECT_EQ(engine.seen()[0].headers.get("traceparent").size(), 55u) << "one is made";
}

TEST_F(RequestLogTest, ABrokenStreamIsSaidToBe) {
    serve(streams_and_dies({data(chunk("a"))}));
    EXPECT_THAT(line_of(chat(true)), HasSubstr(" error=engine_crashed"));
}

}  // namespace
}  // namespace gantry::gateway
