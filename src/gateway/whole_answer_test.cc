#include "gateway/whole_answer.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace gantry::gateway {
namespace {

const std::string kAnswer =
    R"({ "id":"c1","model":"/secret/p\"ath.gguf",  "choices":[{"index":0,"message":{"content":"h\u00e9 \"model\":\"x\""}}],)"
    R"("usage":{"prompt_tokens":11,"completion_tokens":2.0,"prompt_tokens_details":{"cached_tokens":8}},)"
    R"("timings":{"queue_ms":1.5,"prefill_ms":2,"decode_ms":3},"big":123456789012345678901234567890,"small":1.50e0})";

WholeAnswer read(std::string& text, bool foreign, const char* key = "choices") { return read_whole(text, {key, "or\"g/tiny", foreign}); }

TEST(WholeAnswer, OfOurEnginesIsNotTouched) {
    std::string text = kAnswer;
    const WholeAnswer answer = read(text, false);
    ASSERT_TRUE(answer.valid);
    EXPECT_EQ(text, kAnswer);
    ASSERT_TRUE(answer.usage && answer.timings);
    EXPECT_EQ(answer.usage->prompt_tokens, 11u);
    EXPECT_EQ(answer.usage->completion_tokens, 2u);
    EXPECT_EQ(answer.usage->cached_tokens, 8u);
    EXPECT_EQ(answer.timings->queue_ms, 1.5);
    EXPECT_EQ(answer.timings->decode_ms, 3);
}

TEST(WholeAnswer, OfOthersHasAnotherModelsNameAndNothingElseNew) {
    std::string expected = kAnswer;
    const std::string theirs = R"("/secret/p\"ath.gguf")";
    expected.replace(expected.find(theirs), theirs.size(), R"("or\"g/tiny")");
    std::string text = kAnswer;
    EXPECT_TRUE(read(text, true).valid);
    EXPECT_EQ(text, expected);
}

// Where the name stands nowhere, twice, or in disguise.
TEST(WholeAnswer, TheNameIsTheirsInNoPlace) {
    for (const std::string theirs : {R"({"choices":[]})", R"({"model":"a","choices":[],"model":"b"})", R"({"mo\u0064el":"a","choices":[]})",
                                     R"({"model":null,"choices":[]})", R"({"choices":[],"model":{"a":["secret"]}})"}) {
        std::string text = theirs;
        ASSERT_TRUE(read(text, true).valid) << theirs;
        const Result<json::value> document = parse_json(text);
        ASSERT_TRUE(document.ok()) << text;
        EXPECT_EQ(document->at("model").as_string(), "or\"g/tiny") << text;
        EXPECT_EQ(text.find("secret"), std::string::npos) << text;
        EXPECT_EQ(document->as_object().size(), 2u) << text;
    }
}

TEST(WholeAnswer, TheLastOfSeveralFiguresCounts) {
    std::string text = R"({"choices":[],"usage":{"prompt_tokens":1},"usage":{"prompt_tokens":2,"completion_tokens":3},"timings":null})";
    const WholeAnswer answer = read(text, false);
    ASSERT_TRUE(answer.valid && answer.usage);
    EXPECT_EQ(answer.usage->prompt_tokens, 2u);
    EXPECT_EQ(answer.usage->completion_tokens, 3u);
    EXPECT_FALSE(answer.timings);
    for (const char* none : {R"({"choices":[]})", R"({"choices":[],"usage":null})", R"({"choices":[],"usage":[1]})"}) {
        text = none;
        const WholeAnswer without = read(text, false);
        EXPECT_TRUE(without.valid && !without.usage) << none;
        EXPECT_EQ(text, none);
    }
}

TEST(WholeAnswer, IsNoneWithoutItsKeyOrOtherwiseBroken) {
    for (const char* bad : {"", "[]", "null", "{\"choices\":[]", "{\"choices\":[]}x", "{\"choice\":[]}", "{\"x\":{\"choices\":[]}}",
                            "{\"choices\":\"\xff\"}", R"({"choices":[],"usage":{"prompt_tokens":1e999}})"}) {
        std::string text = bad;
        const WholeAnswer answer = read(text, true);
        EXPECT_FALSE(answer.valid) << bad;
        EXPECT_FALSE(answer.error) << bad;
    }
    std::string text = R"({"error":{"message":"out of memory","code":"oom"}})";
    const WholeAnswer refused = read(text, true);
    EXPECT_FALSE(refused.valid);
    ASSERT_TRUE(refused.error);
    EXPECT_EQ(refused.error->reason, "oom");
}

TEST(WholeAnswer, AnotherKeyOrNone) {
    std::string text = R"({"data":[],"choices":0})";
    EXPECT_TRUE(read(text, false, "data").valid);
    EXPECT_FALSE(read(text, false, "results").valid);
    text = R"({"anything":1})";
    EXPECT_TRUE(read(text, false, nullptr).valid);
}

}  // namespace
}  // namespace gantry::gateway
