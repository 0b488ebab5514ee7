#include "protocol/openai/responses.h"

#include <gtest/gtest.h>

#include <type_traits>

#include "protocol/openai/upstream.h"
#include "protocol/openai/utf8.h"

namespace gantry::protocol::openai {
namespace {

class Writer : public testing::Test {
protected:
    // What `write` appends, which must be one line of JSON.
    template <class... Given>
    static json::object made(const AnswerWriter& writer,
                             void (AnswerWriter::*write)(std::string&, Given...) const,
                             std::type_identity_t<Given>... given) {
        std::string out;
        (writer.*write)(out, given...);
        EXPECT_EQ(out.find('\n'), std::string::npos);
        Result<json::value> parsed = parse_json(out);
        EXPECT_TRUE(parsed.ok()) << out;
        return parsed.ok() ? parsed->as_object() : json::object();
    }
    static std::string text_of(const LogprobsText& logprobs) { return LogprobsText(logprobs).take(); }

    std::unique_ptr<RandomSource> random_ = seeded_random(1);
    AnswerWriter chat_{AnswerKind::kChat, *random_, from_unix_ms(5'000), "m"};
    AnswerWriter completion_{AnswerKind::kCompletion, *random_, from_unix_ms(5'000), "m"};
};

const json::object& choice_of(const json::object& chunk) {
    return chunk.at("choices").as_array().at(0).as_object();
}

TEST_F(Writer, ChunksShareIdAndTimeAndHaveNoUsage) {
    const json::object chunks[] = {made(chat_, &AnswerWriter::role_chunk, 0),
                                   made(chat_, &AnswerWriter::text_chunk, 1, "x", "null"),
                                   made(chat_, &AnswerWriter::finish_chunk, 1, "stop", "")};
    for (const json::object& chunk : chunks) {
        EXPECT_EQ(chunk.at("id"), json::value(chat_.id()));
        EXPECT_EQ(chunk.at("created"), 5);
        EXPECT_EQ(chunk.at("model"), "m");
        EXPECT_EQ(chunk.at("object"), "chat.completion.chunk");
        EXPECT_FALSE(chunk.contains("usage") || chunk.contains("service_tier"));
        EXPECT_TRUE(choice_of(chunk).at("logprobs").is_null());
    }
    EXPECT_EQ(choice_of(chunks[0]).at("delta").at("role"), "assistant");
    EXPECT_EQ(choice_of(chunks[0]).at("delta").at("content"), "");
    EXPECT_EQ(choice_of(chunks[1]).at("delta"), (json::value{{"content", "x"}}));
    EXPECT_EQ(choice_of(chunks[1]).at("index"), 1);
    EXPECT_TRUE(choice_of(chunks[1]).at("finish_reason").is_null());
    EXPECT_EQ(choice_of(chunks[2]).at("delta"), json::value(json::object()));
    EXPECT_EQ(choice_of(chunks[2]).at("finish_reason"), "stop");
    EXPECT_NE(completion_.id(), chat_.id());
    EXPECT_TRUE(completion_.id().starts_with("cmpl-"));
    const json::object legacy = made(completion_, &AnswerWriter::text_chunk, 2, "x", "null");
    EXPECT_EQ(legacy.at("object"), "text_completion");
    EXPECT_EQ(choice_of(legacy).at("text"), "x");
    EXPECT_EQ(choice_of(legacy).at("index"), 2);
    const json::object end = made(completion_, &AnswerWriter::finish_chunk, 0, "length", "");
    EXPECT_EQ(choice_of(end).at("text"), "");
}

TEST_F(Writer, AnyTextStaysItself) {
    const AnswerWriter odd(AnswerKind::kChat, *random_, from_unix_ms(0), "a\"b\\c\nd", "flex");
    std::string all;
    for (int c = 0; c < 0x80; ++c) {
        all += static_cast<char>(c);
    }
    for (const std::string& text : {all, std::string("h\xC3\xA9 \xF0\x9F\x98\x80 \xE2\x80\xA8"),
                                    std::string("\r\n\n"), std::string("a\"")}) {
        const json::object chunk = made(odd, &AnswerWriter::text_chunk, 0, text, "null");
        EXPECT_EQ(choice_of(chunk).at("delta").at("content"), json::value(text));
        EXPECT_EQ(chunk.at("model"), "a\"b\\c\nd");
        EXPECT_EQ(chunk.at("service_tier"), "flex");
    }
}

TEST_F(Writer, UsageChunkHasNoChoices) {
    const json::object chunk =
        made(chat_, &AnswerWriter::usage_chunk, {10, 3, 4, 1}, {1, 2, 3});
    EXPECT_TRUE(is_usage_chunk(chunk));
    EXPECT_FALSE(is_usage_chunk(made(chat_, &AnswerWriter::text_chunk, 0, "x", "null")));
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
    LogprobsText logprobs(AnswerKind::kChat);
    logprobs.add({"\xC3", -0.5, {{"a", -1}, {"\"", -2}}});
    logprobs.add({"b", -3, {}});
    const json::object answer =
        made(chat_, &AnswerWriter::answer,
             {{0, "hi", "stop", text_of(logprobs)}, {1, "h\"o", "length"}}, {1, 2, 0, 0}, {});
    EXPECT_EQ(answer.at("object"), "chat.completion");
    EXPECT_EQ(answer.at("choices").at(0).at("message").at("content"), "hi");
    EXPECT_EQ(answer.at("choices").at(1).at("message").at("content"), "h\"o");
    EXPECT_EQ(answer.at("choices").at(1).at("index"), 1);
    EXPECT_EQ(answer.at("choices").at(1).at("finish_reason"), "length");
    const json::value& content = answer.at("choices").at(0).at("logprobs").at("content");
    ASSERT_EQ(content.as_array().size(), 2U);
    const json::value& token = content.at(0);
    EXPECT_EQ(token.at("token"), "\xEF\xBF\xBD") << "half a character";
    EXPECT_EQ(token.at("logprob"), -0.5);
    EXPECT_EQ(token.at("bytes"), (json::value{0xC3}));
    EXPECT_EQ(token.at("top_logprobs").at(0).at("logprob"), -1.0);
    EXPECT_EQ(token.at("top_logprobs").at(1).at("token"), "\"");
    EXPECT_TRUE(content.at(1).at("top_logprobs").as_array().empty());
    EXPECT_TRUE(answer.at("choices").at(1).at("logprobs").is_null());
}

TEST_F(Writer, CallsAndReasoning) {
    const json::object thought = made(chat_, &AnswerWriter::reasoning_chunk, 1, "why\n");
    EXPECT_EQ(choice_of(thought).at("delta"), json::value({{"reasoning_content", "why\n"}}));
    EXPECT_EQ(choice_of(thought).at("index"), 1);
    const json::object head = made(chat_, &AnswerWriter::call_chunk, 0, 2, {"call_1", "f", ""});
    const json::value& call = choice_of(head).at("delta").at("tool_calls").at(0);
    EXPECT_EQ(call.at("index"), 2);
    EXPECT_EQ(call.at("id"), "call_1");
    EXPECT_EQ(call.at("type"), "function");
    EXPECT_EQ(call.at("function").at("name"), "f");
    const json::object piece = made(chat_, &AnswerWriter::call_chunk, 0, 2, {"", "", "{\"a"});
    EXPECT_EQ(choice_of(piece).at("delta").at("tool_calls").at(0),
              json::value({{"index", 2}, {"function", {{"arguments", "{\"a"}}}}));

    Choice choice{0, "", "tool_calls"};
    choice.reasoning = "hm";
    choice.tool_calls = {{"call_1", "f", "{}"}, {"call_2", "g", "[1]"}};
    const json::object answer = made(chat_, &AnswerWriter::answer, {choice}, {}, {});
    const json::value& message = answer.at("choices").at(0).at("message");
    EXPECT_TRUE(message.at("content").is_null());
    EXPECT_EQ(message.at("reasoning_content"), "hm");
    ASSERT_EQ(message.at("tool_calls").as_array().size(), 2U);
    EXPECT_EQ(message.at("tool_calls").at(1).at("function").at("arguments"), "[1]");
}

TEST_F(Writer, LegacyLogprobsAreParallelArrays) {
    LogprobsText logprobs(AnswerKind::kCompletion);
    EXPECT_TRUE(logprobs.empty());
    logprobs.add({"hi", -0.5, {{"a", -1}, {"a", -2}}});
    logprobs.add({" ho", -1, {}});
    EXPECT_GT(logprobs.bytes(), 0U);
    const json::object answer =
        made(completion_, &AnswerWriter::answer, {{0, "hi ho", "stop", logprobs.take()}}, {}, {});
    EXPECT_EQ(answer.at("object"), "text_completion");
    EXPECT_EQ(answer.at("choices").at(0).at("text"), "hi ho");
    const json::value& arrays = answer.at("choices").at(0).at("logprobs");
    EXPECT_EQ(arrays.at("tokens"), (json::value{"hi", " ho"}));
    EXPECT_EQ(arrays.at("token_logprobs"), (json::value{-0.5, -1.0}));
    EXPECT_EQ(arrays.at("top_logprobs").as_array().size(), 2U);
    EXPECT_EQ(arrays.at("text_offset"), (json::value{0, 2}));
    EXPECT_TRUE(logprobs.empty());
    logprobs.add({"!", -1, {}});
    EXPECT_EQ(parse_json(logprobs.take())->at("text_offset"), (json::value{5}))
        << "of the whole text, not of the chunk's";
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

TEST(Upstream, NobodyGoesAheadOfOthers) {
    const auto forwarded = [](const char* text) {
        const json::object body = parse_json(text)->as_object();
        const std::string chat = json::serialize(forward_body(body, chat_fields()));
        EXPECT_EQ(json::serialize(forward_body(body, completion_fields())), chat);
        return chat;
    };
    const std::string same = R"({"service_tier":"flex","priority":5,"cache_salt":"s","deadline_ms":9})";
    EXPECT_EQ(forwarded(same.c_str()), same);
    EXPECT_EQ(forwarded(R"({"service_tier":"priority","priority":-5})"),
              R"({"service_tier":"default","priority":0})");
    EXPECT_EQ(forwarded(R"({"priority":-1.0})"), R"({"priority":0})");
    EXPECT_EQ(forwarded(R"({"service_tier":null,"priority":null})"),
              R"({"service_tier":null,"priority":null})");
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
