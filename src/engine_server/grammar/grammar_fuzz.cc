// Any bytes as a JSON schema: refused by a path, or a grammar whose every walk ends in a JSON document. The first byte seeds the walk.

#include <cstddef>
#include <cstdint>
#include <random>

#include "engine_server/grammar/grammar_for_test.h"
#include "engine_server/grammar/json_schema_check.h"

namespace {

using namespace gantry;
using namespace gantry::engine_server;
using namespace gantry::engine_server::grammar_test;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const ByteTokenizer tokenizer;
    static GrammarCompiler compiler(tokenizer, 4 << 20);
    if (size == 0) {
        return 0;
    }
    const Result<json::value> schema = parse_json({reinterpret_cast<const char*>(data + 1), size - 1});
    if (!schema) {
        return 0;
    }
    const Result<CheckedSchema> checked = check_schema(*schema, "s");
    if (!checked) {
        GANTRY_ASSERT(checked.error().param.starts_with("s") && !checked.error().reason.empty(), "a refusal has a path and a reason");
        return 0;
    }
    const Result<std::shared_ptr<const Grammar>> grammar = compiler.compile(checked->text);
    if (!grammar) {
        GANTRY_ASSERT(grammar.error().message.find("can't be made") == std::string::npos, "what was checked can be compiled, but for its size");
        return 0;
    }
    std::mt19937 random(data[0]);
    const std::string text = walk(**grammar, tokenizer, random, 40);
    // A walk may be too short for a document of many mandatory parts.
    json::parse_options options;   // parse_json() takes no numbers that no double holds, but they are JSON
    options.max_depth = kJsonDepthMax;
    json::error_code broken;
    json::parse(text, broken, {}, options);
    GANTRY_ASSERT(text.empty() || !broken, "an answer is JSON");
    return 0;
}
