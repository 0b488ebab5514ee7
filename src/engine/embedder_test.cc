// The queue of embeddings against arithmetic: who shares a forward, who waits, who is dropped.
#include "engine/embedder.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <future>
#include <mutex>
#include <thread>

#include "engine/fake_embedding_runner.h"

namespace gantry::engine {
namespace {

std::vector<TokenId> input_of(uint32_t seed, size_t length) {
    std::vector<TokenId> tokens;
    for (size_t i = 0; i < length; ++i) {
        tokens.push_back(static_cast<TokenId>((seed * 31 + i * 7) % 61));
    }
    return tokens;
}

// Stands in the forward: keeps what each was given, and can hold it.
class Desk {
public:
    std::optional<Result<ForwardOutcome>> take(std::span<const EmbeddingInput> inputs) {
        std::unique_lock lock(mutex_);
        std::vector<size_t>& lengths = forwards_.emplace_back();
        for (const EmbeddingInput& input : inputs) {
            lengths.push_back(input.size());
        }
        changed_.notify_all();
        changed_.wait(lock, [this] { return allowed_ != 0; });
        allowed_ -= allowed_ > 0 ? 1 : 0;
        return std::exchange(next_, std::nullopt);
    }
    void open() { allow(-1); }
    void close() { allow(0); }
    void allow(int forwards) {   // negative: any number
        const std::lock_guard lock(mutex_);
        allowed_ = forwards;
        changed_.notify_all();
    }
    void answer_next(Result<ForwardOutcome> outcome) {
        const std::lock_guard lock(mutex_);
        next_ = std::move(outcome);
    }
    void wait_for_forward(size_t count) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return forwards_.size() >= count; });
    }
    std::vector<std::vector<size_t>> forwards() {
        const std::lock_guard lock(mutex_);
        return forwards_;
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    int allowed_ = -1;
    std::optional<Result<ForwardOutcome>> next_;
    std::vector<std::vector<size_t>> forwards_;
};

class EmbedderTest : public ::testing::Test {
protected:
    void start(EmbedderConfig config = {}) {
        FakeEmbeddingRunnerOptions options;
        options.on_forward = [this](std::span<const EmbeddingInput> inputs) -> std::optional<Result<ForwardOutcome>> {
            return on_forward_ ? on_forward_(inputs) : desk_.take(inputs);
        };
        auto runner = std::make_unique<FakeEmbeddingRunner>(std::move(options));
        runner_ = runner.get();
        embedder_ = Embedder::start(std::move(runner), config);
    }
    void TearDown() override { desk_.open(); }

    struct Open {
        EmbeddingJobId id = 0;
        std::future<Result<Vectors>> done;
    };
    Open submit(std::vector<std::vector<TokenId>> inputs) {
        auto promise = std::make_shared<std::promise<Result<Vectors>>>();   // shared: a std::function must be copyable
        Open open;
        open.done = promise->get_future();
        Result<EmbeddingJobId> id = embedder_->submit(
            {std::move(inputs), [promise](Result<Vectors> outcome) { promise->set_value(std::move(outcome)); }});
        EXPECT_TRUE(id.ok()) << (id ? "" : id.error().message);
        open.id = id ? *id : 0;
        return open;
    }
    Result<EmbeddingJobId> refused(std::vector<std::vector<TokenId>> inputs) {
        return embedder_->submit({std::move(inputs), [](Result<Vectors>) { FAIL() << "a refused job is not answered"; }});
    }

    Desk desk_;
    std::function<std::optional<Result<ForwardOutcome>>(std::span<const EmbeddingInput>)> on_forward_;
    FakeEmbeddingRunner* runner_ = nullptr;
    std::unique_ptr<Embedder> embedder_;
};

TEST_F(EmbedderTest, EachInputGetsItsOwnVector) {
    start();
    std::vector<std::vector<TokenId>> inputs;
    for (uint32_t i = 0; i < 100; ++i) {
        inputs.push_back(input_of(i, 1 + i % 32));
    }
    const Result<Vectors> vectors = submit(inputs).done.get();
    ASSERT_TRUE(vectors.ok());
    ASSERT_EQ(vectors->size(), inputs.size());
    for (size_t i = 0; i < inputs.size(); ++i) {
        EXPECT_EQ((*vectors)[i], FakeEmbeddingRunner::vector_of(inputs[i], 8)) << i;
    }
    const EmbedderStats stats = embedder_->stats();
    EXPECT_EQ(stats.inputs_total, 100U);
    EXPECT_EQ(stats.waiting, 0U);
}

TEST_F(EmbedderTest, ManyWaitingRequestsShareFewForwards) {
    start();
    desk_.close();
    std::vector<Open> jobs;
    jobs.push_back(submit({input_of(0, 4)}));
    desk_.wait_for_forward(1);
    for (uint32_t i = 1; i <= 32; ++i) {
        jobs.push_back(submit({input_of(i, 4)}));
    }
    desk_.open();
    for (uint32_t i = 0; i < jobs.size(); ++i) {
        const Result<Vectors> vectors = jobs[i].done.get();
        ASSERT_TRUE(vectors.ok());
        EXPECT_EQ(vectors->front(), FakeEmbeddingRunner::vector_of(input_of(i, 4), 8));
    }
    EXPECT_EQ(embedder_->stats().forwards_total, 3U) << "16 inputs of 4 tokens fill a forward of 64";
}

