#include "gateway/stream_rewriter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <sstream>

#include "base/json.h"
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

// Only the text is looked at where all around it is as before: which must not show.
TEST(EventCheck, SeesAnEventBehindOthersAsItWouldAlone) {
    const auto shown = [](const std::optional<EventFacts>& facts) {
        if (!facts) return std::string("none");
        std::ostringstream out;
        out << facts->error << facts->usage << facts->usage_key << facts->no_choices << facts->output << ' ' << facts->models << facts->usages;
        for (const Span& span : {facts->model, facts->usage_value, facts->timings, facts->usage_member}) out << ' ' << span.begin << '-' << span.end;
        return out.str();
    };
    const auto event = [](const std::string& content, const std::string& more = {}) {
        return R"({"id":"x","model":"m","choices":[{"index":0,"delta":{"content":")" + content + R"("},"finish_reason":null)" + more +
               R"(}],"usage":null,"timings":{"a":"b"},"model":"n"})";
    };
    EventCheck stream;
    const std::vector<std::string> texts = {
        event("one"), event("a longer text"), event(""), event("x"), event("\\u00e9\\n"), event("\\"), event("\""), event("\xff"), event("\xc3\xa9"),
        event("tab\there"), event("a\",\"content\":\"b"), event("\",\"x\":\""), event("\"}}],\"error\":{},\"y\":[{\"z\":{\"content\":\""),
        event("one", ",\"x\":1"), event("two", ",\"x\":1"), event("one", ",\"reasoning\":\"r\""), event("two", ",\"reasoning\":\"r\""),
        "{}", "{", "", event("last")};
    for (const std::string& text : texts) {
        EXPECT_EQ(shown(stream(text)), shown(check_event(text))) << text;
    }
}

std::string taken(StreamRewriter& rewriter, const std::string& data, const std::string& event = {}) {
    std::string out;
    const Status status = rewriter.take({event, data}, out);
    return status.ok() ? out : "error: " + status.error().message;
}

// The parser that the rest of us uses decides what is JSON.
TEST(EventCheck, AgreesWithTheParserOnWhatIsJson) {
    const std::vector<std::string> seeds = {
        R"({"id":"x","choices":[{"index":0,"delta":{"content":"h\u00e9 \ud83d\ude80 é 🚀"},"finish_reason":null}],"usage":null})",
        R"({"a":[1,-0.5e+10,1E5,0,true,false,null,{},[],"",{"b":[[{"c":"\"\\\/\b\f\n\r\t"}]]}], "model" : "m" })",
        std::string(62, '[').insert(0, "{\"a\":") + std::string(62, ']') + "}",
        std::string(63, '[').insert(0, "{\"a\":") + std::string(63, ']') + "}",
        std::string(64, '[').insert(0, "{\"a\":") + std::string(64, ']') + "}"};
    const std::string bytes = std::string("{}[]\",:\\u0019-+.eEdD8cx \n\t\x01\x7f\xc0\xc2\xe0\xa0\xed\x9f\xf0\x90\xf4\x8f\xff") + '\0';
    std::mt19937 random(7);   // repeatable
    for (int i = 0; i < 200'000; ++i) {
        std::string text = seeds[random() % seeds.size()];
        for (size_t edits = i < static_cast<int>(seeds.size()) ? 0 : 1 + random() % 3; edits > 0; --edits) {
            const size_t at = random() % text.size();
            switch (random() % 3) {
                case 0: text[at] = bytes[random() % bytes.size()]; break;
                case 1: text.insert(at, 1, bytes[random() % bytes.size()]); break;
                default: text.erase(at, 1 + random() % 4); break;
            }
            if (text.empty()) text = " ";
        }
        const Result<json::value> parsed = parse_json(text);
        if (!parsed && parsed.error().message.find("too large") != std::string::npos) continue;   // the scanner reads no numbers
        ASSERT_EQ(check_event(text).has_value(), parsed && parsed->is_object()) << text;
    }
}

// Whatever stands in an event: what is spliced together is what taking it apart and writing it anew gives.
TEST(StreamRewriter, ChangesNothingButTheModelAndUnaskedUsage) {
    const std::vector<std::string> members = {R"("model":"theirs")", R"("model" : {"a":["}"]} )", R"("usage":null)", R"( "usage" : [1, {}] )",
                                              R"("choices":[{"delta":{"content":"a\"b"}}])", R"("id":1)", R"("\u006dodel":"x")"};
    std::mt19937 random(7);
    for (int i = 0; i < 20'000; ++i) {
        std::string text = "{";
        for (size_t left = random() % 5; left > 0; --left) text += members[random() % members.size()] + (left > 1 ? "," : "");
        text += "} ";
        const bool foreign = random() % 2 == 0;
        const bool wants_usage = random() % 2 == 0;
        StreamRewriter rewriter({"our \"name\"", foreign, wants_usage});
        const std::string out = taken(rewriter, text);
        json::value expected = parse_json(text).value();
        if (!wants_usage) expected.get_object().erase("usage");
        if (foreign) expected.get_object()["model"] = "our \"name\"";
        ASSERT_TRUE(out.starts_with("data: {") && out.ends_with("\n\n")) << text << out;
        const Result<json::value> found = parse_json(std::string_view(out).substr(6));
        ASSERT_TRUE(found) << text << out;
        ASSERT_EQ(*found, expected) << text << out;
    }
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
