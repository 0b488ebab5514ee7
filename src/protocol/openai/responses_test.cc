#include "protocol/openai/responses.h"

#include <gtest/gtest.h>

#include "protocol/openai/upstream.h"
#include "protocol/openai/utf8.h"

namespace gantry::protocol::openai {
namespace {

class Writer : public testing::Test {
protected:
    std::unique_ptr<RandomSource> random_ = seeded_random(1);
    AnswerWriter chat_{AnswerKind::kChat, *random_, from_unix_ms(5'000), "m"};
    AnswerWriter completion_{AnswerKind::kCompletion, *random_, from_unix_ms(5'000), "m"};
};

const json::object& choice_of(const json::object& chunk) {
    return chunk.at("choices").as_array().at(0).as_object();
}

TEST_F(Writer, ChunksShareIdAndTimeAndHaveNoUsage) {
    const json::object chunks[] = {chat_.role_chunk(0), chat_.text_chunk(1, "x"),
                                   chat_.finish_chunk(1, "stop")};
    for (const json::object& chunk : chunks) {
        EXPECT_EQ(chunk.at("id"), json::value(chat_.id()));
        EXPECT_EQ(chunk.at("created"), 5);
        EXPECT_EQ(chunk.at("object"), "chat.completion.chunk");
        EXPECT_FALSE(chunk.contains("usage"));
    }
    EXPECT_EQ(choice_of(chunks[0]).at("delta").at("role"), "assistant");
    EXPECT_FALSE(choice_of(chunks[1]).at("delta").as_object().contains("role"));
    EXPECT_EQ(choice_of(chunks[1]).at("index"), 1);
    EXPECT_TRUE(choice_of(chunks[1]).at("finish_reason").is_null());
    EXPECT_EQ(choice_of(chunks[2]).at("finish_reason"), "stop");
    EXPECT_NE(completion_.id(), chat_.id());
    EXPECT_TRUE(completion_.id().starts_with("cmpl-"));
}

TEST_F(Writer, UsageChunkHasNoChoices) {
    const json::object chunk = chat_.usage_chunk({10, 3, 4, 1}, {1, 2, 3});
    EXPECT_TRUE(is_usage_chunk(chunk));
    EXPECT_FALSE(is_usage_chunk(chat_.text_chunk(0, "x")));
    const std::optional<Usage> usage = usage_of(chunk);
    ASSERT_TRUE(usage);
    EXPECT_EQ(usage->prompt_tokens, 10U);
    EXPECT_EQ(usage->completion_tokens, 3U);
    EXPECT_EQ(usage->cached_tokens, 4U);
    EXPECT_EQ(usage->reasoning_tokens, 1U);
    EXPECT_EQ(chunk.at("usage").at("total_tokens"), 13);
    EXPECT_EQ(timings_of(chunk)->decode_ms, 3);
}

TEST_F(Writer, WholeAnswers) {
    const Logprobs logprobs = {{"\xC3", -0.5, {{"a", -1}}}};
    const json::object answer = chat_.answer(
        {{0, "hi", "stop", &logprobs}, {1, "ho", "length", nullptr}}, {1, 2, 0, 0}, {});
    EXPECT_EQ(answer.at("object"), "chat.completion");
    EXPECT_EQ(answer.at("choices").at(0).at("message").at("content"), "hi");
    EXPECT_EQ(answer.at("choices").at(1).at("finish_reason"), "length");
    const json::value& token = answer.at("choices").at(0).at("logprobs").at("content").at(0);
    EXPECT_EQ(token.at("token"), "\xEF\xBF\xBD") << "half a character";
    EXPECT_EQ(token.at("bytes"), (json::value{0xC3}));
    EXPECT_EQ(token.at("top_logprobs").at(0).at("logprob"), -1.0);
    EXPECT_TRUE(answer.at("choices").at(1).at("logprobs").is_null());
    const json::object legacy = completion_.answer({{0, "hi", "stop", &logprobs}}, {}, {});
    EXPECT_EQ(legacy.at("object"), "text_completion");
    EXPECT_EQ(legacy.at("choices").at(0).at("text"), "hi");
    EXPECT_EQ(legacy.at("choices").at(0).at("logprobs").at("token_logprobs").at(0), -0.5);
}

TEST(Models, Shape) {
    const json::object list = model_list({{"a/b", 7, "gantry", {}}});
    EXPECT_EQ(
        json::serialize(list),
        R"({"object":"list","data":[{"id":"a/b","object":"model","created":7,"owned_by":"gantry"}]})");
}

TEST(Upstream, ForwardsOnlyTheAllowList) {
    const json::object body =
        parse_json(
            R"({"model":"m","messages":[],"grammar":"g","n_discard":1,"slot_id":2,"id_slot":1,
        "chat_template":"x","lora":[],"cache_prompt":false,"top_k":5,"stream":true,
        "stream_options":{"include_usage":false,"x":1},
        "chat_template_kwargs":{"enable_thinking":false,"evil":"{{1}}"}})")
            ->as_object();
    EXPECT_EQ(
        json::serialize(forward_body(body, chat_fields())),
        R"({"model":"m","messages":[],"top_k":5,"stream":true,"stream_options":{"include_usage":false},)"
        R"("chat_template_kwargs":{"enable_thinking":false}})");
}

TEST(Upstream, AsksForUsage) {
    json::object body = parse_json(R"({"stream":true,"stream_options":null})")->as_object();
    EXPECT_TRUE(wants_stream(body));
    EXPECT_FALSE(wants_usage(body));
    ask_for_usage(body);
    EXPECT_TRUE(wants_usage(body));
    EXPECT_FALSE(wants_stream({{"stream", 1}}));
}

TEST(Upstream, UsageOfOthersIsReadWithCare) {
    const auto read = [](const char* text) { return usage_of(parse_json(text)->as_object()); };
    EXPECT_FALSE(read(R"({"usage":null})").has_value());
    EXPECT_FALSE(read(R"({})").has_value());
    EXPECT_EQ(read(R"({"usage":{"prompt_tokens":-5,"completion_tokens":"x"}})")->prompt_tokens, 0U);
    EXPECT_EQ(read(R"({"usage":{"prompt_tokens":1e30,"completion_tokens":7}})")->completion_tokens,
              7U);
    EXPECT_FALSE(timings_of(parse_json(R"({"timings":{"prompt_ms":3}})")->as_object()).has_value());
}

TEST(Upstream, Output) {
    const auto has = [](const char* text) { return has_output(parse_json(text)->as_object()); };
    EXPECT_TRUE(has(R"({"choices":[{"delta":{"content":"x"}}]})"));
    EXPECT_TRUE(has(R"({"choices":[{"delta":{"reasoning_content":"x"}}]})"));
    EXPECT_TRUE(has(R"({"choices":[{"delta":{"tool_calls":[{}]}}]})"));
    EXPECT_TRUE(has(R"({"choices":[{"text":"x"}]})"));
    EXPECT_FALSE(has(R"({"choices":[{"delta":{"role":"assistant","content":""}}]})"));
    EXPECT_FALSE(has(R"({"choices":[]})"));
    EXPECT_FALSE(has(R"({"choices":[5]})"));
}

TEST(Utf8, ReplacesWhatIsInvalid) {
    const std::string mark = "\xEF\xBF\xBD";
    EXPECT_EQ(to_utf8("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"),
              "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");
    EXPECT_EQ(to_utf8("\xC3"), mark);
    EXPECT_EQ(to_utf8("\xC0\xAF"), mark + mark) << "overlong";
    EXPECT_EQ(to_utf8("\xED\xA0\x80"), mark + mark + mark) << "surrogate";
    EXPECT_EQ(to_utf8("\xF4\x90\x80\x80"), mark + mark + mark + mark) << "beyond U+10FFFF";
    EXPECT_EQ(to_utf8("\xE2\x82x"), mark + "x");
}

TEST(Utf8, WaitsForTheRestOfACharacter) {
    std::string out;
    EXPECT_EQ(append_utf8(out, "a\xE2\x82", false), 1U);
    EXPECT_EQ(out, "a");
    EXPECT_EQ(append_utf8(out, "\xE2\x82\xAC", false), 3U);
    EXPECT_EQ(out, "a\xE2\x82\xAC");
    EXPECT_EQ(append_utf8(out, "\xFF", false), 1U) << "nothing can complete it";
}

}  // namespace
}  // namespace gantry::protocol::openai
