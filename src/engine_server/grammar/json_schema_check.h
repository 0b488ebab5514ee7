#pragma once
// Which JSON schemas an answer can be held to: a bounded reading of a schema that refuses, by its path, whatever would not be
// enforced. What passes is written anew, in the few keywords whose enforcement by XGrammar we have tested; it never sees the original.
//
// Taken: type, enum, const, anyOf, oneOf (branches that provably exclude each other), allOf (of one), $ref within the schema with
// recursion; properties, required, additionalProperties; items, prefixItems, minItems, maxItems; minLength, maxLength, pattern or
// format; minimum, maximum and their exclusive forms, multipleOf of integers. Annotations (title, description, ...) are skipped.
//
// An answer is always valid against the schema, but not every valid document can be an answer:
// - an object with properties gets no others; they come in the schema's order;
// - a pattern matches the whole string; a string with a pattern or format holds no escapes; one with a length counts them as
//   written, and its first minLength characters are none;
// - numbers with bounds have up to six decimals.
// What passes may still be refused by the compiler, or end an answer with an error, where it is too ambiguous (grammar_compiler.cc).
// One thing is left open: email and hostname have the right form, whatever their length.
// Threads: any, no state.

#include <cstdint>
#include <string>

#include "base/json.h"
#include "base/result.h"

namespace gantry::engine_server {

inline constexpr size_t kSchemaBytesMax = 64 << 10;   // as compact JSON
inline constexpr int kSchemaDepthMax = 32;
inline constexpr uint32_t kSchemaNodesMax = 1'000;    // subschemas
inline constexpr uint32_t kSchemaValuesMax = 1'000;   // of enum and const, all together
inline constexpr uint64_t kSchemaCostMax = 100'000;   // an estimate, as Pattern::cost: bounds the time to compile

struct CheckedSchema {
    std::string text;  // for GrammarCompiler
};

// kInvalidArgument; its param is `path` with the way to what is refused behind it, its reason "unsupported_schema" or, for what is no
// JSON schema or can never be satisfied, "invalid_schema".
Result<CheckedSchema> check_schema(const json::value& schema, const std::string& path);

// Any JSON object: response_format json_object.
CheckedSchema any_object_schema();

}  // namespace gantry::engine_server
