// The real model: SmolLM2-135M from the model cache, or what GANTRY_TEST_MODEL names. One thread, so that a busy machine slows it
// down but does not stall it at ggml's barriers.
#include "engine/llama_runner.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <future>
#include <fstream>
#include <thread>

#include "engine/engine_core.h"

namespace gantry::engine {
namespace {

std::string model_path() {
    if (const char* path = std::getenv("GANTRY_TEST_MODEL")) {
        return path;
    }
    const char* home = std::getenv("HOME");
    return std::string(home ? home : "") + "/.cache/gantry/models/llm/SmolLM2-135M-Instruct.Q4_1.gguf";
}

std::vector<TokenId> prompt_of(TokenId seed, size_t length) {
    std::vector<TokenId> tokens;
    for (size_t i = 0; i < length; ++i) {
        tokens.push_back(1000 + (seed * 7919 + static_cast<TokenId>(i) * 631) % 20000);
    }
    return tokens;
}

class LlamaRunnerTest : public ::testing::Test {
protected:
    void SetUp() override {
        if (!std::filesystem::exists(model_path())) {
            GTEST_SKIP() << "NO MODEL at " << model_path() << ": run ./dev models smollm2-135m";
        }
    }
    std::unique_ptr<LlamaRunner> load(uint32_t context_tokens) {
        auto runner = LlamaRunner::load(LlamaOptions{.model_path = model_path(), .context_tokens = context_tokens,
                                                     .max_sequences = 8, .threads = 1, .batch_rows = 64, .on_progress = {}});
        EXPECT_TRUE(runner.ok()) << (runner.ok() ? "" : runner.error().message);
        return runner.ok() ? std::move(runner).value() : nullptr;
    }
    // Greedy tokens of all prompts, computed together.
    std::vector<std::vector<TokenId>> generate(ModelRunner& runner, const std::vector<std::vector<TokenId>>& prompts, uint32_t count,
                                               uint64_t* preemptions = nullptr) {
        std::vector<std::vector<TokenId>> out(prompts.size());
        const BatchPlanner planner;
        EngineCore core(EngineCoreParts{runner, system_clock(), planner}, EngineConfig{});
        for (size_t i = 0; i < prompts.size(); ++i) {
            SequenceRequest request;
            request.prompt = prompts[i];
            request.max_tokens = count;
            request.sampling.temperature = 0;
            request.sampling.ignore_eos = true;
            request.on_event = [&out, i](const TokenEvent& event) {
                if (event.token) {
                    out[i].push_back(*event.token);
                }
                EXPECT_TRUE(!event.finish || *event.finish == FinishReason::kLength) << event.error;
            };
            core.submit(i + 1, std::move(request), system_clock().steady());
        }
        for (int step = 0; step < 2000 && core.has_work(); ++step) {
            core.step();
            EXPECT_EQ(core.check_integrity(), std::nullopt);
        }
        EXPECT_FALSE(core.has_work());
        if (preemptions) {
            *preemptions = core.stats().preemptions_total;
        }
        return out;
    }
};

TEST_F(LlamaRunnerTest, SaysWhatItLoaded) {
    float progress = 0;
    auto runner = LlamaRunner::load(LlamaOptions{.model_path = model_path(), .on_progress = [&](float p) { progress = p; }});
    ASSERT_TRUE(runner.ok()) << runner.error().message;
    EXPECT_EQ(progress, 1.0f);
    EXPECT_GT((*runner)->capacity().context_tokens, 255u);
    EXPECT_LE((*runner)->capacity().context_tokens, (*runner)->trained_context_tokens());
    EXPECT_EQ((*runner)->capacity().slots, 64u);
    EXPECT_FALSE((*runner)->description().empty());
}

TEST_F(LlamaRunnerTest, TogetherAsAlone) {
    auto runner = load(2048);
    ASSERT_NE(runner, nullptr);
    const std::vector<std::vector<TokenId>> prompts = {prompt_of(1, 40), prompt_of(2, 7), prompt_of(1, 40), prompt_of(3, 90)};
    const auto together = generate(*runner, prompts, 12);
    for (size_t i = 0; i < prompts.size(); ++i) {
        EXPECT_EQ(generate(*runner, {prompts[i]}, 12)[0], together[i]) << "sequence " << i;
    }
    EXPECT_EQ(together[0], together[2]);
}

TEST_F(LlamaRunnerTest, PreemptionChangesNoToken) {
    auto roomy = load(1024);
    auto tight = load(256);
    ASSERT_TRUE(roomy && tight);
    const std::vector<std::vector<TokenId>> prompts = {prompt_of(1, 70), prompt_of(2, 70)};
    uint64_t preemptions = 0;
    const auto preempted = generate(*tight, prompts, 70, &preemptions);
    EXPECT_GT(preemptions, 0u);
    EXPECT_EQ(preempted, generate(*roomy, prompts, 70));
}

TEST_F(LlamaRunnerTest, AnAbortedForwardLeavesNothingBehind) {
    auto runner = load(1024);
    ASSERT_NE(runner, nullptr);
    const std::vector<TokenId> prompt = prompt_of(5, 64);
    const auto expected = generate(*runner, {prompt}, 4)[0];
    Batch batch;
    for (size_t i = 0; i < prompt.size(); ++i) {
        batch.push_back(BatchRow{.token = prompt[i], .position = static_cast<int32_t>(i), .slot = 0, .wants_logits = false});
    }
    // Raised over and over, because forward() lowers the flag when it starts.
    std::atomic<bool> stop{false};
    std::thread raiser([&] {
        while (!stop) {
            runner->abort_flag() = true;
        }
    });
    const auto outcome = runner->forward(batch);
    stop = true;
    raiser.join();
    ASSERT_TRUE(outcome.ok());
    EXPECT_EQ(*outcome, ForwardOutcome::kAborted);
    EXPECT_EQ(generate(*runner, {prompt}, 4)[0], expected) << "slot 0 starts at position 0 again";
}

TEST_F(LlamaRunnerTest, CancelMidPrefillEndsWithinAStepAndOthersGoOn) {
    auto engine = Engine::start(load(2048), EngineConfig{});
    std::promise<TokenEvent> cancelled, other;
    SequenceRequest request;
    request.prompt = prompt_of(1, 1500);
    request.on_event = [&](TokenEvent event) { if (event.finish) { cancelled.set_value(std::move(event)); } };
    const auto id = engine->submit(std::move(request));
    ASSERT_TRUE(id.ok());
    while (engine->stats().kv_cells_used == 0) {
        std::this_thread::yield();
    }
    engine->cancel(*id);
    auto end = cancelled.get_future();
    ASSERT_EQ(end.wait_for(std::chrono::seconds(20)), std::future_status::ready);
    const TokenEvent event = end.get();
    EXPECT_EQ(event.finish, FinishReason::kCancelled);
    EXPECT_EQ(event.completion_tokens, 0u) << "the prompt is too long to have been computed";
    SequenceRequest next;
    next.prompt = prompt_of(2, 10);
    next.max_tokens = 2;
    next.sampling.ignore_eos = true;
    next.on_event = [&](TokenEvent e) { if (e.finish) { other.set_value(std::move(e)); } };
    ASSERT_TRUE(engine->submit(std::move(next)).ok());
    EXPECT_EQ(other.get_future().get().finish, FinishReason::kLength);
}

TEST(LlamaRunnerErrors, WhatIsNoModelIsSaid) {
    const std::string missing = "/nonexistent/model.gguf";
    auto result = LlamaRunner::load(LlamaOptions{.model_path = missing, .on_progress = {}});
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(result.error().message.rfind("invalid model file: ", 0), 0u);
    const std::string path = std::filesystem::temp_directory_path() / ("gantry_not_a_model_" + std::to_string(getpid()));
    for (const std::string& content : {std::string(), std::string("hello"), std::string("GGUF\3\0\0\0\xff\xff\xff\xff", 12)}) {
        std::ofstream(path, std::ios::binary) << content;
        result = LlamaRunner::load(LlamaOptions{.model_path = path, .on_progress = {}});
        ASSERT_FALSE(result.ok());
        EXPECT_EQ(result.error().message.rfind("invalid model file: ", 0), 0u) << result.error().message;
        EXPECT_EQ(result.error().message.find(path), std::string::npos) << result.error().message;
        EXPECT_EQ(result.error().message.find("failed to load model"), std::string::npos) << "says nothing: " << result.error().message;
    }
    std::filesystem::remove(path);
}

}  // namespace
}  // namespace gantry::engine
