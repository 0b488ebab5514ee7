// /v1/embeddings and /v1/rerank over real sockets, with arithmetic for a model.

#include "engine_server/vectors.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <cmath>
#include <condition_variable>
#include <cstring>
#include <future>
#include <limits>
#include <mutex>
#include <thread>

#include "base/json.h"
#include "engine/fake_embedding_runner.h"
#include "engine/fake_runner.h"
#include "engine_server/frontend.h"

namespace gantry::engine_server {
namespace {

namespace asio = http::asio;
using engine::EmbeddingInput;
using engine::FakeEmbeddingRunner;
using engine::ForwardOutcome;
using engine::Pooling;
using Tokens = std::vector<engine::TokenId>;

constexpr uint32_t kVocabulary = 61;
constexpr uint32_t kDimensions = 8;
constexpr engine::TokenId kBegin = 57;
constexpr engine::TokenId kSeparator = 58;

// A token is a letter; every text stands between two tokens of its own, as BERT's do.
class LetterTokenizer final : public Tokenizer {
public:
    Result<Tokens> tokenize(std::string_view text, bool parse_special) const override {
        Tokens tokens;
        for (const char c : text) {
            tokens.push_back(parse_special && c == '#' ? 60 : static_cast<unsigned char>(c) % 50);
        }
        return tokens;
    }
    std::string piece(engine::TokenId, bool) const override { return "x"; }
    std::vector<size_t> special_text_starts(std::string_view) const override { return {}; }
    engine::TokenId begin_token() const override { return kBegin; }
    TextFrame frame() const override { return {{kBegin}, {kSeparator}, {kSeparator}}; }
    std::string begin_text() const override { return {}; }
    std::string end_text() const override { return {}; }
    bool is_end(engine::TokenId) const override { return false; }
    uint32_t size() const override { return kVocabulary; }
    size_t piece_bytes_max() const override { return 4; }
};

Tokens letters(const std::string& text) { return *LetterTokenizer().tokenize(text, false); }
Tokens framed(const std::string& text) {
    Tokens tokens = letters(text);
    tokens.insert(tokens.begin(), kBegin);
    tokens.push_back(kSeparator);
    return tokens;
}

std::vector<float> unit_vector(const Tokens& tokens, size_t dimensions = kDimensions) {
    std::vector<float> vector = FakeEmbeddingRunner::vector_of(tokens, kDimensions);
    vector.resize(dimensions);
    EXPECT_TRUE(normalise(vector).ok());
    return vector;
}

void expect_near(const json::value& numbers, const std::vector<float>& expected) {
    ASSERT_EQ(numbers.as_array().size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
        EXPECT_NEAR(numbers.at(i).to_number<double>(), expected[i], 1e-6) << i;
    }
}

class VectorsTest : public testing::Test {
protected:
    VectorsTest() : work_(asio::make_work_guard(io_)) {
        model_->tokenizer = std::make_unique<LetterTokenizer>();
        model_->description = "arithmetic";
    }

    void start(Pooling pooling = Pooling::kMean) {
        engine::FakeEmbeddingRunnerOptions fake;
        fake.capacity = {.input_tokens = 32, .batch_rows = 64, .batch_inputs = 16,
                         .dimensions = kDimensions, .vocabulary = kVocabulary, .pooling = pooling};
        fake.on_forward = [this](std::span<const EmbeddingInput> inputs) { return pass(inputs); };
        model_->embedding = fake.capacity;
        model_->embedder = engine::Embedder::start(std::make_unique<FakeEmbeddingRunner>(fake));
        embedder_ = model_->embedder.get();
        serve();
    }
    void start_generator() {
        auto runner = std::make_unique<engine::FakeRunner>(engine::FakeRunnerOptions{});
        model_->capacity = runner->capacity();
        model_->chat_template = std::move(*ChatTemplate::create("x", "", ""));
        model_->engine = engine::Engine::start(std::move(runner), {});
        serve();
    }
    void serve() {
        frontend_ = std::make_unique<Frontend>(io_, FrontendOptions{"", "letters", ""});
        frontend_->set_model(std::move(model_));
        Result<uint16_t> port = frontend_->server().listen_tcp("127.0.0.1", 0, "engine");
        ASSERT_TRUE(port.ok());
        endpoint_ = "tcp:127.0.0.1:" + std::to_string(*port);
        thread_ = std::thread([this] { io_.run(); });
    }
    void TearDown() override {
        if (!thread_.joinable()) {
            return;
        }
        hold(false);
        stop_frontend();
        thread_.join();
        frontend_.reset();
    }
    void stop_frontend() {
        auto stop = [](Frontend& frontend, asio::io_context& io) -> http::Task<void> {
            co_await frontend.stop(Deadline::after(std::chrono::seconds(1)));
            io.stop();
        };
        asio::co_spawn(io_, stop(*frontend_, io_), asio::detached);
    }

