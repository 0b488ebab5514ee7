#pragma once
// What a run of `gantry bench` sends and when: lengths, arrivals, conversations, all drawn before the first request goes out, so
// that a seed repeats the run on every target. Pure.

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "bench/bench.h"

namespace gantry::bench {

struct Range {
    uint32_t least = 0;
    uint32_t most = 0;
};
// "300" or "128-1024". kInvalidArgument: anything else, 0, more than a million, the wrong way round.
Result<Range> parse_range(std::string_view text);

struct Shape {
    uint32_t concurrency = 1;       // lanes of a closed loop; of chats: users
    uint32_t requests = 1;
    Range prompt_tokens{300, 300};  // of the whole prompt, what is shared included; each length as likely as the others
    Range output_tokens{64, 64};
    uint32_t shared_tokens = 0;     // about so many equal tokens at the front ...
    double shared_share = 1;        // ... of so many of the prompts (0 to 1), which ones is drawn
    double rate = 0;                // a second: arrivals at random (Poisson), an open loop; 0: a closed loop
    uint32_t turns = 1;             // over 1: chats; the first message has prompt_tokens, later ones turn_tokens
    uint32_t turn_tokens = 40;
    uint32_t late_tokens = 0;       // over 0: one more request with so long a prompt ...
    double late_after_s = 3;        // ... so long after all others, which are sent at once
};

// kInvalidArgument: parts that exclude each other, such as chats that arrive by a rate.
Result<Workload> bench_workload(const Shape& shape, uint64_t nonce);

}  // namespace gantry::bench
