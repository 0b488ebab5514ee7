#include "engine/prompt_lookup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace gantry::engine {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using Tokens = std::vector<TokenId>;

struct Text {
    Slot slot = 0;
    Tokens prompt;
    Tokens answer;
    std::string salt{};
};

// One propose() for all of them; what each was given.
std::vector<Tokens> guesses(PromptLookup& lookup, const std::vector<Text>& texts, uint32_t most = 4) {
    std::vector<Tokens> all(texts.size());
    std::vector<DraftRequest> requests;
    for (size_t i = 0; i < texts.size(); ++i) {
        all[i] = texts[i].prompt;
        all[i].insert(all[i].end(), texts[i].answer.begin(), texts[i].answer.end());
        requests.push_back(DraftRequest{.slot = texts[i].slot,
                                        .tokens = all[i],
                                        .prompt_tokens = static_cast<uint32_t>(texts[i].prompt.size()),
                                        .most = most,
                                        .salt = texts[i].salt});
    }
    lookup.propose(requests);
    std::vector<Tokens> drafts;
    for (DraftRequest& request : requests) {
        drafts.push_back(std::move(request.draft));
    }
    return drafts;
}

Tokens guess(PromptLookup& lookup, const Text& text, uint32_t most = 4) { return guesses(lookup, {text}, most)[0]; }

TEST(PromptLookup, ACopyOfThePromptGoesOnAsThePrompt) {
    PromptLookup lookup;
    EXPECT_THAT(guess(lookup, {0, {1, 2, 3, 4, 5, 6, 7, 8}, {2, 3}}), ElementsAre(4));
    EXPECT_THAT(guess(lookup, {0, {1, 2, 3, 4, 5, 6, 7, 8}, {2, 3, 4}}), ElementsAre(5, 6)) << "the more agrees, the more is guessed";
    EXPECT_THAT(guess(lookup, {0, {1, 2, 3, 4, 5, 6, 7, 8}, {2, 3, 4, 5}}), ElementsAre(6, 7, 8));
    EXPECT_THAT(guess(lookup, {0, {1, 2, 3, 4, 5, 6, 7, 8}, {2, 3, 4, 5, 6}}, 1), ElementsAre(7)) << "never more than asked for";
    EXPECT_THAT(guess(lookup, {0, {1, 2, 3, 4, 5, 6, 7, 8}, {2, 3, 4, 5, 6, 9}}), IsEmpty()) << "9 never stood there";
}

TEST(PromptLookup, ARepetitionGoesOnPastTheEndOfTheText) {
    PromptLookup lookup;
    EXPECT_THAT(guess(lookup, {0, {9}, {5, 6, 7, 5, 6, 7, 5, 6}}, 7), ElementsAre(7, 5, 6, 7));
    lookup.forget(0);
    EXPECT_THAT(guess(lookup, {0, {9}, {5, 5, 5, 5}}, 3), ElementsAre(5, 5));
}

TEST(PromptLookup, MoreThatAgreesGoesFirstThenTheLatest) {
    PromptLookup lookup;
    EXPECT_THAT(guess(lookup, {0, {1, 10, 11, 50, 2, 10, 11, 60}, {1, 10, 11}}, 1), ElementsAre(50)) << "three agree";
    EXPECT_THAT(guess(lookup, {1, {1, 10, 11, 50, 2, 10, 11, 60}, {3, 10, 11}}, 1), ElementsAre(60)) << "two agree: the later";
    EXPECT_THAT(guess(lookup, {2, {1, 2, 3, 1}, {}}), IsEmpty()) << "one is not enough";
    EXPECT_THAT(guess(lookup, {3, {1}, {}}), IsEmpty());
}

TEST(PromptLookup, AnswersToAnEqualPromptTeachEachOther) {
    PromptLookup lookup;
    const Tokens prompt = {1, 2, 3, 4, 5};
    EXPECT_THAT(guess(lookup, {0, prompt, {20, 21, 22, 23, 24}}), IsEmpty());
    EXPECT_THAT(guess(lookup, {1, prompt, {}}), ElementsAre(20, 21, 22, 23)) << "from the first token on";
    EXPECT_THAT(guess(lookup, {1, prompt, {30, 21, 22}}), ElementsAre(23));
    // In one call, whichever is asked first.
    EXPECT_THAT(guesses(lookup, {{1, prompt, {30, 21, 22, 40, 41}}, {0, prompt, {20, 21, 22, 23, 24, 40, 41, 42}}})[0], ElementsAre(42));
}