    // In the forward: can be held, and can answer something else.
    std::optional<Result<ForwardOutcome>> pass(std::span<const EmbeddingInput> inputs) {
        std::unique_lock lock(mutex_);
        for (const EmbeddingInput& input : inputs) {
            seen_.emplace_back(input.begin(), input.end());
        }
        ++forwards_;
        changed_.notify_all();
        changed_.wait(lock, [this] { return !held_; });
        return next_outcome_;
    }
    void hold(bool held) {
        const std::lock_guard lock(mutex_);
        held_ = held;
        changed_.notify_all();
    }
    void wait_for_forwards(size_t count) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return forwards_ >= count; });
    }
    std::vector<Tokens> seen() {
        const std::lock_guard lock(mutex_);
        return seen_;
    }

    http::SimpleResponse send(const std::string& method, const std::string& target, const std::string& body = "") {
        Result<http::SimpleResponse> response = http::fetch(endpoint_, {method, target, {}, body});
        EXPECT_TRUE(response.ok()) << (response.ok() ? "" : response.error().message);
        return response.ok() ? *response : http::SimpleResponse{};
    }
    json::value post(const std::string& target, const std::string& body, int status = 200) {
        const http::SimpleResponse response = send("POST", target, body);
        EXPECT_EQ(response.status, status) << response.body;
        Result<json::value> parsed = parse_json(response.body);
        EXPECT_TRUE(parsed.ok()) << response.body;
        return parsed.ok() ? *parsed : json::value(json::object());
    }
    static bool eventually(const std::function<bool()>& holds) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (!holds()) {
            if (std::chrono::steady_clock::now() > end) {
                return false;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
        }
        return true;
    }
    json::object refusal(const std::string& target, const std::string& body, int status = 400) {
        return post(target, body, status).at("error").as_object();
    }

    asio::io_context io_{1};
    asio::executor_work_guard<asio::io_context::executor_type> work_;
    std::unique_ptr<LoadedModel> model_ = std::make_unique<LoadedModel>();
    std::unique_ptr<Frontend> frontend_;
    engine::Embedder* embedder_ = nullptr;
    std::string endpoint_;
    std::thread thread_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool held_ = false;
    size_t forwards_ = 0;
    std::vector<Tokens> seen_;
    std::optional<Result<ForwardOutcome>> next_outcome_;
};

TEST_F(VectorsTest, TextsAreFramedAndVectorsHaveLengthOne) {
    start();
    const json::value answer = post("/v1/embeddings", R"({"model":"any","input":["one","two"]})");
    EXPECT_EQ(answer.at("object"), "list");
    EXPECT_EQ(answer.at("model"), "any");
    EXPECT_EQ(answer.at("usage").at("prompt_tokens"), 10);
    EXPECT_EQ(answer.at("usage").at("total_tokens"), 10);
    expect_near(answer.at("data").at(0).at("embedding"), unit_vector(framed("one")));
    expect_near(answer.at("data").at(1).at("embedding"), unit_vector(framed("two")));
    EXPECT_EQ(answer.at("data").at(1).at("index"), 1);
    EXPECT_EQ(embedder_->stats().forwards_total, 1U);
}