TEST_F(EmbedderTest, TheFirstThatWaitsGoesAndWhatFitsGoesWithIt) {
    start();
    desk_.close();
    Open first = submit({input_of(0, 1)});
    desk_.wait_for_forward(1);
    Open long_one = submit({input_of(1, 30), input_of(2, 32), input_of(3, 20)});
    Open short_one = submit({input_of(4, 2)});
    desk_.open();
    EXPECT_TRUE(long_one.done.get().ok());
    EXPECT_TRUE(short_one.done.get().ok());
    EXPECT_TRUE(first.done.get().ok());
    const std::vector<std::vector<size_t>> expected = {{1}, {30, 32, 2}, {20}};
    EXPECT_EQ(desk_.forwards(), expected);
}

TEST_F(EmbedderTest, RefusesWhatCannotBeComputed) {
    start();
    const Result<EmbeddingJobId> long_one = refused({input_of(0, 33)});
    ASSERT_FALSE(long_one.ok());
    EXPECT_EQ(long_one.error().reason, "context_length_exceeded");
    EXPECT_NE(long_one.error().message.find("33"), std::string::npos);
    EXPECT_NE(long_one.error().message.find("32"), std::string::npos);
    EXPECT_EQ(refused({}).error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(refused({{}}).error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(refused({{61}}).error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(refused({{-1}}).error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(embedder_->stats().waiting, 0U);
}

TEST_F(EmbedderTest, AFullQueueRefusesAndAnEmptyOneTakesAnything) {
    start({.queue_limit = 4});
    desk_.close();
    std::vector<std::vector<TokenId>> six;
    for (uint32_t i = 0; i < 6; ++i) {
        six.push_back(input_of(i, 3));
    }
    Open big = submit(six);
    EXPECT_EQ(refused({input_of(9, 3)}).error().code, ErrorCode::kRateLimited);
    desk_.open();
    EXPECT_TRUE(big.done.get().ok());
    EXPECT_TRUE(submit({input_of(9, 3)}).done.get().ok());
}

TEST_F(EmbedderTest, ACancelledJobIsNotComputed) {
    start();
    desk_.close();
    Open running = submit({input_of(0, 32)});
    desk_.wait_for_forward(1);
    Open unwanted = submit({input_of(1, 32), input_of(2, 32)});
    Open wanted = submit({input_of(3, 5)});
    embedder_->cancel(unwanted.id);
    embedder_->cancel(999);
    desk_.open();
    EXPECT_EQ(unwanted.done.get().error().code, ErrorCode::kCancelled);
    EXPECT_TRUE(running.done.get().ok());
    EXPECT_TRUE(wanted.done.get().ok());
    const std::vector<std::vector<size_t>> expected = {{32}, {5}};
    EXPECT_EQ(desk_.forwards(), expected);
    EXPECT_EQ(embedder_->stats().waiting, 0U);
}

TEST_F(EmbedderTest, AForwardForNobodyIsCutShort) {
    std::promise<void> begun;
    on_forward_ = [&](std::span<const EmbeddingInput>) -> std::optional<Result<ForwardOutcome>> {
        begun.set_value();
        while (!runner_->abort_flag()) {
            std::this_thread::yield();
        }
        return Result<ForwardOutcome>(ForwardOutcome::kAborted);
    };
    start();
    Open one = submit({input_of(0, 3)});
    begun.get_future().wait();
    embedder_->cancel(one.id);
    EXPECT_EQ(one.done.get().error().code, ErrorCode::kCancelled);
    EXPECT_EQ(embedder_->stats().forwards_total, 0U);
}

TEST_F(EmbedderTest, AForwardGoesOnAsLongAsItIsForSomebody) {
    start();
    desk_.close();
    Open first = submit({input_of(0, 1)});
    desk_.wait_for_forward(1);
    Open gone = submit({input_of(1, 3)});
    Open stays = submit({input_of(2, 3)});
    desk_.allow(1);
    EXPECT_TRUE(first.done.get().ok());
    desk_.wait_for_forward(2);
    embedder_->cancel(gone.id);
    EXPECT_FALSE(runner_->abort_flag());
    embedder_->cancel(stays.id);
    EXPECT_TRUE(runner_->abort_flag()) << "now it is for nobody";
    desk_.open();
    EXPECT_TRUE(stays.done.get().ok()) << "this device did not look at the flag, and what it made is kept";
}

TEST_F(EmbedderTest, AFailedForwardEndsItsJobsAndNoOthers) {
    start();
    desk_.close();
    desk_.answer_next(internal_error("the fake device is gone"));
    Open broken = submit({input_of(0, 3), input_of(1, 3)});
    desk_.wait_for_forward(1);
    Open next = submit({input_of(2, 3)});
    desk_.open();
    const Result<Vectors> outcome = broken.done.get();
    EXPECT_EQ(outcome.error().code, ErrorCode::kInternal);
    EXPECT_EQ(outcome.error().message, "the fake device is gone");
    EXPECT_TRUE(next.done.get().ok());
    EXPECT_EQ(embedder_->stats().waiting, 0U);
}

TEST_F(EmbedderTest, StoppingEndsWhatIsOpen) {
    std::promise<void> begun;
    on_forward_ = [&](std::span<const EmbeddingInput>) -> std::optional<Result<ForwardOutcome>> {
        begun.set_value();
        while (!runner_->abort_flag()) {
            std::this_thread::yield();
        }
        return Result<ForwardOutcome>(ForwardOutcome::kAborted);
    };
    start();
    Open running = submit({input_of(0, 3)});
    begun.get_future().wait();
    Open waiting = submit({input_of(1, 3)});
    embedder_.reset();
    EXPECT_EQ(running.done.get().error().code, ErrorCode::kUnavailable);
    EXPECT_EQ(waiting.done.get().error().code, ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace gantry::engine