TEST(PromptLookup, NothingIsLearntFromAnotherPromptOrSalt) {
    PromptLookup lookup;
    guess(lookup, {0, {1, 2, 3}, {20, 21, 22, 23}});
    EXPECT_THAT(guess(lookup, {1, {4, 2, 3}, {20, 21}}), IsEmpty());
    EXPECT_THAT(guess(lookup, {2, {1, 2, 3}, {20, 21}, "other"}), IsEmpty());
    EXPECT_THAT(guess(lookup, {3, {1, 2, 3}, {20, 21}}), ElementsAre(22, 23));
    EXPECT_THAT(guess(lookup, {4, {1, 2, 3, 20}, {21}}), IsEmpty()) << "the same tokens, another prompt";
}

TEST(PromptLookup, AnAnswerOutlivesItsSlotWhileOthersRun) {
    PromptLookup lookup;
    const Tokens prompt = {1, 2, 3};
    guess(lookup, {0, prompt, {20, 21, 22, 23}});
    guess(lookup, {1, prompt, {30}});
    lookup.forget(0);
    EXPECT_THAT(guess(lookup, {1, prompt, {30, 20, 21}}), ElementsAre(22));
    lookup.forget(1);
    EXPECT_EQ(lookup.tokens_kept(), 0u);
    EXPECT_THAT(guess(lookup, {1, prompt, {30, 20, 21}}), IsEmpty()) << "nobody ran in between";
    lookup.forget(1);
    lookup.forget(1);
    lookup.forget(77);
    EXPECT_EQ(lookup.tokens_kept(), 0u);
}

TEST(PromptLookup, AnotherSequenceInTheSlotIsNoticed) {
    PromptLookup lookup;
    guess(lookup, {0, {1, 2, 3, 4}, {20, 21, 22}});
    EXPECT_THAT(guess(lookup, {0, {5, 6, 7, 8}, {20, 21}}), IsEmpty()) << "another prompt";
    EXPECT_EQ(lookup.tokens_kept(), 6u);
    EXPECT_THAT(guess(lookup, {0, {5, 6, 7, 8}, {30, 31, 20}}), IsEmpty()) << "another answer";
    EXPECT_THAT(guess(lookup, {0, {5, 6, 7, 8}, {30, 31, 20, 30, 31}}, 1), ElementsAre(20));
    EXPECT_THAT(guess(lookup, {0, {5, 6, 7, 8}, {30, 31}}), IsEmpty()) << "a shorter answer is another one";
    EXPECT_EQ(lookup.tokens_kept(), 6u);
    EXPECT_THAT(guess(lookup, {0, {5, 6, 7}, {8, 30, 31}}), IsEmpty()) << "the prompt ends elsewhere";
}

// What a new token costs does not depend on how many there are.
TEST(PromptLookup, EachTokenIsTakenInOnce) {
    PromptLookup lookup;
    std::mt19937_64 random(3);
    Text text;
    for (int i = 0; i < 1000; ++i) {
        text.prompt.push_back(static_cast<TokenId>(random() % 500));
    }
    guess(lookup, text);
    const auto after_prompt = lookup.work();
    EXPECT_LE(after_prompt.put, 3u * 1000);
    uint64_t first_half = 0;
    for (int step = 0; step < 6000; ++step) {
        text.answer.push_back(static_cast<TokenId>(random() % 500));
        if (step % 3 == 0) {
            text.answer.push_back(static_cast<TokenId>(random() % 500));
        }
        const uint64_t before = lookup.work().put;
        guess(lookup, text, 2);
        ASSERT_LE(lookup.work().put - before, 6u) << "step " << step;
        if (step == 2999) {
            first_half = lookup.work().probed + lookup.work().compared;
        }
    }
    const uint64_t all = lookup.work().probed + lookup.work().compared;
    EXPECT_LT(static_cast<double>(all - first_half), 2.5 * static_cast<double>(first_half)) << "hash chains stay short";
}