TEST_F(VectorsTest, TokensAreTakenAsTheyAre) {
    start();
    const json::value answer = post("/v1/embeddings", R"({"input":[[1,2,3],[4]]})");
    expect_near(answer.at("data").at(0).at("embedding"), unit_vector({1, 2, 3}));
    expect_near(answer.at("data").at(1).at("embedding"), unit_vector({4}));
    EXPECT_EQ(answer.at("usage").at("prompt_tokens"), 4);
    EXPECT_EQ(answer.at("model"), "letters");
}

TEST_F(VectorsTest, Base64HoldsTheSameNumbers) {
    start();
    const json::value numbers = post("/v1/embeddings", R"({"input":"one"})");
    const json::value encoded =
        post("/v1/embeddings", R"({"input":"one","encoding_format":"base64"})");
    const std::string text(encoded.at("data").at(0).at("embedding").as_string());
    std::string bytes;
    uint32_t bits = 0;
    for (size_t i = 0; i < text.size() && text[i] != '='; ++i) {
        const std::string alphabet =
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        bits = bits << 6 | static_cast<uint32_t>(alphabet.find(text[i]));
        if (i % 4 != 0) {
            bytes += static_cast<char>(bits >> (6 - 2 * (i % 4)) & 255);
        }
    }
    std::vector<float> vector(kDimensions);
    ASSERT_EQ(bytes.size(), vector.size() * sizeof(float));
    std::memcpy(vector.data(), bytes.data(), bytes.size());
    expect_near(numbers.at("data").at(0).at("embedding"), vector);
}

TEST_F(VectorsTest, FewerDimensionsAreTheFirstOnesAtLengthOne) {
    start();
    const json::value answer = post("/v1/embeddings", R"({"input":"one","dimensions":3})");
    expect_near(answer.at("data").at(0).at("embedding"), unit_vector(framed("one"), 3));
    const json::object refused = refusal("/v1/embeddings", R"({"input":"one","dimensions":9})");
    EXPECT_EQ(refused.at("param"), "dimensions");
    EXPECT_NE(std::string(refused.at("message").as_string()).find("have 8"), std::string::npos);
}

TEST_F(VectorsTest, TooLongIsRefusedWithBothNumbers) {
    start();
    const std::string text(31, 'a');  // 33 with what the model wants around it
    const json::object refused = refusal("/v1/embeddings", R"({"input":["a",")" + text + "\"]}");
    EXPECT_EQ(refused.at("code"), "context_length_exceeded");
    EXPECT_EQ(refused.at("param"), "input[1]");
    const std::string message(refused.at("message").as_string());
    EXPECT_NE(message.find("33"), std::string::npos);
    EXPECT_NE(message.find("32"), std::string::npos);
    const std::string huge(100'000, 'a');
    EXPECT_EQ(refusal("/v1/embeddings", R"({"input":")" + huge + "\"}").at("code"),
              "context_length_exceeded");
    EXPECT_EQ(refusal("/v1/embeddings", R"({"input":[1,61]})").at("param"), "input");
    EXPECT_TRUE(refusal("/v1/embeddings", "{").at("param").is_null());
    EXPECT_TRUE(seen().empty());
}

TEST_F(VectorsTest, ManyCallersShareForwards) {
    start();
    hold(true);
    std::vector<std::thread> threads;
    std::vector<json::value> answers(33);
    const auto ask = [&](size_t i) {
        answers[i] = post("/v1/embeddings", R"({"input":")" + std::string(1, static_cast<char>('0' + i)) + "\"}");
    };
    threads.emplace_back(ask, 0);
    wait_for_forwards(1);
    for (size_t i = 1; i < answers.size(); ++i) {
        threads.emplace_back(ask, i);
    }
    EXPECT_TRUE(eventually([this] { return embedder_->stats().waiting == 33; }));
    hold(false);
    for (std::thread& thread : threads) {
        thread.join();
    }
    for (size_t i = 0; i < answers.size(); ++i) {
        expect_near(answers[i].at("data").at(0).at("embedding"),
                    unit_vector(framed(std::string(1, static_cast<char>('0' + i)))));
    }
    EXPECT_EQ(embedder_->stats().forwards_total, 3U) << "one, and 32 in two of 16";
    const std::string metrics = send("GET", "/metrics").body;
    EXPECT_NE(metrics.find("gantry_engine_embedding_forwards_total"), std::string::npos);
}

