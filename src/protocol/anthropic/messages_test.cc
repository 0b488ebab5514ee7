#include "protocol/anthropic/messages.h"

#include <gtest/gtest.h>

#include "protocol/openai/chat.h"
#include "protocol/translator_test_support.h"

namespace gantry::protocol::anthropic {
namespace {

Result<Translated> translated(const std::string& body) {
    static const std::unique_ptr<RandomSource> random = seeded_random(1);
    return translate_messages(parse_json(body).value(), *random);
}

json::value chat_of(const std::string& body) {
    Result<Translated> out = translated(body);
    EXPECT_TRUE(out.ok()) << (out.ok() ? "" : out.error().message);
    return out.ok() ? json::value(out->body) : json::value();
}

TEST(AnthropicMessages, BecomeAChat) {
    EXPECT_EQ(chat_of(R"({"model":"m","max_tokens":5,"stream":true,"system":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}},
                          {"type":"text","text":"b"}],"stop_sequences":["END"],"temperature":0.5,"top_k":3,"metadata":{"user_id":"u"},
                          "messages":[{"role":"user","content":"hi"}],"thinking":{"type":"disabled"}})"),
              parse_json(R"({"model":"m","stream":true,"temperature":0.5,"top_k":3,"max_completion_tokens":5,"stop":["END"],
                             "chat_template_kwargs":{"enable_thinking":false},
                             "messages":[{"role":"system","content":"a\nb"},{"role":"user","content":"hi"}]})").value());
}

TEST(AnthropicMessages, BlocksBecomeMessages) {
    const json::value chat = chat_of(R"({"model":"m","max_tokens":5,"messages":[
        {"role":"user","content":[{"type":"text","text":"look"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}},
                                  {"type":"image","source":{"type":"url","url":"https://x/y.png"}}]},
        {"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"redacted_thinking","data":"x"},
            {"type":"text","text":"ok"},{"type":"tool_use","id":"t1","name":"f","input":{"a":1}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"42"}],"is_error":true},
            {"type":"text","text":"go on"}]}]})");
    EXPECT_EQ(chat.at("messages"), parse_json(R"([
        {"role":"user","content":[{"type":"text","text":"look"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}},
                                  {"type":"image_url","image_url":{"url":"https://x/y.png"}}]},
        {"role":"assistant","content":"ok","reasoning_content":"hm",
         "tool_calls":[{"id":"t1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},
        {"role":"tool","tool_call_id":"t1","content":"Error: 42"},
        {"role":"user","content":[{"type":"text","text":"go on"}]}])").value());
    EXPECT_TRUE(openai::parse_chat(chat).ok());
}

TEST(AnthropicMessages, ToolsAndChoices) {
    const std::string start = R"({"model":"m","max_tokens":5,"messages":[{"role":"user","content":"x"}],
        "tools":[{"name":"f","description":"d","input_schema":{"type":"object"},"cache_control":{"type":"ephemeral"}}],"tool_choice":)";
    const json::value any = chat_of(start + R"({"type":"any","disable_parallel_tool_use":true}})");
    EXPECT_EQ(any.at("tools"),
              parse_json(R"([{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"}}}])").value());
    EXPECT_EQ(any.at("tool_choice"), "required");
    EXPECT_EQ(any.at("parallel_tool_calls"), false);
    EXPECT_EQ(chat_of(start + R"({"type":"none"}})").at("tool_choice"), "none");
    EXPECT_EQ(chat_of(start + R"({"type":"tool","name":"f"}})").at("tool_choice"),
              parse_json(R"({"type":"function","function":{"name":"f"}})").value());
}

TEST(AnthropicMessages, RefusalsNameTheClientsPath) {
    const auto with = [](const std::string& more) {
        return R"({"model":"m","max_tokens":5,"messages":[{"role":"user","content":"x"}],)" + more + "}";
    };
    const auto saying = [](const std::string& content, const std::string& role = "user") {
        return R"({"model":"m","max_tokens":5,"messages":[{"role":")" + role + R"(","content":)" + content + "}]}";
    };
    const std::pair<std::string, std::string> kRefused[] = {
        {R"({"model":"m","messages":[{"role":"user","content":"x"}]})", "max_tokens"},
        {R"({"model":"m","max_tokens":5})", "messages"},
        {saying("\"x\"", "system"), "messages[0].role"},
        {saying("[]"), "messages[0].content"},
        {saying("5"), "messages[0].content"},
        {saying(R"([{"type":"document"}])"), "messages[0].content[0].type"},
        {saying(R"([{"type":"image","source":{"type":"file"}}])"), "messages[0].content[0].source.type"},
        {saying(R"([{"type":"tool_result"}])"), "messages[0].content[0].tool_use_id"},
        {saying(R"([{"type":"tool_use","id":"a","name":"b","input":5}])", "assistant"), "messages[0].content[0].input"},
        {with(R"("system":5)"), "system"},
        {with(R"("stop_sequences":"x")"), "stop_sequences"},
        {with(R"("tools":[{"type":"web_search_20250305","name":"w"}])"), "tools[0].type"},
        {with(R"("tools":[{"name":"w"}])"), "tools[0].input_schema"},
        {with(R"("tool_choice":{"type":"some"})"), "tool_choice.type"},
        {with(R"("thinking":{"type":"maybe"})"), "thinking.type"},
    };
    for (const auto& [body, param] : kRefused) {
        const Result<Translated> out = translated(body);
        ASSERT_FALSE(out.ok()) << body;
        EXPECT_EQ(out.error().param, param) << body;
    }
    const std::pair<std::string, std::string> kLater[] = {
        {with(R"("tools":[{"name":"a b","input_schema":{}}])"), "tools[0].name"},
        {with(R"("tools":[{"name":"a","input_schema":5}])"), "tools[0].input_schema"},
        {with(R"("max_tokens":0)"), "max_tokens"},
        {with(R"("stop_sequences":[""])"), "stop_sequences[0]"},
        {with(R"("tool_choice":{"type":"tool","name":"f"})"), "tool_choice.name"},
        {R"({"model":"m","max_tokens":5,"system":"s","messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"q"}]}]})",
         "messages[0].tool_call_id"},
    };
    for (const auto& [body, param] : kLater) {
        const Result<Translated> out = translated(body);
        ASSERT_TRUE(out.ok()) << body << out.error().message;
        const Result<openai::ChatRequest> chat = openai::parse_chat(out->body);
        ASSERT_FALSE(chat.ok()) << body;
        EXPECT_EQ(out->translator->renamed(chat.error()).param, param);
    }
}

