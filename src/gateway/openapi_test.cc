// Holds openapi.json against the routes, the fields that go on to engines, and the limits of the parsers. What the server makes of
// requests that fit it, and of others, is tests/e2e/test_openapi_v1.py's.
#include <algorithm>
#include <cctype>
#include <set>

#include "gateway/gateway_test_support.h"
#include "protocol/openai/chat.h"
#include "protocol/openai/completions.h"
#include "protocol/openai/embeddings.h"
#include "protocol/openai/rerank.h"
#include "protocol/openai/upstream.h"

namespace gantry::gateway {
namespace {

namespace openai = protocol::openai;

const json::value& document() {
    static const json::value parsed = parse_json(openapi_json()).value();
    return parsed;
}
const json::object& schema(const std::string& name) {
    return document().at("components").at("schemas").at(name).as_object();
}
const json::value& at(const std::string& pointer) {
    boost::system::error_code missing;
    const json::value* found = document().find_pointer("/components/schemas/" + pointer, missing);
    EXPECT_NE(found, nullptr) << pointer;
    static const json::value kNone;
    return found == nullptr ? kNone : *found;
}
std::string with_case(std::string_view word, int (*change)(int)) {
    std::string out(word);
    std::transform(out.begin(), out.end(), out.begin(), [change](unsigned char c) { return static_cast<char>(change(c)); });
    return out;
}

class OpenApiTest : public GatewayRig {};

TEST_F(OpenApiTest, EveryRouteIsDescribedAndNothingElse) {
    http::asio::io_context io;
    const auto gateway = Gateway::create(io, tables_, dir_ / "journal", system_clock());
    ASSERT_TRUE(gateway.ok());
    http::Router router;
    (*gateway)->add_routes(router);
    std::set<std::string> routed, described;
    for (const http::Route& route : router.routes()) {
        std::string pattern = route.pattern;
        if (const size_t dots = pattern.find("...}"); dots != std::string::npos) pattern.erase(dots, 3);
        const bool renamed = pattern.starts_with("/v1-openai/");   // the document says so once
        routed.insert(route.method + " " + (renamed ? "/v1" + pattern.substr(10) : pattern));
        EXPECT_EQ(route.access, kInference) << pattern;
    }
    for (const auto& path : document().at("paths").as_object()) {
        for (const auto& operation : path.value().as_object()) {
            described.insert(with_case(operation.key(), std::toupper) + " " + std::string(path.key()));
            EXPECT_FALSE(operation.value().as_object().contains("security")) << "none is open";
        }
    }
    EXPECT_EQ(routed, described);
}

// Those that any route may give, and those of the ones that ask an engine; in the shape of the API that the path is of.
TEST_F(OpenApiTest, EveryStatusIsDescribedInTheShapeOfItsErrors) {
    for (const auto& path : document().at("paths").as_object()) {
        for (const auto& operation : path.value().as_object()) {
            std::set<std::string> expected = {"200", "400", "401", "403", "408", "413", "414", "421", "429", "431", "500"};
            const bool asks = operation.key() == "post";
            if (asks) expected.insert({"404", "415", "502", "503", "504", "default"});
            if (path.key() == "/v1/models/{id}") expected.insert("404");
            std::set<std::string> found;
            for (const auto& answer : operation.value().at("responses").as_object()) {
                found.insert(std::string(answer.key()));
                if (answer.key() == "200") continue;
                const std::string shape = path.key().starts_with("/v1/messages") ? "AnthropicError" : "Error";
                boost::system::error_code missing;
                const std::string pointer = std::string(answer.value().at("$ref").as_string()).substr(1);
                const json::value* schema = document().find_pointer(pointer + "/content/application~1json/schema/$ref", missing);
                ASSERT_NE(schema, nullptr) << pointer;
                EXPECT_EQ(schema->as_string(), "#/components/schemas/" + shape) << path.key() << " " << answer.key();
            }
            EXPECT_EQ(found, expected) << path.key();
        }
    }
}

TEST_F(OpenApiTest, ReferencesResolve) {
    const std::string text(openapi_json());
    const std::string mark = "\"$ref\": \"#";
    size_t count = 0;
    for (size_t found = text.find(mark); found != std::string::npos; found = text.find(mark, found + 1), ++count) {
        const size_t begin = found + mark.size();
        boost::system::error_code missing;
        const std::string pointer = text.substr(begin, text.find('"', begin) - begin);
        EXPECT_NE(document().find_pointer(pointer, missing), nullptr) << pointer;
    }
    EXPECT_GT(count, 100u);
}

TEST_F(OpenApiTest, FieldsThatGoOnToEnginesAreDescribed) {
    const std::set<std::string_view> unused = {"reasoning_effort", "user"};   // taken as they are, whatever they are
    const std::pair<const char*, std::span<const std::string_view>> requests[] = {{"ChatRequest", openai::chat_fields()},
                                                                                  {"CompletionRequest", openai::completion_fields()},
                                                                                  {"EmbeddingsRequest", openai::embedding_fields()}};
    for (const auto& [name, fields] : requests) {
        const json::object& properties = schema(name).at("properties").as_object();
        for (const std::string_view field : fields) {
            EXPECT_TRUE(properties.contains(field) || unused.contains(field)) << name << " " << field;
        }
    }
}

TEST_F(OpenApiTest, LimitsAreTheParsers) {
    const std::string chat = "ChatRequest/properties/";
    const std::pair<std::string, uint64_t> limits[] = {
        {chat + "n/maximum", openai::kChoicesMax},
        {chat + "max_tokens/maximum", openai::kMaxTokensMax},
        {chat + "deadline_ms/maximum", openai::kDeadlineMsMax},
        {chat + "cache_salt/maxLength", openai::kCacheSaltBytesMax},
        {chat + "top_logprobs/maximum", openai::kTopLogprobsMax},
        {chat + "logit_bias/maxProperties", openai::kLogitBiasMax},
        {chat + "stop_token_ids/maxItems", openai::kStopTokenIdsMax},
        {chat + "stop/anyOf/0/maxLength", openai::kStopBytesMax},
        {chat + "stop/anyOf/1/maxItems", openai::kStopsMax},
        {chat + "messages/maxItems", openai::kMessagesMax},
        {chat + "tools/maxItems", openai::kToolsMax},
        {"Message/anyOf/0/properties/content/anyOf/1/maxItems", openai::kPartsMax},
        {"CompletionRequest/properties/logprobs/maximum", openai::kCompletionLogprobsMax},
        {"CompletionRequest/properties/max_tokens/default", openai::kCompletionMaxTokensDefault},
        {"Prompt/anyOf/1/maxItems", openai::kPromptsMax},
        {"EmbeddingsRequest/properties/input/anyOf/1/maxItems", openai::kEmbeddingInputsMax},
        {"RerankRequest/anyOf/0/properties/documents/maxItems", openai::kDocumentsMax},
    };
    for (const auto& [pointer, limit] : limits) {
        const json::value& value = at(pointer);
        ASSERT_TRUE(value.is_number()) << pointer;
        EXPECT_EQ(value.to_number<uint64_t>(), limit) << pointer;
    }
    EXPECT_THAT(std::string(at("Tool/properties/function/properties/name/pattern").as_string()),
                testing::HasSubstr("{1," + std::to_string(openai::kToolNameMax) + "}"));
}

TEST_F(OpenApiTest, IsServedToThoseWithAKey) {
    start();
    for (const char* path : {"/v1/openapi.json", "/v1-openai/openapi.json"}) {
        const http::SimpleResponse shown = get(path);
        EXPECT_EQ(shown.status, 200);
        EXPECT_EQ(shown.body, openapi_json());
        EXPECT_EQ(error_code(send({"GET", path, {}, {}}), 401), "invalid_api_key");
    }
}

}  // namespace
}  // namespace gantry::gateway