TEST_F(VectorsTest, RerankByAngle) {
    start();
    const json::value answer = post(
        "/v1/rerank", R"({"query":"q","documents":["one",{"text":"q"}],"return_documents":true})");
    const json::array& results = answer.at("results").as_array();
    ASSERT_EQ(results.size(), 2U);
    EXPECT_EQ(results[0].at("index"), 1) << "the same text is nearest";
    EXPECT_NEAR(results[0].at("relevance_score").to_number<double>(), 1, 1e-6);
    EXPECT_EQ(results[1].at("document").at("text"), "one");
    const std::vector<float> query = unit_vector(framed("q"));
    const std::vector<float> one = unit_vector(framed("one"));
    double cosine = 0;
    for (size_t d = 0; d < kDimensions; ++d) {
        cosine += double{query[d]} * one[d];
    }
    EXPECT_NEAR(results[1].at("relevance_score").to_number<double>(), cosine, 1e-6);
    EXPECT_EQ(answer.at("usage").at("total_tokens"), 3 + 5 + 3);
    EXPECT_EQ(post("/v1/rerank", R"({"query":"q","documents":["a","b","c"],"top_n":2})")
                  .at("results").as_array().size(), 2U);
}

TEST_F(VectorsTest, RerankByAHeadSeesPairs) {
    start(Pooling::kRank);
    const json::value answer =
        post("/v1/rerank", R"({"query":"q#","documents":["one","two"]})");
    Tokens pair = {kBegin};
    for (const std::string& text : {std::string("q#"), std::string("one")}) {
        const Tokens tokens = letters(text);
        pair.insert(pair.end(), tokens.begin(), tokens.end());
        pair.push_back(kSeparator);
    }
    EXPECT_EQ(seen().at(0), pair);
    for (const json::value& result : answer.at("results").as_array()) {
        const auto index = result.at("index").to_number<size_t>();
        EXPECT_EQ(result.at("relevance_score").to_number<float>(),
                  FakeEmbeddingRunner::vector_of(seen().at(index), kDimensions).front());
    }
    EXPECT_EQ(refusal("/v1/embeddings", R"({"input":"a"})").at("code"),
              "unsupported_model_capability");
    const std::string text(30, 'a');
    const json::object refused =
        refusal("/v1/rerank", R"({"query":"q","documents":["a",")" + text + "\"]}");
    EXPECT_EQ(refused.at("param"), "documents[1]");
    EXPECT_EQ(refused.at("code"), "context_length_exceeded");
}

