#include "protocol/openai/rerank_shapes.h"

#include <gtest/gtest.h>

#include "protocol/openai/tokenize.h"

namespace gantry::protocol::openai {
namespace {

json::value parsed(const std::string& text) { return parse_json(text).value(); }
const char kAnswer[] = R"({"id":"r","model":"m","results":[{"index":1,"relevance_score":0.9,"document":{"text":"b"}},
    {"index":0,"relevance_score":0.1,"document":{"text":"a"}}],"usage":{"total_tokens":3}})";

TEST(RerankShapes, OursStaysAsItIs) {
    const json::value body = parsed(R"({"model":"m","query":"q","documents":["a"]})");
    const Result<Translated> out = translate_rerank(body);
    EXPECT_EQ(json::value(out->body), body);
    EXPECT_EQ(out->translator, nullptr);
    EXPECT_FALSE(translate_rerank(parsed("[]")).ok());
}

TEST(RerankShapes, Tei) {
    const Result<Translated> out = translate_rerank(parsed(R"({"model":"m","query":"q","texts":["a","b"],"return_text":true})"));
    EXPECT_EQ(out->body.at("documents"), parsed(R"(["a","b"])"));
    EXPECT_EQ(out->translator->whole(parsed(kAnswer).as_object()),
              parsed(R"([{"index":1,"score":0.9,"text":"b"},{"index":0,"score":0.1,"text":"a"}])"));
    EXPECT_EQ(out->translator->renamed(invalid_argument("'documents[1]' is long", "documents[1]")).message, "'texts[1]' is long");
    EXPECT_EQ(translate_rerank(parsed(R"({"query":"q","texts":["a"],"return_text":1})")).error().param, "return_text");
}

TEST(RerankShapes, ScoresComeInOrder) {
    const Result<Translated> out = translate_score(parsed(R"({"model":"m","text_1":["q"],"text_2":["a","b"]})"));
    EXPECT_EQ(json::value(out->body), parsed(R"({"model":"m","query":"q","documents":["a","b"]})"));
    const json::value answer = out->translator->whole(parsed(kAnswer).as_object());
    EXPECT_EQ(answer.at("data"), parsed(R"([{"index":0,"object":"score","score":0.1},{"index":1,"object":"score","score":0.9}])"));
    EXPECT_EQ(translate_score(parsed(R"({"text_1":"q","text_2":"a"})"))->body.at("documents"), parsed(R"(["a"])"));
    EXPECT_EQ(translate_score(parsed(R"({"text_1":["q","r"],"text_2":"a"})")).error().param, "text_1");
    EXPECT_EQ(translate_score(parsed(R"({"queries":"q"})")).error().param, "text_2");
}

TEST(Tokenize, SpeaksToEveryEngine) {
    const Result<Translated> out = translate_tokenize(parsed(R"({"model":"m","prompt":"hi","add_special_tokens":true})"));
    EXPECT_EQ(json::value(out->body), parsed(R"({"model":"m","prompt":"hi","content":"hi","add_special_tokens":true,"add_special":true})"));
    EXPECT_EQ(out->translator->whole({{"tokens", json::array{5, 6}}}).at("count"), 2);
    EXPECT_EQ(translate_tokenize(parsed("{}")).error().param, "prompt");
    EXPECT_EQ(translate_tokenize(parsed(R"({"prompt":["a"]})")).error().param, "prompt");
}

TEST(Tokenize, Back) {
    const Result<Translated> out = translate_detokenize(parsed(R"({"model":"m","tokens":[1,2]})"));
    EXPECT_EQ(out->translator->whole({{"content", "x"}}), parsed(R"({"prompt":"x"})"));
    EXPECT_EQ(translate_detokenize(parsed(R"({"tokens":[1,-2]})")).error().param, "tokens[1]");
    EXPECT_EQ(translate_detokenize(parsed("{}")).error().param, "tokens");
}

}  // namespace
}  // namespace gantry::protocol::openai
