#include "engine/draft_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <random>

#include "engine/fake_runner.h"

namespace gantry::engine {
namespace {

using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::IsEmpty;

using Tokens = std::vector<TokenId>;

Tokens counted(uint32_t from, uint32_t count) {
    Tokens tokens;
    for (uint32_t i = 0; i < count; ++i) {
        tokens.push_back(static_cast<TokenId>((from + i * 7) % 61));
    }
    return tokens;
}

struct Drafting {
    explicit Drafting(FakeRunnerOptions fake = {}, const DraftModelOptions& draft = {}) : options(std::move(fake)) {
        auto runner = std::make_unique<FakeRunner>(options);
        fake_runner = runner.get();
        auto made = DraftModel::make(std::move(runner), FakeRunner(options), draft);
        model = std::move(made).value();
    }
    // What the model answers to these tokens without temperature, up to an end of generation.
    Tokens expected(const Tokens& tokens, uint32_t most) const {
        SequenceRequest request;
        request.prompt = tokens;
        request.sampling.temperature = 0;
        request.max_tokens = most;
        return most == 0 ? Tokens{} : FakeRunner::expected(request, options).tokens;
    }
    // One call for sequences in the slots 0, 1, ...; what each was given, and the rows that it took.
    std::vector<Tokens> propose(const std::vector<Tokens>& sequences, uint32_t most = 4, const std::string& salt = {}) {
        std::vector<DraftRequest> requests;
        for (size_t i = 0; i < sequences.size(); ++i) {
            requests.push_back(DraftRequest{.slot = static_cast<Slot>(i), .tokens = sequences[i], .prompt_tokens = 1, .most = most,
                                            .salt = salt});
        }
        const uint64_t before = fake_runner->rows_computed();
        model->propose(requests);
        rows = fake_runner->rows_computed() - before;
        std::vector<Tokens> drafts;
        for (DraftRequest& request : requests) {
            drafts.push_back(std::move(request.draft));
        }
        return drafts;
    }

