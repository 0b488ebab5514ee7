// The real model: all-MiniLM-L6-v2 from the model cache. That its vectors are the right ones is for tests/e2e/test_embeddings.py to
// say, against an independent reference; here: that one forward of many gives what one forward each does, and sizes and refusals.
#include "engine/llama_embedding_runner.h"

#include <gtest/gtest.h>
#include <llama.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <thread>

#include "engine/embedder.h"

namespace gantry::engine {
namespace {

std::string cached(const char* file) {
    const char* home = std::getenv("HOME");
    return std::string(home ? home : "") + "/.cache/gantry/models/" + file;
}
std::string minilm() { return cached("embed/all-MiniLM-L6-v2.f16.gguf"); }
std::string smollm2() { return cached("llm/SmolLM2-135M-Instruct.Q4_1.gguf"); }

LlamaOptions options_for(const std::string& path) {
    LlamaOptions options;
    options.model_path = path;
    options.threads = 1;
    return options;
}

Result<std::unique_ptr<LlamaEmbeddingRunner>> load(const LlamaOptions& options, std::optional<Pooling> pooling = {}) {
    Result<LlamaModelPtr> model = load_llama_model(options.model_path, {});
    if (!model) {
        return model.error();
    }
    const Pooling chosen = pooling ? *pooling : pooling_of(model->get()).value_or(Pooling::kLast);
    return LlamaEmbeddingRunner::create(std::move(model).value(), chosen, options);
}

std::vector<TokenId> tokens_of(const LlamaEmbeddingRunner& runner, const std::string& text) {
    std::vector<TokenId> tokens(text.size() + 8);
    const int32_t count = llama_tokenize(llama_model_get_vocab(runner.model()), text.c_str(), static_cast<int32_t>(text.size()),
                                         tokens.data(), static_cast<int32_t>(tokens.size()), true, false);
    EXPECT_GT(count, 0);
    tokens.resize(static_cast<size_t>(count));
    return tokens;
}

double cosine(std::span<const float> a, std::span<const float> b) {
    double dot = 0;
    double aa = 0;
    double bb = 0;
    for (size_t i = 0; i < a.size(); ++i) {
        dot += double{a[i]} * b[i];
        aa += double{a[i]} * a[i];
        bb += double{b[i]} * b[i];
    }
    return dot / std::sqrt(aa * bb);
}

std::vector<float> alone(EmbeddingRunner& runner, const std::vector<TokenId>& tokens) {
    const EmbeddingInput input(tokens);
    const Result<ForwardOutcome> outcome = runner.forward(std::span(&input, 1));
    EXPECT_TRUE(outcome.ok() && *outcome == ForwardOutcome::kDone);
    const std::span<const float> vector = runner.vector(0);
    return {vector.begin(), vector.end()};
}

class LlamaEmbeddingRunnerTest : public ::testing::Test {
protected:
    void SetUp() override {
        if (!std::filesystem::exists(minilm()) || !std::filesystem::exists(smollm2())) {
            GTEST_SKIP() << "NO MODEL at " << minilm() << " or " << smollm2() << ": run ./dev models minilm-l6 smollm2-135m";
        }
    }
};

const char* const kTexts[] = {
    "A man is eating food.", "Someone is having a meal.", "The new central processing unit is twice as fast.",
    "Stars", "A very long sentence about nothing in particular, which goes on and on, as such sentences do, until it ends at last."};

void expect_together_is_as_alone(LlamaEmbeddingRunner& runner) {
    std::vector<std::vector<TokenId>> tokens;
    std::vector<EmbeddingInput> inputs;
    for (const char* text : kTexts) {
        tokens.push_back(tokens_of(runner, text));
    }
    inputs.assign(tokens.begin(), tokens.end());
    ASSERT_TRUE(runner.forward(inputs).ok());
    Result<ForwardOutcome> outcome = runner.forward(inputs);   // twice: the first leaves nothing behind
    ASSERT_TRUE(outcome.ok() && *outcome == ForwardOutcome::kDone);
    std::vector<std::vector<float>> together;
    for (size_t i = 0; i < inputs.size(); ++i) {
        together.emplace_back(runner.vector(i).begin(), runner.vector(i).end());
    }
    for (size_t i = 0; i < inputs.size(); ++i) {
        const std::vector<float> vector = alone(runner, tokens[i]);
        ASSERT_EQ(vector.size(), together[i].size());
        EXPECT_GE(cosine(together[i], vector), 0.9995) << kTexts[i];
    }
    EXPECT_LT(cosine(together[0], together[2]), 0.9999) << "different texts have different vectors";
}

TEST_F(LlamaEmbeddingRunnerTest, AnEncoderByItsOwnPooling) {
    auto runner = load(options_for(minilm()));
    ASSERT_TRUE(runner.ok()) << runner.error().message;
    const EmbeddingCapacity capacity = (*runner)->capacity();
    EXPECT_EQ(capacity.pooling, Pooling::kMean);
    EXPECT_EQ(capacity.dimensions, 384U);
    EXPECT_EQ(capacity.input_tokens, 512U);
    EXPECT_GE(capacity.batch_rows, 512U);
    EXPECT_EQ(capacity.batch_inputs, 256U);
    expect_together_is_as_alone(**runner);
    const std::vector<float> eats = alone(**runner, tokens_of(**runner, kTexts[0]));
    EXPECT_GT(cosine(eats, alone(**runner, tokens_of(**runner, kTexts[1]))),
              cosine(eats, alone(**runner, tokens_of(**runner, kTexts[2]))) + 0.2)
        << "what means the same is nearer";
}

TEST_F(LlamaEmbeddingRunnerTest, OtherPoolingsAndADecoder) {
    for (const Pooling pooling : {Pooling::kCls, Pooling::kLast}) {
        auto runner = load(options_for(minilm()), pooling);
        ASSERT_TRUE(runner.ok()) << runner.error().message;
        expect_together_is_as_alone(**runner);
    }
    LlamaOptions options = options_for(smollm2());
    options.context_tokens = 256;
    options.batch_rows = 256;
    options.max_sequences = 8;
    auto decoder = load(options, Pooling::kLast);
    ASSERT_TRUE(decoder.ok()) << decoder.error().message;
    EXPECT_EQ((*decoder)->capacity().dimensions, 576U);
    EXPECT_EQ((*decoder)->capacity().batch_inputs, 8U);
    expect_together_is_as_alone(**decoder);
}

TEST_F(LlamaEmbeddingRunnerTest, TheLongestInputAndAFullForward) {
    auto runner = load(options_for(minilm()));
    ASSERT_TRUE(runner.ok()) << runner.error().message;
    std::vector<TokenId> tokens = tokens_of(**runner, "a");
    tokens.insert(tokens.begin() + 1, 509, tokens[1]);
    ASSERT_EQ(tokens.size(), 512U);
    EXPECT_TRUE(std::isfinite(alone(**runner, tokens).front()));
    const std::vector<TokenId> small = {101, 102};
    const std::vector<EmbeddingInput> many(256, EmbeddingInput(small));
    ASSERT_TRUE((*runner)->forward(many).ok());
    EXPECT_EQ((*runner)->vector(255).front(), (*runner)->vector(0).front());
}

TEST_F(LlamaEmbeddingRunnerTest, ACutForwardLeavesNothing) {
    auto runner = load(options_for(minilm()));
    ASSERT_TRUE(runner.ok()) << runner.error().message;
    std::vector<TokenId> tokens(512, 2054);
    const std::vector<float> before = alone(**runner, tokens);
    const EmbeddingInput input(tokens);
    // Whether the flag comes while it computes is for the machine to say; one try of these comes at the right time.
    bool cut = false;
    for (int attempt = 0; attempt < 200 && !cut; ++attempt) {
        std::promise<void> begun;
        std::thread raiser([&] {
            begun.get_future().wait();
            std::this_thread::sleep_for(std::chrono::microseconds(500));
            (*runner)->abort_flag() = true;
        });
        begun.set_value();
        const Result<ForwardOutcome> outcome = (*runner)->forward(std::span(&input, 1));
        raiser.join();
        ASSERT_TRUE(outcome.ok()) << outcome.error().message;
        cut = *outcome == ForwardOutcome::kAborted;
    }
    EXPECT_TRUE(cut);
    EXPECT_EQ(alone(**runner, tokens), before);
}

TEST_F(LlamaEmbeddingRunnerTest, RefusesWhatAModelCannotDo) {
    auto headless = load(options_for(minilm()), Pooling::kRank);
    ASSERT_FALSE(headless.ok());
    EXPECT_EQ(headless.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(headless.error().message.find("classification head"), std::string::npos);
    const auto encoder = LlamaRunner::load(options_for(minilm()));
    ASSERT_FALSE(encoder.ok()) << "an encoder generates no text";
    EXPECT_EQ(encoder.error().code, ErrorCode::kInvalidArgument);
    Result<LlamaModelPtr> decoder = load_llama_model(smollm2(), {});
    ASSERT_TRUE(decoder.ok());
    EXPECT_FALSE(pooling_of(decoder->get()).has_value());
}

}  // namespace
}  // namespace gantry::engine
