#include "protocol/openai/responses_request.h"

#include <gtest/gtest.h>

#include "protocol/openai/chat.h"
#include "protocol/translator_test_support.h"

namespace gantry::protocol::openai {
namespace {

Result<Translated> translated(const std::string& body) {
    static const std::unique_ptr<RandomSource> random = seeded_random(1);
    return translate_responses(parse_json(body).value(), *random, from_unix_ms(1'700'000'000'000));
}

json::value chat_of(const std::string& body) {
    Result<Translated> out = translated(body);
    EXPECT_TRUE(out.ok()) << (out.ok() ? "" : out.error().message);
    return out.ok() ? json::value(out->body) : json::value();
}

TEST(ResponsesRequest, TextBecomesAMessage) {
    EXPECT_EQ(chat_of(R"({"model":"m","input":"hi","instructions":"be brief","max_output_tokens":5,"stream":true,"store":true,
                          "truncation":"auto","metadata":{"a":"b"}})"),
              parse_json(R"({"model":"m","stream":true,"max_completion_tokens":5,
                             "messages":[{"role":"system","content":"be brief"},{"role":"user","content":"hi"}]})").value());
}

TEST(ResponsesRequest, ItemsBecomeMessages) {
    const json::value chat = chat_of(R"({"model":"m","input":[
        {"role":"developer","content":"d"},
        {"type":"message","role":"user","content":[{"type":"input_text","text":"look"},{"type":"input_image","image_url":"data:x","detail":"low"}]},
        {"type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"hm"}]},
        {"type":"message","role":"assistant","content":[{"type":"output_text","text":"a"},{"type":"output_text","text":"b"}]},
        {"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},
        {"type":"function_call","call_id":"c2","name":"g","arguments":"{}"},
        {"type":"function_call_output","call_id":"c1","output":"1"},
        {"type":"function_call_output","call_id":"c2","output":[{"type":"input_text","text":"2"}]}]})");
    EXPECT_EQ(chat.at("messages"), parse_json(R"([
        {"role":"developer","content":"d"},
        {"role":"user","content":[{"type":"text","text":"look"},{"type":"image_url","image_url":{"url":"data:x","detail":"low"}}]},
        {"role":"assistant","content":"ab","reasoning_content":"hm","tool_calls":[
            {"type":"function","id":"c1","function":{"name":"f","arguments":"{}"}},
            {"type":"function","id":"c2","function":{"name":"g","arguments":"{}"}}]},
        {"role":"tool","tool_call_id":"c1","content":"1"},{"role":"tool","tool_call_id":"c2","content":"2"}])").value());
    EXPECT_TRUE(parse_chat(chat).ok());
}

TEST(ResponsesRequest, ToolsAndFormatsAreNested) {
    const json::value chat = chat_of(R"({"model":"m","input":"x","tool_choice":{"type":"function","name":"f"},
        "tools":[{"type":"function","name":"f","description":"d","parameters":{"type":"object"},"strict":true}],
        "text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object"},"strict":true}},"top_logprobs":2})");
    EXPECT_EQ(chat.at("tools"), parse_json(R"([{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},
        "strict":true}}])").value());
    EXPECT_EQ(chat.at("tool_choice"), parse_json(R"({"type":"function","function":{"name":"f"}})").value());
    EXPECT_EQ(chat.at("response_format"),
              parse_json(R"({"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"},"strict":true}})").value());
    EXPECT_EQ(chat.at("logprobs"), true);
    EXPECT_TRUE(parse_chat(chat).ok());
    EXPECT_EQ(chat_of(R"({"input":"x","reasoning":{"effort":"none"}})").at("chat_template_kwargs").at("enable_thinking"), false);
}