    FakeRunnerOptions options;
    FakeRunner* fake_runner = nullptr;
    std::unique_ptr<DraftModel> model;
    uint64_t rows = 0;
};

TEST(DraftModel, GuessesTheGreedyContinuationForAllAtOnce) {
    Drafting drafting;
    const std::vector<Tokens> sequences = {counted(1, 10), counted(2, 3), counted(3, 1)};
    const auto drafts = drafting.propose(sequences, 9);
    for (size_t i = 0; i < sequences.size(); ++i) {
        EXPECT_THAT(drafts[i], ElementsAreArray(drafting.expected(sequences[i], 4))) << i << ", and no more than guesses_max";
    }
    EXPECT_EQ(drafting.rows, 10u + 3 + 1 + 3 * 3) << "the last guess is not computed";
}

TEST(DraftModel, ComputesOnlyWhatItLacks) {
    Drafting drafting;
    Tokens tokens = counted(1, 40);
    const Tokens first = drafting.propose({tokens})[0];
    tokens.insert(tokens.end(), first.begin(), first.end());
    tokens.push_back(5);   // all four were right, and one more came
    EXPECT_THAT(drafting.propose({tokens})[0], ElementsAreArray(drafting.expected(tokens, 4)));
    EXPECT_EQ(drafting.rows, 2u + 3);
    tokens.push_back(9);   // none was right
    EXPECT_THAT(drafting.propose({tokens})[0], ElementsAreArray(drafting.expected(tokens, 4)));
    EXPECT_EQ(drafting.rows, 1u + 3);
    EXPECT_THAT(drafting.propose({tokens})[0], ElementsAreArray(drafting.expected(tokens, 4))) << "asked again";
    EXPECT_EQ(drafting.rows, 1u + 3);
}

TEST(DraftModel, ASlotMayBeGivenToAnother) {
    Drafting drafting;
    (void)drafting.propose({counted(1, 40)});
    EXPECT_THAT(drafting.propose({counted(9, 20)})[0], ElementsAreArray(drafting.expected(counted(9, 20), 4))) << "without a word";
    drafting.model->forget(0);
    drafting.model->forget(0);
    drafting.model->forget(99);
    EXPECT_EQ(drafting.fake_runner->cells_used(), 0u);
    EXPECT_THAT(drafting.propose({counted(9, 20)})[0], ElementsAreArray(drafting.expected(counted(9, 20), 4)));
}

TEST(DraftModel, ALongPromptTakesSeveralBoundedCalls) {
    Drafting drafting({}, {.call_rows_max = 50, .failures_max = 3});
    Tokens running = counted(2, 5);
    const Tokens fresh = counted(1, 170);
    int calls = 0;
    Tokens draft;
    for (; draft.empty(); ++calls) {
        running.push_back(static_cast<TokenId>(calls));
        const auto drafts = drafting.propose({fresh, running});
        EXPECT_THAT(drafts[1], ElementsAreArray(drafting.expected(running, 4))) << "who lacks little is not held up";
        EXPECT_LE(drafting.rows, 50u);
        draft = drafts[0];
        ASSERT_LT(calls, 10);
    }
    EXPECT_EQ(calls, 4);
    EXPECT_THAT(draft, ElementsAreArray(drafting.expected(fresh, 4)));
}

TEST(DraftModel, EqualPromptsAreComputedOnce) {
    Drafting drafting;
    const Tokens prompt = counted(1, 40);
    const std::vector<Tokens> six(6, prompt);
    (void)drafting.propose(six, 2);
    EXPECT_EQ(drafting.rows, 40u + 1) << "the others wait";
    const auto drafts = drafting.propose(six, 2);
    EXPECT_EQ(drafting.rows, 6u * 2);
    for (const Tokens& draft : drafts) {
        EXPECT_THAT(draft, ElementsAreArray(drafting.expected(prompt, 2)));
    }
    Drafting apart;
    (void)apart.propose({prompt}, 2, "a");
    std::vector<DraftRequest> other = {DraftRequest{.slot = 1, .tokens = prompt, .prompt_tokens = 40, .most = 2, .salt = "b"}};
    const uint64_t before = apart.fake_runner->rows_computed();
    apart.model->propose(other);
    EXPECT_EQ(apart.fake_runner->rows_computed() - before, 41u) << "another salt takes nothing over";
    EXPECT_THAT(other[0].draft, ElementsAreArray(apart.expected(prompt, 2)));
    FakeRunnerOptions alone;
    alone.can_share = false;
    Drafting cannot(alone);
    (void)cannot.propose(six, 2);
    for (int i = 0; i < 2; ++i) {
        for (const Tokens& draft : cannot.propose(six, 2)) {
            EXPECT_TRUE(i == 0 || !draft.empty());
        }
    }
    EXPECT_THAT(cannot.propose(six, 2)[5], ElementsAreArray(cannot.expected(prompt, 2)));
}

TEST(DraftModel, SmallBatchesAndFewLogitRows) {
    FakeRunnerOptions fake;
    fake.capacity.batch_rows = 4;
    fake.capacity.logit_rows = 2;
    fake.on_forward = [](const Batch& batch) -> std::optional<Result<ForwardOutcome>> {
        EXPECT_LE(std::count_if(batch.begin(), batch.end(), [](const BatchRow& row) { return row.wants_logits; }), 2);
        return std::nullopt;
    };
    Drafting drafting(fake);
    const std::vector<Tokens> sequences = {counted(1, 9), counted(2, 3), counted(3, 1), counted(4, 6), counted(5, 2)};
    const auto drafts = drafting.propose(sequences, 3);
    for (size_t i = 0; i < sequences.size(); ++i) {
        EXPECT_THAT(drafts[i], ElementsAreArray(drafting.expected(sequences[i], 3))) << i;
    }
}

TEST(DraftModel, AnEndOfGenerationIsNoGuess) {
    FakeRunnerOptions fake;
    for (TokenId token = 0; token < 61; token += 3) {
        fake.end_tokens.push_back(token);
    }
    Drafting drafting(fake);
    size_t shortened = 0;
    for (uint32_t i = 0; i < 30; ++i) {
        const Tokens draft = drafting.propose({counted(i, 6)}, 4)[0];
        EXPECT_THAT(draft, ElementsAreArray(drafting.expected(counted(i, 6), 4)));
        shortened += draft.size() < 4 ? 1 : 0;
    }
    EXPECT_GT(shortened, 5u);
}

TEST(DraftModel, WithoutRoomItGuessesLessAndRecovers) {
    FakeRunnerOptions fake;
    fake.capacity.context_tokens = 60;
    Drafting drafting(fake);
    (void)drafting.propose({counted(1, 25), counted(2, 25)});
    // The first alone: the other's context makes room, for the next call at the latest.
    Tokens grown = counted(1, 50);
    (void)drafting.propose({grown});
    EXPECT_THAT(drafting.propose({grown})[0], ElementsAreArray(drafting.expected(grown, 4)));
    // Both are asked for and don't fit: each call ends, and once one is gone the other is served.
    for (int i = 0; i < 3; ++i) {
        (void)drafting.propose({counted(1, 50), counted(2, 30)});
    }
    drafting.model->forget(0);
    EXPECT_THAT(drafting.propose({{}, counted(2, 30)})[1], ElementsAreArray(drafting.expected(counted(2, 30), 4)));
    // No position past the context, and none too long at all.
    const Tokens nearly = counted(3, 59);
    drafting.model->forget(1);
    EXPECT_THAT(drafting.propose({nearly})[0], ElementsAreArray(drafting.expected(nearly, 1)));
    EXPECT_THAT(drafting.propose({counted(3, 61)})[0], IsEmpty());
}

TEST(DraftModel, ErrorsAndAbortsCostGuessesOnly) {
    std::optional<Result<ForwardOutcome>> answer;
    FakeRunnerOptions fake;
    fake.on_forward = [&](const Batch&) { return answer; };
    Drafting drafting(fake);
    const Tokens tokens = counted(1, 20);
    const auto right = ElementsAreArray(drafting.expected(tokens, 4));
    answer = ForwardOutcome::kAborted;
    EXPECT_THAT(drafting.propose({tokens})[0], IsEmpty());
    answer.reset();
    EXPECT_THAT(drafting.propose({tokens})[0], right);
    for (int i = 0; i < 10; ++i) {   // never three in a row
        answer = internal_error("planted");
        Tokens grown = tokens;
        grown.push_back(i);
        EXPECT_THAT(drafting.propose({grown})[0], IsEmpty());
        answer.reset();
        EXPECT_THAT(drafting.propose({tokens})[0], right);
    }
    answer = internal_error("planted");
    for (int i = 0; i < 3; ++i) {
        EXPECT_THAT(drafting.propose({tokens})[0], IsEmpty());
    }
    answer.reset();
    EXPECT_THAT(drafting.propose({tokens})[0], IsEmpty()) << "it is not asked again";
}

TEST(DraftModel, OnlyAModelThatCanDraftIsTaken) {
    const FakeRunner target{FakeRunnerOptions{}};
    FakeRunnerOptions smaller;
    smaller.capacity.vocabulary = 60;
    FakeRunnerOptions other_end;
    other_end.end_tokens = {4};
    FakeRunnerOptions recurrent;
    recurrent.capacity.sharing = PrefixSharing::kWhole;
    const std::pair<FakeRunnerOptions, const char*> cases[] = {
        {smaller, "has 60 tokens"}, {other_end, "the token 4 ends"}, {recurrent, "can't be cut"}};
    for (const auto& [options, text] : cases) {
        const auto made = DraftModel::make(std::make_unique<FakeRunner>(options), target);
        ASSERT_FALSE(made.ok());
        EXPECT_EQ(made.error().code, ErrorCode::kInvalidArgument);
        EXPECT_THAT(made.error().message, HasSubstr(text));
    }
}

// Sequences that come, grow by what was right and a token, go, and are forgotten or not: every guess is the model's own answer.
TEST(DraftModel, GuessesStayRightThroughRollbacksAndReuse) {
    std::mt19937_64 random(4);
    FakeRunnerOptions fake;
    fake.capacity.context_tokens = 400;
    fake.capacity.batch_rows = 16;
    Drafting drafting(fake, {.call_rows_max = 60, .failures_max = 3});
    std::vector<Tokens> sequences(6);
    uint64_t guessed = 0;
    for (int round = 0; round < 2000; ++round) {
        for (size_t i = 0; i < sequences.size(); ++i) {
            if (sequences[i].empty() || sequences[i].size() > 90 || random() % 40 == 0) {
                if (random() % 2 == 0) {
                    drafting.model->forget(static_cast<Slot>(i));
                }
                sequences[i] = counted(static_cast<uint32_t>(random() % 3), static_cast<uint32_t>(1 + random() % 60));
            }
        }
        const auto drafts = drafting.propose(sequences, 1 + static_cast<uint32_t>(random() % 5));
        ASSERT_LE(drafting.rows, 60u);
        for (size_t i = 0; i < sequences.size(); ++i) {
            const Tokens expected = drafting.expected(sequences[i], static_cast<uint32_t>(drafts[i].size()));
            ASSERT_THAT(drafts[i], ElementsAreArray(expected)) << "round " << round;
            guessed += drafts[i].size();
            const auto right = static_cast<std::ptrdiff_t>(drafts[i].empty() ? 0 : random() % (drafts[i].size() + 1));
            sequences[i].insert(sequences[i].end(), drafts[i].begin(), drafts[i].begin() + right);
            sequences[i].push_back(static_cast<TokenId>(random() % 61));
        }
    }
    EXPECT_GT(guessed, 10000u);
}

}  // namespace
}  // namespace gantry::engine
