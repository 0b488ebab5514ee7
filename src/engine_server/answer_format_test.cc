// The templates of real models that come with llama.cpp's source, and answers as these models write them.

#include "engine_server/answer_format.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "base/json.h"
#include "engine_server/answer_splitter.h"
#include "engine_server/chat_template.h"

namespace gantry::engine_server {
namespace {

using protocol::openai::ChatRequest;

const char* const kTools = R"("tools":[
    {"type":"function","function":{"name":"weather","description":"of a city","parameters":{"type":"object",
        "properties":{"city":{"type":"string"},"days":{"type":"integer"}},"required":["city"]}}},
    {"type":"function","function":{"name":"time"}}])";

std::unique_ptr<ChatTemplate> load(const std::string& name) {
    std::ifstream file(std::string(GANTRY_VOCABULARIES) + "/templates/" + name + ".jinja");
    const std::string source((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    EXPECT_FALSE(source.empty()) << name;
    Result<std::unique_ptr<ChatTemplate>> made = ChatTemplate::create(source, "<s>", "</s>");
    EXPECT_TRUE(made.ok()) << name << (made ? "" : made.error().message);
    return made ? *std::move(made) : nullptr;
}

ChatRequest request(const std::string& more) {
    const std::string body = R"({"messages":[{"role":"user","content":"How is the weather in Rome?"}])" + more + "}";
    Result<ChatRequest> parsed = protocol::openai::parse_chat(*parse_json(body));
    GANTRY_ASSERT(parsed.ok(), "the test's own request is right");
    return *std::move(parsed);
}

Result<ChatPrompt> render(const ChatTemplate& chat_template, const std::string& more) {
    const auto none = [](std::string_view) { return std::vector<size_t>(); };
    return chat_template.render(request(more), from_unix_ms(0), none);
}

std::string text_of(const std::vector<PromptPart>& parts) {
    std::string text;
    for (const PromptPart& part : parts) {
        text += part.text;
    }
    return text;
}

struct Written {
    const char* model;
    const char* answer;
    const char* expected;   // reasoning|content|name:arguments;
};

class RealTemplate : public testing::TestWithParam<Written> {};

TEST_P(RealTemplate, CallsAreFoundInWhatTheModelWrites) {
    const auto [model, answer, expected] = GetParam();
    const std::unique_ptr<ChatTemplate> chat_template = load(model);
    ASSERT_NE(chat_template, nullptr);
    const Result<ChatPrompt> prompt = render(*chat_template, std::string(",") + kTools);
    ASSERT_TRUE(prompt.ok()) << prompt.error().message;
    EXPECT_NE(text_of(prompt->parts).find("weather"), std::string::npos) << "the tools are in the prompt";
    for (const size_t step : {1, 5, 1000}) {
        AnswerSplitter splitter(prompt->syntax);
        for (size_t at = 0; at < std::string(answer).size(); at += step) {
            splitter.push(std::string(answer).substr(at, step));
        }
        splitter.finish();
        std::string calls;
        for (const CallPiece& piece : splitter.pieces) {
            calls += piece.name.empty() ? "" : (calls.empty() ? "" : ";") + piece.name + ":";
            calls += piece.arguments;
        }
        EXPECT_EQ(splitter.reasoning + "|" + splitter.content + "|" + calls, expected) << model << " by " << step;
    }
}

INSTANTIATE_TEST_SUITE_P(
    Families, RealTemplate,
    testing::Values(
        Written{"Qwen-Qwen2.5-7B-Instruct", "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>",
                "||weather:{\"city\": \"Rome\"}"},
        Written{"Qwen-Qwen2.5-7B-Instruct",
                "Let me see.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\", \"days\": 2}}\n</tool_call>\n"
                "<tool_call>\n{\"name\": \"time\", \"arguments\": {}}\n</tool_call>",
                "|Let me see.|weather:{\"city\": \"Rome\", \"days\": 2};time:{}"},
        Written{"Qwen-Qwen2.5-7B-Instruct", "It is sunny, {sure}.", "|It is sunny, {sure}.|"},
        Written{"Qwen-Qwen3-0.6B",
                "<think>\nRome.\n</think>\n\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>",
                "Rome.||weather:{\"city\": \"Rome\"}"},
        Written{"Qwen-Qwen3-0.6B", "<think>\nRome.\n</think>\n\nSunny.", "Rome.|Sunny.|"},
        Written{"NousResearch-Hermes-3-Llama-3.1-8B-tool_use",
                "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>", "||weather:{\"city\": \"Rome\"}"},
        Written{"meta-llama-Llama-3.2-3B-Instruct", "{\"name\": \"weather\", \"parameters\": {\"city\": \"Rome\"}}",
                "||weather:{\"city\": \"Rome\"}"},
        Written{"meta-llama-Llama-3.2-3B-Instruct", "Sets are {1, 2}.", "|Sets are {1, 2}.|"},
        Written{"mistralai-Mistral-Nemo-Instruct-2407",
                "[TOOL_CALLS][{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}, \"id\": \"123456789\"}]",
                "||weather:{\"city\": \"Rome\"}"},
        Written{"deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", "\nRome.\n</think>\n\nSunny.", "Rome.|Sunny.|"},
        Written{"Qwen3-Coder", "<tool_call>\n<function=weather>\n<parameter=city>\nRome\n</parameter>\n</function>\n</tool_call>",
                "||weather:{\"city\":\"Rome\"}"},
        Written{"GLM-4.6", "<think>Rome.</think>\n<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value>Rome</arg_value>\n</tool_call>",
                "Rome.||weather:{\"city\":\"Rome\"}"},
        Written{"openai-gpt-oss-120b",
                "<|channel|>analysis<|message|>Rome.<|end|><|start|>assistant<|channel|>commentary to=functions.weather "
                "<|constrain|>json<|message|>{\"city\": \"Rome\"}",
                "Rome.||weather:{\"city\": \"Rome\"}"},
        Written{"openai-gpt-oss-120b",
                "<|channel|>analysis<|message|>Rome.<|end|><|start|>assistant<|channel|>final<|message|>Sunny.", "Rome.|Sunny.|"}));

TEST(AnswerFormat, ForcedCallsBeginAsTheModelWouldWriteThem) {
    const std::unique_ptr<ChatTemplate> qwen = load("Qwen-Qwen2.5-7B-Instruct");
    Result<ChatPrompt> named =
        render(*qwen, std::string(",") + kTools + R"(,"tool_choice":{"type":"function","function":{"name":"weather"}})");
    ASSERT_TRUE(named.ok()) << named.error().message;
    EXPECT_TRUE(text_of(named->parts).ends_with("assistant\n<tool_call>\n{\"name\": \"weather\", \"arguments\": ")) << text_of(named->parts);
    ASSERT_EQ(named->syntax->forced.size(), 1U);
    EXPECT_EQ(named->syntax->forced[0].begin, "");
    Result<ChatPrompt> required = render(*qwen, std::string(",") + kTools + R"(,"tool_choice":"required")");
    ASSERT_TRUE(required.ok()) << required.error().message;
    EXPECT_TRUE(text_of(required->parts).ends_with("<tool_call>\n{\"name\": \"")) << text_of(required->parts);
    ASSERT_EQ(required->syntax->forced.size(), 2U);
    EXPECT_EQ(required->syntax->forced[0].begin, "weather\", \"arguments\": ");
    EXPECT_EQ(required->syntax->forced[1].begin, "time\", \"arguments\": ");

    const std::unique_ptr<ChatTemplate> coder = load("Qwen3-Coder");
    const Result<ChatPrompt> tagged = render(*coder, std::string(",") + kTools + R"(,"tool_choice":"required")");
    ASSERT_FALSE(tagged.ok()) << "its arguments are no JSON";
    EXPECT_EQ(tagged.error().param, "tool_choice");
}

TEST(AnswerFormat, NoThoughtBeforeWhatIsForced) {
    const std::unique_ptr<ChatTemplate> distill = load("deepseek-ai-DeepSeek-R1-Distill-Qwen-32B");
    const auto none = [](std::string_view) { return std::vector<size_t>(); };
    const Result<ChatPrompt> open = distill->render(request(""), from_unix_ms(0), none);
    ASSERT_TRUE(open.ok());
    EXPECT_TRUE(text_of(open->parts).ends_with("<think>\n"));
    EXPECT_TRUE(open->syntax->reasoning_open);
    const Result<ChatPrompt> held = distill->render(request(""), from_unix_ms(0), none, true);
    ASSERT_TRUE(held.ok());
    EXPECT_TRUE(text_of(held->parts).ends_with("</think>\n\n"));
    EXPECT_EQ(held->syntax, nullptr);
}

TEST(AnswerFormat, ATemplateWithoutToolsSaysSo) {
    Result<std::unique_ptr<ChatTemplate>> plain = ChatTemplate::create("", "", "");
    ASSERT_TRUE(plain.ok());
    const Result<ChatPrompt> prompt = render(**plain, std::string(",") + kTools);
    ASSERT_FALSE(prompt.ok());
    EXPECT_EQ(prompt.error().param, "tools");
    EXPECT_EQ(render(**plain, "")->syntax, nullptr) << "all is content";
}

TEST(CallReader, DeepNestingIsNotRead) {
    const std::unique_ptr<ChatTemplate> qwen = load("Qwen-Qwen2.5-7B-Instruct");
    const Result<ChatPrompt> prompt = render(*qwen, std::string(",") + kTools);
    ASSERT_TRUE(prompt.ok());
    const std::string deep = "<tool_call>\n{\"name\": \"weather\", \"arguments\": " + std::string(100'000, '[');
    EXPECT_FALSE(prompt->syntax->reader->read(deep, true).has_value());
    AnswerSplitter splitter(prompt->syntax);
    splitter.push(deep);
    splitter.finish();
    EXPECT_EQ(splitter.content.size(), deep.size()) << "it is text, then";
}

}  // namespace
}  // namespace gantry::engine_server