TEST(ResponsesRequest, RefusalsNameTheClientsPath) {
    const std::pair<const char*, const char*> kRefused[] = {
        {R"({"model":"m"})", "input"},
        {R"({"input":5})", "input"},
        {R"({"input":"x","previous_response_id":"resp_1"})", "previous_response_id"},
        {R"({"input":"x","conversation":"c"})", "conversation"},
        {R"({"input":"x","prompt":{"id":"p"}})", "prompt"},
        {R"({"input":"x","background":true})", "background"},
        {R"({"input":["x"]})", "input[0]"},
        {R"({"input":[{"role":"wizard","content":"x"}]})", "input[0].role"},
        {R"({"input":[{"role":"user"}]})", "input[0].content"},
        {R"({"input":[{"role":"user","content":[{"type":"input_file","file_id":"f"}]}]})", "input[0].content[0].type"},
        {R"({"input":[{"type":"item_reference","id":"x"}]})", "input[0].type"},
        {R"({"input":[{"type":"function_call","name":"f","arguments":"{}"}]})", "input[0].call_id"},
        {R"({"input":"x","tools":[{"type":"web_search"}]})", "tools[0].type"},
        {R"({"input":"x","tools":5})", "tools"},
        {R"({"input":"x","tool_choice":{"type":"web_search"}})", "tool_choice.type"},
        {R"({"input":"x","text":{"format":{}}})", "text.format.type"},
        {R"({"input":"x","reasoning":{"effort":5}})", "reasoning.effort"},
        {R"([])", ""},
    };
    for (const auto& [body, param] : kRefused) {
        const Result<Translated> out = translated(body);
        ASSERT_FALSE(out.ok()) << body;
        EXPECT_EQ(out.error().code, ErrorCode::kInvalidArgument);
        EXPECT_EQ(out.error().param, param) << body;
    }
}

// What parse_chat() and engines refuse of the chat completion is told in the client's words.
TEST(ResponsesRequest, LaterErrorsAreRenamed) {
    const std::pair<const char*, const char*> kLater[] = {
        {R"({"input":[],"model":"m"})", "input"},
        {R"({"input":[{"type":"function_call_output","call_id":"c9","output":"x"}]})", "input[0].tool_call_id"},
        {R"({"input":"x","instructions":"i","max_output_tokens":0})", "max_output_tokens"},
        {R"({"input":"x","tools":[{"type":"function","name":"a b"}]})", "tools[0].name"},
        {R"({"input":"x","text":{"format":{"type":"json_schema","name":"n"}}})", "text.format.schema"},
        {R"({"input":"x","tool_choice":{"type":"function","name":"f"}})", "tool_choice.name"},
    };
    for (const auto& [body, param] : kLater) {
        const Result<Translated> out = translated(body);
        ASSERT_TRUE(out.ok()) << body << out.error().message;
        const Result<ChatRequest> chat = parse_chat(out->body);
        ASSERT_FALSE(chat.ok()) << body;
        const Error told = out->translator->renamed(chat.error());
        EXPECT_EQ(told.param, param);
        EXPECT_EQ(told.message.find("messages["), std::string::npos) << told.message;
    }
}

// ---- answers

std::unique_ptr<Translator> translator_of(const std::string& body) { return std::move(translated(body)->translator); }

TEST(ResponsesAnswer, WholeAnswersHaveItems) {
    const auto translator = translator_of(R"({"model":"m","input":"hi","temperature":0.5,"metadata":{"k":"v"}})");
    const json::value answer = translator->whole(parse_json(R"({"choices":[{"index":0,"message":{"role":"assistant","content":"hey",
        "reasoning_content":"hm","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},
        "finish_reason":"tool_calls"}],"usage":{"prompt_tokens":7,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":4},
        "completion_tokens_details":{"reasoning_tokens":1}}})").value().as_object());
    EXPECT_EQ(answer.at("status"), "completed");
    EXPECT_EQ(answer.at("object"), "response");
    EXPECT_EQ(answer.at("created_at"), 1'700'000'000);
    EXPECT_EQ(answer.at("temperature"), 0.5);
    EXPECT_EQ(answer.at("metadata").at("k"), "v");
    EXPECT_EQ(answer.at("store"), false);
    const json::array& output = answer.at("output").as_array();
    ASSERT_EQ(output.size(), 3u);
    EXPECT_EQ(output[0].at("content").at(0).at("text"), "hm");
    EXPECT_EQ(output[1].at("content").at(0).at("text"), "hey");
    EXPECT_EQ(output[2].at("arguments"), "{\"a\":1}");
    EXPECT_EQ(output[2].at("call_id"), "c1");
    EXPECT_EQ(answer.at("usage"), parse_json(R"({"input_tokens":7,"input_tokens_details":{"cached_tokens":4},"output_tokens":3,
        "output_tokens_details":{"reasoning_tokens":1},"total_tokens":10})").value());
}