TEST(PromptLookup, ALongPromptIsTakenInOverSeveralCalls) {
    PromptLookup lookup({.longest = 4, .shortest = 2, .call_tokens_max = 100, .tokens_max = 1000});
    Text text;
    for (TokenId i = 0; i < 350; ++i) {
        text.prompt.push_back(i);
    }
    text.answer = {300, 301};
    uint32_t calls = 1;
    for (; guess(lookup, text).empty(); ++calls) {
        ASSERT_LE(lookup.work().put, 300u * calls);
        ASSERT_LT(calls, 10u);
    }
    EXPECT_EQ(calls, 4u);
    EXPECT_THAT(guess(lookup, text, 3), ElementsAre(302));
}

TEST(PromptLookup, WhatIsKeptIsBounded) {
    PromptLookup lookup({.longest = 4, .shortest = 2, .call_tokens_max = 8192, .tokens_max = 500});
    Text first{0, Tokens(300, 1), {}};
    Text second{1, Tokens(300, 2), {}};
    EXPECT_THAT(guess(lookup, first, 1), ElementsAre(1));
    EXPECT_THAT(guess(lookup, second, 1), IsEmpty()) << "no room";
    first.answer.assign(900, 1);
    EXPECT_THAT(guess(lookup, first, 1), ElementsAre(1));
    EXPECT_EQ(lookup.tokens_kept(), 500u);
    lookup.forget(0);
    EXPECT_THAT(guess(lookup, second, 1), ElementsAre(2)) << "room again";
    EXPECT_EQ(lookup.tokens_kept(), 300u);
}

// One prompt that is asked on and on, always by two at a time: the answers that ended do not pile up.
TEST(PromptLookup, EndedAnswersAreDroppedInTime) {
    PromptLookup lookup;
    const Tokens prompt = {1, 2, 3};
    size_t most_kept = 0;
    for (TokenId i = 0; i < 1000; ++i) {
        Text text{i % 2, prompt, {}};
        lookup.forget(text.slot);
        for (TokenId t = 0; t < 10; ++t) {
            text.answer.push_back(10 * i + t + 10);
        }
        guess(lookup, text);
        most_kept = std::max(most_kept, lookup.tokens_kept());
        text.answer.insert(text.answer.end(), text.answer.begin(), text.answer.begin() + 3);
        ASSERT_THAT(guess(lookup, text, 2), ElementsAre(text.answer[3], text.answer[4])) << "round " << i;
    }
    EXPECT_LE(most_kept, 3u + 66 * 13);
}

// Whatever happens, each guess has stood after the same two tokens in a text of the same prompt and salt.
TEST(PromptLookup, GuessesStoodSomewhereBefore) {
    std::mt19937_64 random(12);
    PromptLookup lookup;
    const std::vector<Tokens> prompts = {{1, 2, 3, 1, 2, 4}, {3, 2, 1, 2, 3, 4}, {1, 1, 2, 2}};
    struct Seen {
        Tokens prompt;
        std::string salt;
        Tokens all;
    };
    std::vector<Seen> seen;
    std::vector<Text> texts(6);
    uint64_t guessed = 0;
    for (int round = 0; round < 4000; ++round) {
        for (size_t i = 0; i < texts.size(); ++i) {
            Text& text = texts[i];
            if (text.prompt.empty() || random() % 50 == 0) {
                if (random() % 2 == 0) {
                    lookup.forget(static_cast<Slot>(i));
                }
                text = Text{static_cast<Slot>(i), prompts[random() % 3], {}, random() % 2 == 0 ? "a" : "b"};
            }
            text.answer.push_back(static_cast<TokenId>(random() % 6));
            Tokens all = text.prompt;
            all.insert(all.end(), text.answer.begin(), text.answer.end());
            seen.push_back(Seen{text.prompt, text.salt, std::move(all)});
        }
        const auto drafts = guesses(lookup, texts, 1);
        for (size_t i = 0; i < texts.size(); ++i) {
            if (drafts[i].empty()) {
                continue;
            }
            ++guessed;
            const Tokens& own = seen[seen.size() - texts.size() + i].all;
            const Tokens expected = {own[own.size() - 2], own[own.size() - 1], drafts[i][0]};
            const bool stood = std::any_of(seen.rbegin(), seen.rend(), [&](const Seen& other) {
                return other.prompt == texts[i].prompt && other.salt == texts[i].salt &&
                       std::search(other.all.begin(), other.all.end(), expected.begin(), expected.end()) != other.all.end();
            });
            ASSERT_TRUE(stood) << "round " << round;
        }
    }
    EXPECT_GT(guessed, 10000u);
}

}  // namespace
}  // namespace gantry::engine
