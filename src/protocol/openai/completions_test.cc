#include "protocol/openai/completions.h"

#include <gtest/gtest.h>

namespace gantry::protocol::openai {
namespace {

Result<CompletionRequest> parse(const std::string& text) {
    Result<json::value> body = parse_json(text);
    if (!body) {
        return body.error();
    }
    return parse_completion(*body);
}

TEST(Completions, PromptForms) {
    EXPECT_EQ(std::get<std::string>(parse(R"({"prompt":"a"})")->prompts.at(0)), "a");
    EXPECT_EQ(parse(R"({"prompt":["a","b"]})")->prompts.size(), 2U);
    EXPECT_EQ(std::get<std::vector<int32_t>>(parse(R"({"prompt":[1,2]})")->prompts.at(0)),
              (std::vector<int32_t>{1, 2}));
    const Result<CompletionRequest> lists = parse(R"({"prompt":[[1],[2,3]]})");
    EXPECT_EQ(std::get<std::vector<int32_t>>(lists->prompts.at(1)), (std::vector<int32_t>{2, 3}));
}

TEST(Completions, Defaults) {
    const Result<CompletionRequest> request = parse(R"({"prompt":"a","logprobs":0,"best_of":1})");
    ASSERT_TRUE(request.ok());
    EXPECT_EQ(request->generation.max_tokens, 16U);
    EXPECT_TRUE(request->generation.logprobs);
    EXPECT_EQ(request->generation.top_logprobs, 0U);
    EXPECT_FALSE(request->echo);
}

TEST(Completions, RefusalsNameTheField) {
    std::string many = "[\"x\"";
    for (int i = 0; i < 16; ++i) {
        many += ",\"x\"";
    }
    const std::pair<std::string, std::string> cases[] = {
        {R"({})", "prompt"},
        {R"({"prompt":[]})", "prompt"},
        {R"({"prompt":{}})", "prompt"},
        {R"({"prompt":)" + many + "]}", "prompt"},
        {R"({"prompt":["a",1]})", "prompt[1]"},
        {R"({"prompt":[1,"a"]})", "prompt[1]"},
        {R"({"prompt":[[1],[]]})", "prompt[1]"},
        {R"({"prompt":[1,-1]})", "prompt[1]"},
        {R"({"prompt":[2147483648]})", "prompt[0]"},
        {R"({"prompt":[true]})", "prompt[0]"},
        {R"({"prompt":"a","suffix":"b"})", "suffix"},
        {R"({"prompt":"a","best_of":2})", "best_of"},
        {R"({"prompt":"a","best_of":21,"n":2})", "best_of"},
        {R"({"prompt":"a","logprobs":6})", "logprobs"},
        {R"({"prompt":"a","logprobs":true})", "logprobs"},
        {R"({"prompt":"a","echo":1})", "echo"},
        {R"({"prompt":"a","max_tokens":0})", "max_tokens"},
    };
    for (const auto& [body, param] : cases) {
        const Result<CompletionRequest> request = parse(body);
        ASSERT_FALSE(request.ok()) << body;
        EXPECT_EQ(request.error().param, param) << body;
    }
}

}  // namespace
}  // namespace gantry::protocol::openai