TEST_F(VectorsTest, ARerankTemplateOfTheModelIsFilledIn) {
    model_->rerank_template = "#{document}<{query}#";
    start(Pooling::kRank);
    post("/v1/rerank", R"({"query":"q{document}#","documents":["d#"]})");
    Tokens expected = letters("#d#<q{document}##");
    expected.front() = expected.back() = 60;
    EXPECT_EQ(seen().at(0), expected) << "only the template's own # is special";
}

TEST_F(VectorsTest, EachKindOfModelRefusesTheOthersWork) {
    start();
    for (const char* target : {"/v1/chat/completions", "/v1/completions"}) {
        const json::object refused =
            refusal(target, R"({"messages":[{"role":"user","content":"x"}],"prompt":"x"})");
        EXPECT_EQ(refused.at("code"), "unsupported_model_capability") << target;
        EXPECT_EQ(refused.at("param"), "model");
    }
    EXPECT_EQ(refusal("/tokenize", R"({"messages":[{"role":"user","content":"x"}]})").at("code"),
              "unsupported_model_capability");
    EXPECT_EQ(send("GET", "/health").status, 200);
    const json::value models = *parse_json(send("GET", "/v1/models").body);
    EXPECT_EQ(models.at("data").at(0).at("meta").at("pooling"), "mean");
    EXPECT_EQ(models.at("data").at(0).at("meta").at("dimensions"), 8);
}

TEST_F(VectorsTest, TextsAreSplitIntoTokensHereToo) {
    start();
    const json::value answer = post("/tokenize", R"({"content":"abc"})");
    EXPECT_EQ(answer.at("count"), 3);
    EXPECT_EQ(answer.at("max_model_len"), 32);
}

TEST_F(VectorsTest, AModelThatGeneratesMakesNoEmbeddings) {
    start_generator();
    EXPECT_EQ(refusal("/v1/embeddings", R"({"input":"a"})").at("code"),
              "unsupported_model_capability");
    EXPECT_EQ(refusal("/v1/rerank", R"({"query":"a","documents":["b"]})").at("code"),
              "unsupported_model_capability");
}

TEST_F(VectorsTest, AClientThatLeavesIsNotComputedFor) {
    start();
    hold(true);
    std::thread first([&] { post("/v1/embeddings", R"({"input":"first"})"); });
    wait_for_forwards(1);
    http::asio::io_context client_io;
    http::Client client(client_io, {});
    http::Canceller stop;
    auto call = [](http::Client& by, std::string to, http::Canceller canceller) -> http::Task<void> {
        http::Client::Call request;
        request.method = "POST";
        request.target = "/v1/embeddings";
        request.body = R"({"input":["second","third"]})";
        const auto answer = co_await by.send(to, std::move(request), canceller);
        EXPECT_FALSE(answer.ok());
    };
    asio::co_spawn(client_io, call(client, endpoint_, stop), asio::detached);
    std::thread second([&] { client_io.run(); });
    EXPECT_TRUE(eventually([this] { return embedder_->stats().waiting == 3; }));
    asio::post(client_io, [&] { stop.cancel(); });
    second.join();
    EXPECT_TRUE(eventually([this] {
        std::promise<size_t> exchanges;
        asio::post(io_, [&] { exchanges.set_value(frontend_->server().exchanges()); });
        return exchanges.get_future().get() == 1;
    }));
    hold(false);
    first.join();
    EXPECT_TRUE(eventually([this] { return embedder_->stats().waiting == 0; }));
    EXPECT_EQ(seen().size(), 1U);
}

TEST_F(VectorsTest, FailuresHaveTheirStatus) {
    start();
    {
        const std::lock_guard lock(mutex_);
        next_outcome_ = Result<ForwardOutcome>(internal_error("the fake device is gone"));
    }
    EXPECT_EQ(refusal("/v1/embeddings", R"({"input":"a"})", 500).at("message"),
              "the fake device is gone");
    {
        const std::lock_guard lock(mutex_);
        next_outcome_.reset();
    }
    EXPECT_EQ(post("/v1/embeddings", R"({"input":"a"})").at("usage").at("total_tokens"), 3);
}

TEST_F(VectorsTest, StoppingEndsWhatWaits) {
    start();
    hold(true);
    std::promise<json::object> refused;
    std::thread caller([&] { refused.set_value(refusal("/v1/embeddings", R"({"input":"a"})", 503)); });
    wait_for_forwards(1);
    stop_frontend();
    EXPECT_EQ(refused.get_future().get().at("code"), "engine_stopping");
    caller.join();
    thread_.join();
    hold(false);
    frontend_.reset();
}

TEST(Normalise, OneZeroAndNoNumber) {
    std::vector<float> vector = {3, 4};
    ASSERT_TRUE(normalise(vector).ok());
    EXPECT_EQ(vector, (std::vector<float>{0.6F, 0.8F}));
    std::vector<float> zeros = {0, 0};
    ASSERT_TRUE(normalise(zeros).ok());
    EXPECT_EQ(zeros, (std::vector<float>{0, 0}));
    std::vector<float> broken = {1, std::numeric_limits<float>::quiet_NaN()};
    EXPECT_EQ(normalise(broken).error().code, ErrorCode::kInternal);
}

}  // namespace
}  // namespace gantry::engine_server
