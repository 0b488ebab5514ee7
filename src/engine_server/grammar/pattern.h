#pragma once
// Regular expressions of JSON schemas (ECMA-262), read by us and written anew for XGrammar.
//
// XGrammar ignores what it does not know in an expression (anchors inside, lookahead), lets some of them write characters that JSON
// must escape, and gets x? and x{n,} wrong for some x. What comes out of here holds only literals, classes as explicit ranges,
// groups, alternatives, x*, x+, x{n} and x{n,m}, each in one spelling; a class has lost what may not stand unescaped in a JSON
// string; the rest is refused.
//
// The whole string must match, as if anchored: narrower than JSON Schema's search, so what is written is always valid.
// Threads: any, no state.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace gantry::engine_server {

inline constexpr size_t kPatternBytesMax = 1'000;
inline constexpr uint32_t kRepetitionMax = 128;  // more would not be unrolled, and cost milliseconds a token
inline constexpr uint64_t kPatternCostMax = 100'000;

// Of characters, repetitions written out: all of them can be alive at once in an ambiguous pattern, and cost time and memory each.
inline constexpr uint64_t kPatternPositionsMax = 2'000;

struct Pattern {
    std::string text;
    // Of compiling it, in about 10 us: for each state, what the tokens that may begin there take. kPatternCostMax at most.
    uint64_t cost = 0;
    uint64_t positions = 0;
};

// kInvalidArgument with words that continue "'path' ", without a path.
Result<Pattern> rewrite_pattern(std::string_view pattern);

// Of one state in which any text may go on.
inline constexpr uint64_t kTextCost = 800;

// What `format` asks of a string, in the same syntax; empty: no such format is enforced here.
std::string_view format_pattern(std::string_view format);

}  // namespace gantry::engine_server
