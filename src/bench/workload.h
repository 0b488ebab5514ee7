#pragma once
// What is sent: prompts, and where to. Pure. A prompt is "fresh" when its text differs from the first word on from every other
// one of the same or an earlier run, so that no prefix cache can help; that is what `nonce` is for (random, or a given seed).

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "bench/bench.h"

namespace gantry::bench {

// A sentence that starts with words of its own for (nonce, index): equal for equal arguments. Among 16,384 consecutive
// indices of one nonce no two start with the same two words, and neighbours differ in the first.
std::string lead_sentence(uint64_t nonce, uint32_t index);

// For `compare`: one natural text of 300 to 400 tokens with a task at its end, behind a fresh lead.
std::string compare_prompt(uint64_t nonce, uint32_t round);

// For `bench`: a text of about `tokens` tokens (24 at least) that is fresh for (nonce, index), with a task at its end. What a chat
// template adds comes on top.
std::string own_text(uint64_t nonce, uint32_t index, uint32_t tokens);

// About `tokens` tokens to stand in front of several prompts of a run; fresh for the nonce. Empty for 0.
std::string shared_text(uint64_t nonce, uint32_t tokens);

// "http://HOST:PORT[/base]" or "unix:/path" into endpoint and base path ("/v1" when the URL names none).
Status set_url(Target& target, const std::string& url);

// "NAME=URL,model=M,key=K": what --target takes. kInvalidArgument says which part is wrong.
Result<Target> parse_target(const std::string& text);

// The same with its key replaced by "***", for reports.
std::string without_key(const std::string& target_text);

}  // namespace gantry::bench
