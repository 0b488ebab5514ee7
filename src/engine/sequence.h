#pragma once
// A sequence: one token stream, from its prompt to its end. Owned by EngineCore; plain data with a few questions answered.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "engine/engine.h"
#include "engine/sampler.h"

namespace gantry::engine {

// Another sequence computes a beginning of this one's prompt right now: wait, then share it.
struct Following {
    SequenceId leader = 0;
    Slot slot = -1;                       // the leader's
    uint32_t length = 0;                  // tokens to share
    bool whole = false;                   // the prompts are equal: both draw their first token from the leader's last row
};

struct Sequence {
    SequenceId id = 0;                    // grows with each submission: the higher, the younger
    SequenceRequest request;
    std::vector<TokenId> tokens;          // prompt, then what was generated; survives preemption
    uint32_t prompt_tokens = 0;
    TokenCounts counts;                   // kept only when a penalty needs it

    Slot slot = -1;                       // -1: waits for admission
    uint32_t computed = 0;                // tokens [0, computed) have their KV in the slot
    std::optional<Following> following;   // only while computed is 0
    std::vector<TokenId> draft;           // guesses of what comes after tokens, for this step
    double acceptance = 0.5;              // how often a guess was right, the latest ones counting most
    uint64_t admitted_step = 0;
    uint64_t last_row_step = 0;
    uint32_t lowest_computed = std::numeric_limits<uint32_t>::max();   // first position ever computed for this request

    SteadyTime submitted_at{};
    SteadyTime first_row_at{};
    SteadyTime first_token_at{};
    SteadyTime last_token_at{};

    uint32_t length() const { return static_cast<uint32_t>(tokens.size()); }
    uint32_t generated() const { return length() - prompt_tokens; }
    uint32_t remaining() const { return length() - computed; }   // rows to compute before the next token; >= 1
    uint32_t cached_tokens() const { return first_row_at == SteadyTime{} ? 0 : std::min(prompt_tokens, lowest_computed); }
};

Timings timings_of(const Sequence& sequence, SteadyTime now);

}  // namespace gantry::engine
