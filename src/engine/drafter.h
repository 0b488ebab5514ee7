#pragma once
// Guesses of the tokens that come next, made cheaply: rows that a step has room for verify them. A wrong guess costs its row and
// never changes the answer: each token is drawn from its own row as without guesses, and what was guessed after a wrong one is
// dropped. Threads: the engine's.

#include <span>
#include <string_view>
#include <vector>

#include "engine/model_runner.h"

namespace gantry::engine {

struct DraftRequest {
    Slot slot = 0;
    std::span<const TokenId> tokens;      // of the sequence so far, prompt and answer; the last one has no KV yet
    uint32_t prompt_tokens = 0;
    uint32_t most = 0;                    // tokens to guess at most
    std::string_view salt{};              // of the cache: only sequences of the same salt may gain from each other
    std::vector<TokenId> draft{};         // out; may stay empty
};

class Drafter {
public:
    virtual ~Drafter() = default;
    // Fills the drafts of all sequences that could use some in this step.
    virtual void propose(std::span<DraftRequest> requests) = 0;
    // Another sequence will use the slot: what was kept for it is wrong from now on.
    virtual void forget(Slot slot) = 0;
    // As the model that it guesses for, where it computes itself: threads to use from now on; its memory given back, or taken again.
    virtual void set_threads(uint32_t threads) { static_cast<void>(threads); }
    virtual void set_asleep(bool asleep) { static_cast<void>(asleep); }
};

}  // namespace gantry::engine
