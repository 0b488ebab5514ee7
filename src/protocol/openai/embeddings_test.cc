#include "protocol/openai/embeddings.h"

#include <gtest/gtest.h>

#include "protocol/openai/rerank.h"
#include "protocol/openai/upstream.h"

namespace gantry::protocol::openai {
namespace {

Result<EmbeddingsRequest> embeddings(const std::string& body) {
    return parse_embeddings(*parse_json(body));
}
Result<RerankRequest> rerank(const std::string& body) { return parse_rerank(*parse_json(body)); }

TEST(Embeddings, ReadsEveryShapeOfInput) {
    const auto text = embeddings(R"({"model":"m","input":"one","user":"u"})");
    ASSERT_TRUE(text.ok());
    EXPECT_EQ(text->model, "m");
    EXPECT_EQ(std::get<std::string>(text->inputs.at(0)), "one");
    EXPECT_FALSE(text->base64);
    EXPECT_EQ(text->dimensions, 0U);
    EXPECT_EQ(embeddings(R"({"input":["a","b"]})")->inputs.size(), 2U);
    const auto ids = embeddings(R"({"input":[1,2,3],"encoding_format":"base64","dimensions":5})");
    ASSERT_TRUE(ids.ok());
    EXPECT_EQ(std::get<1>(ids->inputs.at(0)), (std::vector<int32_t>{1, 2, 3}));
    EXPECT_TRUE(ids->base64);
    EXPECT_EQ(ids->dimensions, 5U);
    EXPECT_EQ(embeddings(R"({"input":[[1,2],[3.0]]})")->inputs.size(), 2U);
}

TEST(Embeddings, RefusesWithThePath) {
    const std::pair<const char*, const char*> cases[] = {
        {R"({})", "input"},
        {R"({"input":5})", "input"},
        {R"({"input":""})", "input"},
        {R"({"input":[]})", "input"},
        {R"({"input":["a",""]})", "input[1]"},
        {R"({"input":["a",1]})", "input[1]"},
        {R"({"input":[[1],[]]})", "input[1]"},
        {R"({"input":[1,-1]})", "input[1]"},
        {R"({"input":[1,2.5]})", "input[1]"},
        {R"({"input":[1,4294967296]})", "input[1]"},
        {R"({"input":"a","model":1})", "model"},
        {R"({"input":"a","user":1})", "user"},
        {R"({"input":"a","dimensions":0})", "dimensions"},
        {R"({"input":"a","encoding_format":"int8"})", "encoding_format"},
    };
    for (const auto& [body, path] : cases) {
        const auto request = embeddings(body);
        ASSERT_FALSE(request.ok()) << body;
        EXPECT_EQ(request.error().code, ErrorCode::kInvalidArgument) << body;
        EXPECT_EQ(request.error().param, path) << body;
    }
    json::object body;
    body["input"] = json::array(kEmbeddingInputsMax, "a");
    EXPECT_TRUE(parse_embeddings(body).ok());
    body["input"].as_array().emplace_back("a");
    const auto many = parse_embeddings(body);
    ASSERT_FALSE(many.ok());
    EXPECT_NE(many.error().message.find("2048"), std::string::npos);
    EXPECT_NE(many.error().message.find("2049"), std::string::npos);
}

TEST(Embeddings, WritesNumbersThatReadBackTheSame) {
    const std::vector<std::vector<float>> vectors = {{0.1F, -1e-20F, 3}, {}};
    const json::value answer = *parse_json(embeddings_json("a\"b", vectors, false, 7));
    EXPECT_EQ(answer.at("object"), "list");
    EXPECT_EQ(answer.at("model"), "a\"b");
    EXPECT_EQ(answer.at("usage").at("prompt_tokens"), 7);
    EXPECT_EQ(answer.at("usage").at("total_tokens"), 7);
    const json::array& data = answer.at("data").as_array();
    ASSERT_EQ(data.size(), 2U);
    EXPECT_EQ(data[1].at("index"), 1);
    EXPECT_EQ(data[0].at("object"), "embedding");
    const json::array& numbers = data[0].at("embedding").as_array();
    ASSERT_EQ(numbers.size(), 3U);
    for (size_t i = 0; i < 3; ++i) {
        EXPECT_EQ(numbers[i].to_number<float>(), vectors[0][i]);
    }
    EXPECT_TRUE(data[1].at("embedding").as_array().empty());
}

// The bytes of 1.0, -2.0 and 0.5 in little endian, as Python's base64 writes them.
TEST(Embeddings, WritesBase64) {
    const std::vector<std::vector<float>> vectors = {{1}, {1, -2}, {1, -2, 0.5F}, {}};
    const json::value answer = *parse_json(embeddings_json("m", vectors, true, 7));
    EXPECT_EQ(answer.at("data").at(0).at("embedding"), "AACAPw==");
    EXPECT_EQ(answer.at("data").at(1).at("embedding"), "AACAPwAAAMA=");
    EXPECT_EQ(answer.at("data").at(2).at("embedding"), "AACAPwAAAMAAAAA/");
    EXPECT_EQ(answer.at("data").at(3).at("embedding"), "");
}

TEST(Rerank, ReadsJinasAndCoheresDocuments) {
    const auto request = rerank(
        R"({"model":"m","query":"q","documents":["a",{"text":"b","title":"t"}],"top_n":1,)"
        R"("return_documents":true,"max_chunks_per_doc":3})");
    ASSERT_TRUE(request.ok()) << request.error().message;
    EXPECT_EQ(request->query, "q");
    EXPECT_EQ(request->documents, (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(request->top_n, 1U);
    EXPECT_TRUE(request->return_documents);
}

TEST(Rerank, RefusesWithThePath) {
    const std::pair<const char*, const char*> cases[] = {
        {R"([])", ""},
        {R"({"documents":["a"]})", "query"},
        {R"({"query":"","documents":["a"]})", "query"},
        {R"({"query":["q"],"documents":["a"]})", "query"},
        {R"({"query":"q"})", "documents"},
        {R"({"query":"q","documents":[]})", "documents"},
        {R"({"query":"q","documents":"a"})", "documents"},
        {R"({"query":"q","documents":["a",5]})", "documents[1]"},
        {R"({"query":"q","documents":["a",""]})", "documents[1]"},
        {R"({"query":"q","documents":[{"title":"t"}]})", "documents[0].text"},
        {R"({"query":"q","documents":[{"text":5}]})", "documents[0].text"},
        {R"({"query":"q","documents":["a"],"top_n":0})", "top_n"},
        {R"({"query":"q","documents":["a"],"return_documents":1})", "return_documents"},
    };
    for (const auto& [body, path] : cases) {
        const auto request = rerank(body);
        ASSERT_FALSE(request.ok()) << body;
        EXPECT_EQ(request.error().param, path) << body;
    }
}

TEST(Rerank, TheBestFirstAndEqualOnesInOrder) {
    RerankRequest request;
    request.documents = {"a", "b", "c", "d"};
    const json::object all =
        rerank_object(request, "m", {0.5F, 2, 0.5F, -1}, 9, *seeded_random(1));
    std::vector<int64_t> order;
    for (const json::value& result : all.at("results").as_array()) {
        order.push_back(result.at("index").to_number<int64_t>());
        EXPECT_FALSE(result.as_object().contains("document"));
    }
    EXPECT_EQ(order, (std::vector<int64_t>{1, 0, 2, 3}));
    EXPECT_EQ(all.at("usage").at("total_tokens").to_number<int>(), 9);
    request.top_n = 1;
    request.return_documents = true;
    const json::object best =
        rerank_object(request, "m", {0.5F, 2, 0.5F, -1}, 9, *seeded_random(1));
    ASSERT_EQ(best.at("results").as_array().size(), 1U);
    EXPECT_EQ(best.at("results").at(0).at("document").at("text"), "b");
    EXPECT_EQ(best.at("results").at(0).at("relevance_score").to_number<double>(), 2);
}

TEST(Upstream, OnlyWhatEnginesOfEmbeddingsKnowGoesOn) {
    const json::object body = parse_json(
        R"({"model":"m","input":"a","dimensions":3,"encoding_format":"float","user":"u",)"
        R"("embd_normalize":-1,"stream":true})")->as_object();
    EXPECT_EQ(forward_body(body, embedding_fields()).size(), 5U);
    const json::object rerank = parse_json(
        R"({"model":"m","query":"a","documents":["b"],"top_n":1,"return_documents":true,"x":1})")
        ->as_object();
    EXPECT_EQ(forward_body(rerank, rerank_fields()).size(), 5U);
    const json::object total = parse_json(R"({"usage":{"total_tokens":12}})")->as_object();
    EXPECT_EQ(usage_of(total)->prompt_tokens, 12U);
}

}  // namespace
}  // namespace gantry::protocol::openai
