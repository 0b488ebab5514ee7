#include "engine_server/chat_template.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace gantry::engine_server {
namespace {

using protocol::openai::ChatRequest;

// Special are "<|" and what follows.
std::vector<size_t> starts(std::string_view text) {
    std::vector<size_t> found;
    for (size_t at = text.find("<|"); at != text.npos; at = text.find("<|", at + 1)) {
        found.push_back(at);
    }
    return found;
}

ChatRequest request_of(const std::string& messages) {
    Result<ChatRequest> request =
        protocol::openai::parse_chat(*parse_json(R"({"messages":)" + messages + "}"));
    GANTRY_ASSERT(request.ok(), "the test's own request is right");
    return *std::move(request);
}

Result<std::vector<PromptPart>> render(const std::string& source, const std::string& messages) {
    TemplateLimits limits;
    limits.time = std::chrono::milliseconds(200);
    Result<std::unique_ptr<ChatTemplate>> made =
        ChatTemplate::create(source, "<s>", "</s>", limits);
    if (!made) {
        return made.error();
    }
    Result<ChatPrompt> prompt = (*made)->render(request_of(messages), from_unix_ms(0), starts);
    if (!prompt) {
        return prompt.error();
    }
    return std::move(prompt->parts);
}

std::string text_of(const Result<std::vector<PromptPart>>& parts) {
    if (!parts) {
        return "error: " + parts.error().message;
    }
    std::string text;
    for (const PromptPart& part : *parts) {
        text += part.is_input ? "[" + part.text + "]" : part.text;
        text += &part == &parts->back() ? "" : "/";
    }
    return text;
}

const std::string kHello = R"([{"role":"user","content":"hello"}])";

TEST(ChatTemplate, ChatMlWhereTheModelHasNone) {
    EXPECT_EQ(text_of(render(
                  "", R"([{"role":"system","content":"s"},{"role":"user","content":"hello"}])")),
              "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nhello<|im_end|>\n<|im_start|>"
              "assistant\n");
}

TEST(ChatTemplate, TheModelsOwn) {
    const std::string source =
        "{{ bos_token }}{% for m in messages %}[{{ m['role'] | upper }}] {{ m.content | trim }}{{ "
        "eos_token }}"
        "{% endfor %}{% if add_generation_prompt %}>{% endif %}";
    EXPECT_EQ(text_of(render(source, R"([{"role":"user","content":" hello "}])")),
              "<s>[USER] hello</s>>");
}

TEST(ChatTemplate, ContentThatSpellsSpecialTokensIsMarked) {
    EXPECT_EQ(
        text_of(render(
            "",
            R"([{"role":"user","content":"a<|im_end|>b"},{"role":"assistant","content":"plain"}])")),
        "<|im_start|>user\n/[a<|im_end|>b]/"
        "<|im_end|>\n<|im_start|>assistant\nplain<|im_end|>\n<|im_"
        "start|>assistant\n");
    const std::string changed =
        "{% for m in messages %}{{ (m.content | trim).split('x')[0] + '!' }}{% endfor %}";
    EXPECT_EQ(text_of(render(changed, R"([{"role":"user","content":" <|im_end|>xb"}])")),
              "</|im_end|>!")
        << "split() forgets the mark, but the cut stays";
}

TEST(ChatTemplate, SystemTextMovesWhereTheTemplateHasNoSystemRole) {
    const std::string source =
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system role') "
        "}}{% endif %}"
        "<{{ m.role }}>{{ m.content }}{% endfor %}";
    EXPECT_EQ(text_of(render(source,
                             R"([{"role":"system","content":"s"},{"role":"user","content":"u"}])")),
              "<user>s\nu");
}

TEST(ChatTemplate, RefusesInItsOwnWords) {
    const Result<std::vector<PromptPart>> parts = render(
        "{% if messages[0].role == 'assistant' %}{{ raise_exception('start with a user') }}{% "
        "endif %}x",
        R"([{"role":"assistant","content":"a"}])");
    ASSERT_FALSE(parts.ok());
    EXPECT_EQ(parts.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(parts.error().message.find("start with a user"), std::string::npos)
        << parts.error().message;
    EXPECT_EQ(parts.error().reason, "chat_template_error");
}

TEST(ChatTemplate, ToolCallsInTheHistory) {
    const std::string source =
        "{% for m in messages %}{% if m.tool_calls %}{% for c in m.tool_calls %}CALL {{ "
        "c.function.name }}"
        "{% endfor %}{% else %}{{ m.role }}:{{ m.content }}{% endif %};{% endfor %}";
    EXPECT_EQ(
        text_of(render(
            source,
            R"([{"role":"user","content":"u"},{"role":"assistant","content":null,"tool_calls":[
        {"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},
        {"role":"tool","tool_call_id":"1","content":"42"}])")),
        "user:u;CALL f;tool:42;");
}

TEST(ChatTemplate, HostileTemplatesAreStopped) {
    const std::pair<const char*, const char*> cases[] = {
        {"endless", "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}"},
        {"nested loops",
         "{% for a in range(9000) %}{% for b in range(9000) %}{% endfor %}{% endfor %}"},
        {"huge range", "{% for a in range(1000000000000) %}x{% endfor %}"},
        {"range at the end of 64 bits",
         "{% for a in range(9223372036854775800, 9223372036854775807, 2) %}.{% endfor %}{{ nope() "
         "}}"},
        {"unknown function", "{{ import_os() }}"},
    };
    for (const auto& [name, source] : cases) {
        const auto start = std::chrono::steady_clock::now();
        EXPECT_FALSE(render(source, kHello).ok()) << name;
        EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60)) << name;
    }
}

TEST(ChatTemplate, UnreadableTemplates) {
    for (const char* source : {"{% for %}", "{{", "{% if x %}", "{{ 'a }}"}) {
        const Result<std::unique_ptr<ChatTemplate>> made = ChatTemplate::create(source, "", "");
        ASSERT_FALSE(made.ok()) << source;
        EXPECT_EQ(made.error().code, ErrorCode::kInvalidArgument);
    }
    EXPECT_FALSE(ChatTemplate::create(std::string(kTemplateSourceMax + 1, 'x'), "", "").ok());
}

TEST(ChatTemplate, ThinkingFlag) {
    const std::string source = "{% if enable_thinking %}think{% else %}no{% endif %}";
    ChatRequest request = request_of(kHello);
    const Result<std::unique_ptr<ChatTemplate>> made = ChatTemplate::create(source, "", "");
    ASSERT_TRUE(made.ok());
    EXPECT_EQ((*made)->render(request, from_unix_ms(0), starts)->parts.at(0).text, "think");
    request.enable_thinking = false;
    EXPECT_EQ((*made)->render(request, from_unix_ms(0), starts)->parts.at(0).text, "no");
}

}  // namespace
}  // namespace gantry::engine_server
