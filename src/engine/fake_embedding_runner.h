#pragma once
// Vectors made of arithmetic, for tests: each depends on every token of its input and on nothing else, so that an input mixed up
// with another, or cut, shows. Asserts the contract of EmbeddingRunner. Threads: as EmbeddingRunner.

#include <functional>
#include <optional>
#include <vector>

#include "engine/embedding_runner.h"

namespace gantry::engine {

struct FakeEmbeddingRunnerOptions {
    EmbeddingCapacity capacity{.input_tokens = 32, .batch_rows = 64, .batch_inputs = 16, .dimensions = 8, .vocabulary = 61};
    // Called in forward() first; an answer replaces the outcome. For errors, and to wait for the abort flag.
    std::function<std::optional<Result<ForwardOutcome>>(std::span<const EmbeddingInput>)> on_forward{};
};

class FakeEmbeddingRunner : public EmbeddingRunner {
public:
    explicit FakeEmbeddingRunner(FakeEmbeddingRunnerOptions options) : options_(std::move(options)) {}

    EmbeddingCapacity capacity() const override { return options_.capacity; }
    Result<ForwardOutcome> forward(std::span<const EmbeddingInput> inputs) override;
    std::span<const float> vector(size_t index) const override { return vectors_.at(index); }
    std::atomic<bool>& abort_flag() override { return abort_flag_; }

    static std::vector<float> vector_of(EmbeddingInput input, uint32_t dimensions);

private:
    FakeEmbeddingRunnerOptions options_;
    std::atomic<bool> abort_flag_{false};
    std::vector<std::vector<float>> vectors_;
};

}  // namespace gantry::engine
