#include "protocol/openai/chat.h"

#include <gtest/gtest.h>

namespace gantry::protocol::openai {
namespace {

Result<ChatRequest> parse(const std::string& text) {
    Result<json::value> body = parse_json(text);
    if (!body) {
        return body.error();
    }
    return parse_chat(*body);
}

// A request with one message and `extra` fields.
std::string with(const std::string& extra) {
    return R"({"messages":[{"role":"user","content":"hi"}],)" + extra + "}";
}

std::string with_messages(const std::string& messages) {
    return R"({"messages":)" + messages + "}";
}

struct Refused {
    std::string body;
    std::string param;
};

class ChatRefuses : public testing::TestWithParam<Refused> {};

TEST_P(ChatRefuses, NamesTheField) {
    const Result<ChatRequest> request = parse(GetParam().body);
    ASSERT_FALSE(request.ok()) << GetParam().body;
    EXPECT_EQ(request.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(request.error().param, GetParam().param) << request.error().message;
    EXPECT_FALSE(request.error().message.empty());
}

std::string repeated(const std::string& item, int times) {
    std::string list = "[";
    for (int i = 0; i < times; ++i) {
        list += (i == 0 ? "" : ",") + item;
    }
    return list + "]";
}

std::string bias_of(int entries) {
    std::string object = "{";
    for (int i = 0; i < entries; ++i) {
        object += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":1";
    }
    return object + "}";
}

const std::string kTool = R"({"type":"function","function":{"name":"f"}})";

// Trust table B3, rows 1 to 4 and 19 to 25.
INSTANTIATE_TEST_SUITE_P(
    Rows, ChatRefuses,
    testing::Values(
        Refused{"", ""}, Refused{"{", ""}, Refused{R"({"messages":[],})", ""},
        Refused{"{'a':1}", ""}, Refused{"null", ""}, Refused{"[]", ""}, Refused{"\"x\"", ""},
        Refused{with(R"("temperature":NaN)"), ""}, Refused{with(R"("temperature":Infinity)"), ""},
        Refused{"\xEF\xBB\xBF{}", ""}, Refused{std::string(100'000, '['), ""},
        Refused{with_messages("[{\"role\":\"user\",\"content\":\"\xC3\"}]"), ""},
        Refused{with_messages("[{\"role\":\"user\",\"content\":\"\xC0\xAF\"}]"), ""},
        Refused{with_messages(R"([{"role":"user","content":"\ud800"}])"), ""},
        Refused{"{}", "messages"}, Refused{with_messages("\"x\""), "messages"},
        Refused{with_messages("[]"), "messages"}, Refused{with_messages("null"), "messages"},
        Refused{with_messages("[1]"), "messages[0]"},
        Refused{with_messages(R"([{"content":"x"}])"), "messages[0].role"},
        Refused{with_messages(R"([{"role":"user","content":"x"},{"role":"root","content":"x"}])"),
                "messages[1].role"},
        Refused{with_messages(R"([{"role":1,"content":"x"}])"), "messages[0].role"},
        Refused{with_messages(R"([{"role":"user"}])"), "messages[0].content"},
        Refused{with_messages(R"([{"role":"user","content":null}])"), "messages[0].content"},
        Refused{with_messages(R"([{"role":"assistant","content":null}])"), "messages[0].content"},
        Refused{with_messages(R"([{"role":"user","content":5}])"), "messages[0].content"},
        Refused{with_messages(R"([{"role":"user","content":[]}])"), "messages[0].content"},
        Refused{with_messages(R"([{"role":"user","content":[{"type":"text"}]}])"),
                "messages[0].content[0].text"},
        Refused{with_messages(R"([{"role":"user","content":[{"type":"video"}]}])"),
                "messages[0].content[0].type"},
        Refused{
            with_messages(R"([{"role":"user","content":[{"type":"image_url","image_url":"x"}]}])"),
            "messages[0].content[0].image_url"},
        Refused{with_messages(R"([{"role":"tool","content":"x","tool_call_id":"no"}])"),
                "messages[0].tool_call_id"},
        Refused{
            with_messages(
                R"([{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f"}}]}])"),
            "messages[0].tool_calls[0].function.arguments"},
        Refused{with(R"("stream":"yes")"), "stream"}, Refused{with(R"("model":7)"), "model"},
        Refused{with(R"("max_tokens":"10")"), "max_tokens"},
        Refused{with(R"("max_tokens":2147483648)"), "max_tokens"},
        Refused{with(R"("max_tokens":9223372036854775808)"), "max_tokens"},
        Refused{with(R"("max_tokens":-1)"), "max_tokens"},
        Refused{with(R"("max_tokens":0)"), "max_tokens"},
        Refused{with(R"("max_tokens":1.5)"), "max_tokens"},
        Refused{with(R"("max_tokens":1e300)"), "max_tokens"},
        Refused{with(R"("max_completion_tokens":0)"), "max_completion_tokens"},
        Refused{with(R"("min_tokens":5,"max_tokens":4)"), "min_tokens"},
        Refused{with(R"("n":0)"), "n"}, Refused{with(R"("n":9)"), "n"},
        Refused{with(R"("n":129)"), "n"}, Refused{with(R"("n":1000000000000)"), "n"},
        Refused{with(R"("temperature":-1)"), "temperature"},
        Refused{with(R"("temperature":3)"), "temperature"},
        Refused{with(R"("temperature":{})"), "temperature"},
        Refused{with(R"("top_p":1.01)"), "top_p"},
        Refused{with(R"("presence_penalty":2.1)"), "presence_penalty"},
        Refused{with(R"("frequency_penalty":-3)"), "frequency_penalty"},
        Refused{with(R"("repetition_penalty":0)"), "repetition_penalty"},
        Refused{with(R"("top_k":-2)"), "top_k"}, Refused{with(R"("min_p":2)"), "min_p"},
        Refused{with(R"("seed":"a")"), "seed"}, Refused{with(R"("seed":0.5)"), "seed"},
        Refused{with(R"("logprobs":true,"top_logprobs":21)"), "top_logprobs"},
        Refused{with(R"("top_logprobs":2)"), "top_logprobs"},
        Refused{with(R"("logprobs":3)"), "logprobs"},
        Refused{with(R"("stop":["a","b","c","d","e"])"), "stop"},
        Refused{with(R"("stop":"")"), "stop"}, Refused{with(R"("stop":["a",""])"), "stop[1]"},
        Refused{with("\"stop\":\"" + std::string(1 << 20, 'x') + "\""), "stop"},
        Refused{with("\"stop\":" + repeated("\"x\"", 10'000)), "stop"},
        Refused{with(R"("stop":5)"), "stop"},
        Refused{with("\"logit_bias\":" + bias_of(1025)), "logit_bias"},
        Refused{with(R"("logit_bias":{"abc":1})"), "logit_bias"},
        Refused{with(R"("logit_bias":{"-1":1})"), "logit_bias"},
        Refused{with(R"("logit_bias":{"5":1e9})"), "logit_bias.5"},
        Refused{with(R"("logit_bias":{"5":1,"05":1})"), "logit_bias"},
        Refused{with(R"("logit_bias":[])"), "logit_bias"},
        Refused{with(R"("stop_token_ids":[-1])"), "stop_token_ids[0]"},
        Refused{with("\"stop_token_ids\":" + repeated("1", 65)), "stop_token_ids"},
        Refused{with(R"("stream_options":5)"), "stream_options"},
        Refused{with(R"("stream_options":{"include_usage":1})"), "stream_options.include_usage"},
        Refused{with("\"tools\":" + repeated(kTool, 2)), "tools[1].function.name"},
        Refused{with("\"tools\":" + repeated(kTool, 129)), "tools"},
        Refused{with(R"("tools":[{"type":"function","function":{"name":"a b"}}])"),
                "tools[0].function.name"},
        Refused{with("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"" +
                     std::string(65, 'a') + "\"}}]"),
                "tools[0].function.name"},
        Refused{with("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a\","
                     "\"description\":\"" +
                     std::string(1 << 20, 'a') + "\"}}]"),
                "tools[0].function.description"},
        Refused{with("\"tools\":[" + kTool +
                     R"(],"tool_choice":{"type":"function","function":{"name":"g"}})"),
                "tool_choice.function.name"},
        Refused{with(R"("tool_choice":"required")"), "tool_choice"},
        Refused{with(R"("functions":[])"), "functions"},
        Refused{with(R"("response_format":{"type":"xml"})"), "response_format.type"},
        Refused{with(R"("response_format":"json")"), "response_format"},
        Refused{with(R"("response_format":{"type":"json_schema"})"), "response_format.json_schema"},
        Refused{with(R"("response_format":{"type":"json_schema","json_schema":[]})"),
                "response_format.json_schema"},
        Refused{with(R"("response_format":{"type":"json_schema","json_schema":{"schema":{}}})"),
                "response_format.json_schema.name"},
        Refused{with(R"("response_format":{"type":"json_schema","json_schema":{"name":"a b"}})"),
                "response_format.json_schema.name"},
        Refused{with(R"("response_format":{"type":"json_schema","json_schema":{"name":"a"}})"),
                "response_format.json_schema.schema"},
        Refused{with(R"("response_format":{"type":"json_schema","json_schema":{"name":"a","schema":1}})"),
                "response_format.json_schema.schema"},
        Refused{with(R"("response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{},"strict":1}})"),
                "response_format.json_schema.strict"},
        Refused{with(R"("chat_template_kwargs":{"enable_thinking":1})"),
                "chat_template_kwargs.enable_thinking"},
        Refused{with(R"("service_tier":"fast")"), "service_tier"},
        Refused{with(R"("service_tier":1)"), "service_tier"},
        Refused{with(R"("priority":"1")"), "priority"},
        Refused{with(R"("priority":2147483648)"), "priority"},
        Refused{with(R"("priority":0.5)"), "priority"},
        Refused{with(R"("cache_salt":"")"), "cache_salt"},
        Refused{with("\"cache_salt\":\"" + std::string(257, 's') + "\""), "cache_salt"},
        Refused{with(R"("cache_salt":5)"), "cache_salt"},
        Refused{with(R"("deadline_ms":0)"), "deadline_ms"},
        Refused{with(R"("deadline_ms":86400001)"), "deadline_ms"},
        Refused{with(R"("deadline_ms":"1s")"), "deadline_ms"}));

TEST(Chat, TakesEveryField) {
    const Result<ChatRequest> request = parse(R"({
        "model":"m", "temperature":0, "top_p":1, "n":8, "max_tokens":5, "max_completion_tokens":6, "stop":["a","b"],
        "seed":-1, "presence_penalty":-2, "frequency_penalty":2, "logit_bias":{"7":-100},
        "logprobs":true, "top_logprobs":20,
        "stream":true, "stream_options":{"include_usage":true}, "response_format":{"type":"text"}, "tools":[],
        "ignore_eos":true, "min_tokens":2, "top_k":-1, "min_p":0.1, "repetition_penalty":1.1, "stop_token_ids":[3],
        "chat_template_kwargs":{"enable_thinking":false,"tools_in_user_message":"x"},
        "messages":[{"role":"developer","content":"s"},{"role":"user","content":[{"type":"text","text":"a"},
                     {"type":"text","text":"b"}]},
                    {"role":"assistant","content":null,"reasoning":"r","tool_calls":[{"id":"c1","type":"function",
                     "function":{"name":"f","arguments":"{}"}}]},
                    {"role":"tool","tool_call_id":"c1","content":"42"}]})");
    ASSERT_TRUE(request.ok()) << request.error().message << " " << request.error().param;
    const Generation& g = request->generation;
    EXPECT_EQ(g.max_tokens, 6U) << "max_completion_tokens wins";
    EXPECT_EQ(g.n, 8U);
    EXPECT_EQ(g.temperature, 0);
    EXPECT_EQ(g.stop, (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(g.seed, ~uint64_t{0});
    EXPECT_EQ(g.logit_bias.at(0), (std::pair<int32_t, double>(7, -100)));
    EXPECT_EQ(g.top_logprobs, 20U);
    EXPECT_TRUE(g.stream && g.include_usage && g.ignore_eos && g.logprobs);
    EXPECT_EQ(g.top_k, 0);
    EXPECT_EQ(g.stop_token_ids, std::vector<int32_t>{3});
    EXPECT_EQ(request->enable_thinking, false);
    ASSERT_EQ(request->messages.size(), 4U);
    EXPECT_EQ(request->messages[0].role, "system");
    EXPECT_EQ(request->messages[1].content, "a\nb");
    EXPECT_EQ(request->messages[2].tool_calls.at(0).name, "f");
    EXPECT_EQ(request->messages[2].reasoning_content, "r");
    EXPECT_TRUE(check_supported(*request, {}).ok());
}

TEST(Chat, HowItIsServed) {
    const auto generation = [](const std::string& fields) {
        const Result<ChatRequest> request = parse(with(fields));
        EXPECT_TRUE(request.ok()) << fields;
        return request.ok() ? request->generation : Generation{};
    };
    const Generation none = generation(R"("service_tier":null,"priority":null,"cache_salt":null)");
    EXPECT_EQ(none.service_tier, ServiceTier::kDefault);
    EXPECT_FALSE(none.names_tier);
    EXPECT_EQ(none.cache_salt, "");
    EXPECT_EQ(none.deadline_ms, 0U);
    const Generation all = generation(
        R"("service_tier":"flex","cache_salt":")" + std::string(256, 's') + R"(","deadline_ms":86400000)");
    EXPECT_EQ(all.service_tier, ServiceTier::kFlex);
    EXPECT_TRUE(all.names_tier);
    EXPECT_EQ(all.cache_salt.size(), 256U);
    EXPECT_EQ(all.deadline_ms, kDeadlineMsMax);
    for (const char* tier : {"auto", "default", "scale"}) {
        EXPECT_EQ(generation("\"service_tier\":\"" + std::string(tier) + "\"").service_tier,
                  ServiceTier::kDefault);
    }
    EXPECT_EQ(generation(R"("service_tier":"priority")").service_tier, ServiceTier::kPriority);
    EXPECT_EQ(generation(R"("priority":-7)").service_tier, ServiceTier::kPriority);
    EXPECT_EQ(generation(R"("priority":7)").service_tier, ServiceTier::kFlex);
    const Generation both = generation(R"("priority":0,"service_tier":"priority")");
    EXPECT_EQ(both.service_tier, ServiceTier::kDefault) << "the number beats the name";
    EXPECT_TRUE(both.names_tier);
}

TEST(Chat, DefaultsAndNull) {
    const Result<ChatRequest> request = parse(with(
        R"("max_tokens":null,"stop":null,"seed":null,"tools":null,"logit_bias":null,"stream":null)"));
    ASSERT_TRUE(request.ok());
    EXPECT_EQ(request->generation.max_tokens, 0U);
    EXPECT_EQ(request->generation.n, 1U);
    EXPECT_EQ(request->generation.temperature, 1.0);
    EXPECT_FALSE(request->generation.seed.has_value());
    EXPECT_EQ(request->response_format.kind, ResponseFormat::Kind::kText);
}

TEST(Chat, KeepsTheSchemaAsItCame) {
    const Result<ChatRequest> request = parse(with(
        R"("response_format":{"type":"json_schema","json_schema":{"name":"my_schema-1","description":"d","strict":true,
            "schema":{"type":"object","not":{}}}})"));
    ASSERT_TRUE(request.ok()) << request.error().message;
    EXPECT_EQ(request->response_format.kind, ResponseFormat::Kind::kJsonSchema);
    EXPECT_EQ(request->response_format.name, "my_schema-1");
    EXPECT_TRUE(request->response_format.strict);
    EXPECT_EQ(json::serialize(request->response_format.schema), R"({"type":"object","not":{}})")
        << "what an engine can't do is not the parser's business";
    EXPECT_TRUE(check_supported(*request, {.structured_output = true}).ok());
}

TEST(Chat, IgnoresWhatItDoesNotKnow) {
    EXPECT_TRUE(
        parse(with(R"("user":"u","store":true,"metadata":{},"service_tier":"auto","verbosity":"low",
        "grammar":"root ::= x","slot_id":3,"n_discard":1,"chat_template":"{{x}}","lora":[{"id":0}])"))
            .ok());
}

TEST(Chat, KeepsZeroCharactersAndTakesTheLastOfEqualKeys) {
    const Result<ChatRequest> request =
        parse(R"({"messages":[],"messages":[{"role":"user","content":"a\u0000b"}]})");
    ASSERT_TRUE(request.ok());
    EXPECT_EQ(request->messages[0].content, std::string("a\0b", 3));
}

TEST(Chat, SaysWhatAnEngineCannotDo) {
    const auto param_of = [](const std::string& body) -> std::string {
        const Result<ChatRequest> request = parse(body);
        EXPECT_TRUE(request.ok()) << body;
        const Status supported = check_supported(*request, {});
        return supported.ok() ? "supported" : supported.error().param;
    };
    EXPECT_EQ(param_of(with_messages(R"([{"role":"user","content":[{"type":"text","text":"x"},
        {"type":"image_url","image_url":{"url":"data:"}}]}])")),
              "messages[0].content[1]");
    EXPECT_EQ(param_of(with_messages(
                  R"([{"role":"user","content":[{"type":"input_audio","input_audio":{}}]}])")),
              "messages[0].content[0]");
    EXPECT_EQ(param_of(with("\"tools\":[" + kTool + "]")), "tools");
    EXPECT_EQ(param_of(with("\"tools\":[" + kTool + R"(],"tool_choice":"auto")")), "tools");
    EXPECT_EQ(param_of(with("\"tools\":[" + kTool + R"(],"tool_choice":"none")")), "supported");
    EXPECT_EQ(param_of(with(R"("response_format":{"type":"json_object"})")),
              "response_format.type");
    EXPECT_EQ(param_of(with(
                  R"("response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{}}})")),
              "response_format.type");
    EXPECT_EQ(param_of(with(R"("response_format":{"type":"text"})")), "supported");
}

}  // namespace
}  // namespace gantry::protocol::openai