TEST(ResponsesAnswer, CutAndEmptyAnswers) {
    const json::value cut = translator_of(R"({"input":"x"})")->whole(
        parse_json(R"({"choices":[{"message":{"content":"a"},"finish_reason":"length"}]})").value().as_object());
    EXPECT_EQ(cut.at("status"), "incomplete");
    EXPECT_EQ(cut.at("incomplete_details").at("reason"), "max_output_tokens");
    const json::value empty = translator_of(R"({"input":"x"})")->whole(
        parse_json(R"({"choices":[{"message":{"content":""},"finish_reason":"stop"}]})").value().as_object());
    EXPECT_EQ(empty.at("output").at(0).at("content").at(0).at("text"), "");
}

TEST(ResponsesAnswer, StreamsHaveTypedNumberedEvents) {
    const auto translator = translator_of(R"({"model":"m","input":"hi","stream":true})");
    std::string out;
    translator->begin(out);
    feed(*translator, out, {
        R"({"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]})",
        R"({"choices":[{"index":0,"delta":{"reasoning_content":"h"}}]})",
        R"({"choices":[{"index":0,"delta":{"content":"he"}}]})",
        R"({"choices":[{"index":0,"delta":{"content":"y"}}]})",
        R"({"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":""}}]}}]})",
        R"({"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}}]})",
        R"({"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"c2","type":"function","function":{"name":"g","arguments":"[]"}}]}}]})",
        R"({"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]})",
        R"({"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}})",
    });
    translator->end(Usage{1, 2, 0, 0}, out);
    const std::vector<json::value> events = events_of(out);
    const std::vector<std::string> wanted = {
        "response.created", "response.in_progress",
        "response.output_item.added", "response.content_part.added", "response.reasoning_text.delta", "response.reasoning_text.done",
        "response.content_part.done", "response.output_item.done",
        "response.output_item.added", "response.content_part.added", "response.output_text.delta", "response.output_text.delta",
        "response.output_text.done", "response.content_part.done", "response.output_item.done",
        "response.output_item.added", "response.function_call_arguments.delta", "response.function_call_arguments.done", "response.output_item.done",
        "response.output_item.added", "response.function_call_arguments.delta", "response.function_call_arguments.done", "response.output_item.done",
        "response.completed"};
    EXPECT_EQ(types_of(events), wanted);
    for (size_t i = 0; i < events.size(); ++i) EXPECT_EQ(events[i].at("sequence_number"), i);
    EXPECT_EQ(events[10].at("output_index"), 1);
    EXPECT_EQ(events[12].at("text"), "hey");
    const json::value& last = events.back().at("response");
    EXPECT_EQ(last.at("output").as_array().size(), 4u);
    EXPECT_EQ(last.at("output").at(3).at("arguments"), "[]");
    EXPECT_EQ(last.at("id"), events[0].at("response").at("id"));
    EXPECT_EQ(last.at("usage").at("total_tokens"), 3);
}

TEST(ResponsesAnswer, BrokenStreamsEndInFailed) {
    const auto translator = translator_of(R"({"model":"m","input":"hi"})");
    std::string out;
    translator->begin(out);
    feed(*translator, out, {R"({"choices":[{"delta":{"content":"he"}}]})"});
    translator->broken(unavailable("gone", "engine_crashed"), out);
    const std::vector<json::value> events = events_of(out);
    EXPECT_EQ(events.back().at("type"), "response.failed");
    EXPECT_EQ(events.back().at("response").at("error").at("code"), "engine_crashed");
    EXPECT_EQ(events.back().at("response").at("status"), "failed");
}

}  // namespace
}  // namespace gantry::protocol::openai
