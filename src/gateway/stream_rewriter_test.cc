#include "gateway/stream_rewriter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/event_check.h"

namespace gantry::gateway {
namespace {

using testing::HasSubstr;

TEST(EventCheck, FindsTheFactsThatMatter) {
    const auto delta = check_event(R"({"id":"x","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]})");
    ASSERT_TRUE(delta);
    EXPECT_TRUE(delta->output);
    EXPECT_FALSE(delta->usage_key || delta->error || delta->no_choices);
    EXPECT_FALSE(check_event(R"({"choices":[{"delta":{"role":"assistant","content":""}}]})")->output);
    EXPECT_TRUE(check_event(R"({"choices":[{"delta":{"reasoning_content":"hm"}}]})")->output);
    EXPECT_TRUE(check_event(R"({"choices":[{"text":"hm"}]})")->output);
    EXPECT_TRUE(check_event(R"({"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{"}}]}}]})")->output);
    EXPECT_FALSE(check_event(R"({"content":"not in choices"})")->output);
    const auto usage = check_event(R"({"choices":[],"usage":{"prompt_tokens":1}})");
    EXPECT_TRUE(usage->usage && usage->usage_key && usage->no_choices);
    const auto null_usage = check_event(R"({"choices":[{"usage":{}}],"usage":null})");
    EXPECT_TRUE(null_usage->usage_key);
    EXPECT_FALSE(null_usage->usage);
    EXPECT_TRUE(check_event(R"({"error":{"message":"x"}})")->error);
    EXPECT_TRUE(check_event(R"({"error":"x"})")->error);
    EXPECT_FALSE(check_event(R"({"error":null,"choices":[{"error":1}]})")->error);
    EXPECT_TRUE(check_event(R"({"\u0065rror":{"message":"x"}})")->error) << "an escaped key is the same key";
}

TEST(EventCheck, TakesNothingButOneJsonObject) {
    for (const std::string& text : {std::string(), std::string("null"), std::string("[]"), std::string("1"), std::string("\"x\""),
                                    std::string("{"), std::string("{}{}"), std::string("{} {}"), std::string("{},"),
                                    std::string("{\"a\":\"\xc3\"}"), std::string("{\"a\":\"\\ud800\"}"), std::string("{'a':1}"),
                                    std::string("{\"a\":NaN}"), std::string("garbage"), std::string("{\"a\":1,}"),
                                    "{\"a\":" + std::string(100'000, '[')}) {
        EXPECT_FALSE(check_event(text)) << text.substr(0, 40);
    }
    EXPECT_TRUE(check_event(" {\"a\":\"\xc3\xa9\"} \n"));
}

std::string taken(StreamRewriter& rewriter, const std::string& data, const std::string& event = {}) {
    std::string out;
    const Status status = rewriter.take({event, data}, out);
    return status.ok() ? out : "error: " + status.error().message;
}

TEST(StreamRewriter, PassesOwnEventsOnUnchanged) {
    StreamRewriter rewriter({"m", false, false});
    const std::string odd = R"({ "choices" : [ {"delta":{"content":"\u00e9 é"}} ],"model":"other" })";
    EXPECT_EQ(taken(rewriter, odd), "data: " + odd + "\n\n");
    EXPECT_EQ(rewriter.output_events(), 1u);
    EXPECT_EQ(taken(rewriter, "{\n\"choices\":[]}"), "data: {\ndata: \"choices\":[]}\n\n");
}

TEST(StreamRewriter, UsageGoesToThoseWhoAskedOnly) {
    const std::string usage = R"({"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10,)"
                              R"("prompt_tokens_details":{"cached_tokens":5}},"timings":{"queue_ms":1}})";
    StreamRewriter asked({"m", false, true});
    EXPECT_EQ(taken(asked, usage), "data: " + usage + "\n\n");
    StreamRewriter unasked({"m", false, false});
    EXPECT_EQ(taken(unasked, usage), "");
    for (const StreamRewriter* rewriter : {&asked, &unasked}) {
        ASSERT_TRUE(rewriter->usage());
        EXPECT_EQ(rewriter->usage()->prompt_tokens, 7u);
        EXPECT_EQ(rewriter->usage()->completion_tokens, 3u);
        EXPECT_EQ(rewriter->usage()->cached_tokens, 5u);
    }
    StreamRewriter others({"m", true, false});
    EXPECT_EQ(taken(others, R"({"model":"/models/x.gguf","choices":[{"index":0}],"usage":null})"),
              "data: {\"model\":\"m\",\"choices\":[{\"index\":0}]}\n\n");
    const std::string last = taken(others, R"({"choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":1}})");
    EXPECT_EQ(last.find("usage"), std::string::npos);
    EXPECT_THAT(last, HasSubstr("stop"));
    EXPECT_EQ(others.usage()->prompt_tokens, 1u);
}

TEST(StreamRewriter, EndsAtDoneAndAtNonsense) {
    StreamRewriter rewriter({"m", false, false});
    EXPECT_EQ(taken(rewriter, "[DONE]"), "");
    EXPECT_TRUE(rewriter.done());
    EXPECT_EQ(taken(rewriter, R"({"choices":[{"delta":{"content":"late"}}]})"), "");
    EXPECT_EQ(rewriter.output_events(), 0u);
    for (const char* data : {"garbage", "{}{}", "", "[]", "{\"a\":\"\xff\"}"}) {
        StreamRewriter strict({"m", false, false});
        EXPECT_THAT(taken(strict, data), HasSubstr("error: The engine sent")) << data;
        EXPECT_FALSE(strict.done());
    }
    StreamRewriter told({"m", false, false});
    EXPECT_EQ(taken(told, R"({"error":{"message":"out of memory","code":500}})"), "error: out of memory");
    EXPECT_THAT(StreamRewriter({}).broken(internal_error("x")), testing::StartsWith("data: {\"error\":{"));
}

}  // namespace
}  // namespace gantry::gateway