// ---- answers

std::unique_ptr<Translator> translator() {
    return std::move(translated(R"({"model":"m","max_tokens":5,"messages":[{"role":"user","content":"x"}]})")->translator);
}

json::value whole(const std::string& choice) {
    return translator()->whole(parse_json(R"({"choices":[)" + choice + R"(],"usage":{"prompt_tokens":7,"completion_tokens":3,
        "prompt_tokens_details":{"cached_tokens":4}}})").value().as_object());
}

TEST(AnthropicAnswer, WholeAnswersHaveBlocks) {
    const json::value answer = whole(R"({"message":{"content":"hey","reasoning_content":"hm","tool_calls":[
        {"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},
        {"id":"c2","type":"function","function":{"name":"g","arguments":"no json"}}]},"finish_reason":"tool_calls"})");
    EXPECT_EQ(answer.at("content"), parse_json(R"([{"type":"thinking","thinking":"hm","signature":""},{"type":"text","text":"hey"},
        {"type":"tool_use","id":"c1","name":"f","input":{"a":1}},{"type":"tool_use","id":"c2","name":"g",
        "input":{"arguments":"no json"}}])").value());
    EXPECT_EQ(answer.at("stop_reason"), "tool_use");
    EXPECT_EQ(answer.at("usage"), parse_json(R"({"input_tokens":3,"cache_creation_input_tokens":0,"cache_read_input_tokens":4,
        "output_tokens":3})").value());
}

TEST(AnthropicAnswer, StopReasons) {
    EXPECT_EQ(whole(R"({"message":{"content":"a"},"finish_reason":"stop"})").at("stop_reason"), "end_turn");
    EXPECT_EQ(whole(R"({"message":{"content":"a"},"finish_reason":"length"})").at("stop_reason"), "max_tokens");
    const json::value stopped = whole(R"({"message":{"content":"a"},"finish_reason":"stop","stop_reason":"END"})");
    EXPECT_EQ(stopped.at("stop_reason"), "stop_sequence");
    EXPECT_EQ(stopped.at("stop_sequence"), "END");
}

TEST(AnthropicAnswer, StreamsHaveBlocksAndTotals) {
    const auto stream = translator();
    std::string out;
    stream->begin(out);
    feed(*stream, out, {R"({"choices":[{"delta":{"reasoning":"h"}}]})", R"({"choices":[{"delta":{"content":"he"}}]})",
                        R"({"choices":[{"delta":{"content":"y"}}]})",
                        R"({"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c1","function":{"name":"f","arguments":"{\"a\""}}]}}]})",
                        R"({"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}}]})",
                        R"({"choices":[{"delta":{},"finish_reason":"tool_calls"}]})"});
    stream->end(openai::Usage{7, 3, 4, 0}, out);
    const std::vector<json::value> events = events_of(out);
    EXPECT_EQ(types_of(events), (std::vector<std::string>{
        "message_start", "ping", "content_block_start", "content_block_delta", "content_block_stop", "content_block_start",
        "content_block_delta", "content_block_delta", "content_block_stop", "content_block_start", "content_block_delta",
        "content_block_delta", "content_block_stop", "message_delta", "message_stop"}));
    EXPECT_EQ(events[9].at("content_block"), parse_json(R"({"type":"tool_use","id":"c1","name":"f","input":{}})").value());
    EXPECT_EQ(events[11].at("delta").at("partial_json"), ":1}");
    EXPECT_EQ(events[11].at("index"), 2);
    EXPECT_EQ(events[13].at("delta").at("stop_reason"), "tool_use");
    EXPECT_EQ(events[13].at("usage").at("input_tokens"), 3);
}

TEST(AnthropicAnswer, BrokenStreamsEndInAnError) {
    const auto stream = translator();
    std::string out;
    stream->begin(out);
    stream->broken(unavailable("gone", "engine_crashed"), out);
    EXPECT_EQ(events_of(out).back(), parse_json(R"({"type":"error","error":{"type":"overloaded_error","message":"gone"}})").value());
}

TEST(AnthropicCount, CountsTokens) {
    const Result<Translated> out = translate_count_tokens(parse_json(R"({"model":"m","messages":[{"role":"user","content":"x"}]})").value());
    ASSERT_TRUE(out.ok());
    EXPECT_EQ(out->translator->whole({{"tokens", json::array{1, 2, 3}}}).at("input_tokens"), 3);
}

}  // namespace
}  // namespace gantry::protocol::anthropic
