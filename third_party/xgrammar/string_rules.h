#pragma once
// JSON strings as our schemas mean them, in a grammar that XGrammar made of a JSON schema.

#include <xgrammar/xgrammar.h>

#include <cstdint>
#include <string>

namespace xgrammar {

// A `pattern` that stands for a string of min..max characters (max -1: any number). No expression of a schema is written like it.
std::string LengthMark(int64_t min, int64_t max);

// - A marked string gets its length: the first `min` characters unescaped, then a budget of `max` that counts characters as written.
//   XGrammar's own reading of lengths lets control characters through and takes milliseconds a token.
// - No string has an escape that is half a surrogate pair, which is no text and which many readers refuse.
Grammar WithStrictStrings(const Grammar& grammar);

}  // namespace xgrammar
