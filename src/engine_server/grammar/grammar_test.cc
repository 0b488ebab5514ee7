// Grammars over real vocabularies: whatever tokens are taken among the allowed, the text is JSON and valid against the schema.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "engine_server/grammar/grammar_for_test.h"
#include "engine_server/grammar/json_schema_check.h"

namespace gantry::engine_server {
namespace {

using namespace grammar_test;

// The vocabularies that llama.cpp's source package brings along: bytes as fallback with spaces as ▁, and GPT-2's bytes.
class GrammarTest : public testing::Test {
protected:
    static const Vocabulary* sentencepiece() { return loaded("llama-spm"); }
    static const Vocabulary* bytes() { return loaded("gpt-2"); }

    static const Vocabulary* loaded(const std::string& name) {
        static std::map<std::string, std::optional<Vocabulary>> vocabularies;
        const auto [found, fresh] = vocabularies.try_emplace(name);
        if (fresh) {
            found->second = load_vocabulary(std::string(GANTRY_VOCABULARIES) + "/ggml-vocab-" + name + ".gguf");
        }
        return found->second ? &*found->second : nullptr;
    }
};

std::shared_ptr<const Grammar> compiled(GrammarCompiler& compiler, const std::string& schema) {
    const Result<json::value> parsed = parse_json(schema);
    const Result<CheckedSchema> checked = check_schema(*parsed, "schema");
    EXPECT_TRUE(checked.ok()) << schema << ": " << (checked ? "" : checked.error().message);
    if (!checked) {
        return nullptr;
    }
    Result<std::shared_ptr<const Grammar>> grammar = compiler.compile(checked->text);
    EXPECT_TRUE(grammar.ok()) << schema;
    return grammar ? *grammar : nullptr;
}

void expect_valid_walks(const Vocabulary& vocabulary, GrammarCompiler& compiler, const std::string& schema, std::mt19937& random,
                        int walks) {
    const std::shared_ptr<const Grammar> grammar = compiled(compiler, schema);
    ASSERT_NE(grammar, nullptr);
    const json::value parsed = *parse_json(schema);
    for (int i = 0; i < walks; ++i) {
        const std::string text = walk(*grammar, *vocabulary.tokenizer, random, 60);
        ASSERT_FALSE(text.empty()) << "a dead end in " << schema;
        const Result<json::value> document = parse_json(text);
        if (!document && document.error().message.find("exponent overflow") != std::string::npos) {
            continue;  // JSON, but our reader has a limit there
        }
        ASSERT_TRUE(document.ok()) << schema << "\nmade " << text << "\n" << document.error().message;
        ASSERT_TRUE(Validator(parsed).valid(*document)) << schema << "\nmade " << text;
    }
}

TEST_F(GrammarTest, EachKeywordHolds) {
    const char* schemas[] = {
        R"({})",
        R"({"type":"object"})",
        R"({"type":["string","null","boolean"]})",
        R"({"type":"integer","minimum":-3,"maximum":250})",
        R"({"type":"integer","exclusiveMinimum":99,"maximum":100000})",
        R"({"type":"integer","maximum":-7})",
        R"({"type":"integer","multipleOf":7})",
        R"({"type":"integer","minimum":-20,"maximum":20,"multipleOf":6})",
        R"({"type":"number","exclusiveMinimum":0.5,"maximum":2.25})",
        R"({"type":"number","minimum":-1})",
        R"({"type":"number","minimum":1.5,"maximum":1.5})",
        R"({"type":"string","minLength":2,"maxLength":5})",
        R"({"type":"string","minLength":3})",
        R"({"type":"string","maxLength":300})",
        R"({"type":"string","pattern":"^[A-Z]{2}-[0-9]{3}$"})",
        R"({"type":"string","pattern":"^(ab|cd)+x?$"})",
        R"({"type":"string","pattern":"[^a-z]{0,99}"})",
        R"({"type":"string","minLength":5,"maxLength":5})",
        R"({"type":"string","maxLength":0})",
        R"({"type":"string","pattern":".+@.+"})",
        R"({"enum":["a/b","é\"\n",1,2.5,null,true,{"title":[1]},[]]})",
        R"({"const":{"a":{"b":[1,2]}}})",
        R"({"type":"array","items":{"type":"integer","minimum":0,"maximum":9},"minItems":2,"maxItems":4})",
        R"({"type":"array","items":{"type":"boolean"},"minItems":150,"maxItems":160})",
        R"({"type":"array","prefixItems":[{"type":"string","maxLength":2},{"type":"null"}],"items":{"type":"boolean"},"minItems":1,"maxItems":4})",
        R"({"prefixItems":[{"const":1},{"const":2}]})",
        R"({"type":"array","maxItems":0})",
        R"({"properties":{"a":{"type":"null"},"b":{"type":"null"},"c":{"type":"null"}},"required":["b"]})",
        R"({"properties":{"a":{"type":"null"},"b":{"type":"null"}}})",
        R"({"type":"object","additionalProperties":{"type":"integer","minimum":0}})",
        R"({"type":"object","additionalProperties":false})",
        R"({"oneOf":[{"properties":{"k":{"const":"a"},"v":{"type":"null"}},"required":["k","v"]},
                     {"properties":{"k":{"const":"b"},"v":{"type":"boolean"}},"required":["k","v"]}]})",
        R"({"properties":{"value":{"enum":[0,1]},"next":{"anyOf":[{"$ref":"#"},{"type":"null"}]}},"required":["value","next"]})",
        R"({"$defs":{"tree":{"type":"array","items":{"$ref":"#/$defs/tree"},"maxItems":3}},"$ref":"#/$defs/tree"})",
    };
    std::mt19937 random(1);
    for (const Vocabulary* vocabulary : {sentencepiece(), bytes()}) {
        ASSERT_NE(vocabulary, nullptr) << GANTRY_VOCABULARIES;
        GrammarCompiler compiler(*vocabulary->tokenizer);
        for (const char* schema : schemas) {
            expect_valid_walks(*vocabulary, compiler, schema, random, 5);
            if (HasFatalFailure()) {
                return;
            }
        }
    }
}

// XGrammar's own reading of this takes the two inner schemas for one, because a property called "title" looks like an annotation.
TEST_F(GrammarTest, PropertiesNamedLikeAnnotationsAreProperties) {
    ASSERT_NE(sentencepiece(), nullptr);
    GrammarCompiler compiler(*sentencepiece()->tokenizer);
    std::mt19937 random(2);
    const std::string schema = R"({"properties":{
        "a":{"properties":{"title":{"type":"null"},"description":{"const":1}},"required":["title","description"]},
        "b":{"properties":{"title":{"type":"boolean"},"description":{"const":2}},"required":["title","description"]}},
        "required":["a","b"]})";
    expect_valid_walks(*sentencepiece(), compiler, schema, random, 10);
}

// It also writes names without escapes when it looks whether it knows a schema.
TEST_F(GrammarTest, NamesThatLookLikeSchemasAreNames) {
    ASSERT_NE(bytes(), nullptr);
    GrammarCompiler compiler(*bytes()->tokenizer);
    std::mt19937 random(5);
    expect_valid_walks(*bytes(), compiler, R"({"prefixItems":[{"const":{"a":1,"b":2}},{"const":{"a\":1,\"b":2}},{"const":{"a\\":1}},
        {"enum":[{"a":1}]},{"enum":[{"a":1},{"b":2}]},{"enum":[{"a\":1},{\"b":2}]},
        {"properties":{"x":{"enum":[[1]]},"y":{"type":"null"}},"required":["x","y"]},
        {"properties":{"x\":{\"!mark\":5,\"enum\":[[1]]},\"y":{"type":"null"}},"required":["x\":{\"!mark\":5,\"enum\":[[1]]},\"y"]},
        {"properties":{"x\":{\"enum\":[[1]],\"mark\":5},\"y":{"type":"null"}},"required":["x\":{\"enum\":[[1]],\"mark\":5},\"y"]}],
        "minItems":9})", random, 5);
}

TEST_F(GrammarTest, FormatsAreOfTheirKind) {
    ASSERT_NE(sentencepiece(), nullptr);
    GrammarCompiler compiler(*sentencepiece()->tokenizer);
    std::mt19937 random(3);
    const std::pair<const char*, const char*> formats[] = {
        {"date", "^\"[0-9]{4}-[0-9]{2}-[0-9]{2}\"$"},
        {"time", "^\"[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})\"$"},
        {"date-time", "^\"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|[+-][0-9:]{5})\"$"},
        {"duration", "^\"P[0-9DMYTHSW]+\"$"},
        {"email", "^\"[^@\" ]+@[^@\" ]+\"$"},
        {"hostname", "^\"[a-zA-Z0-9.-]+\"$"},
        {"ipv4", "^\"([0-9]{1,3}\\.){3}[0-9]{1,3}\"$"},
        {"ipv6", "^\"[0-9a-f:]+\"$"},
        {"uuid", "^\"[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}\"$"},
    };
    for (const auto& [format, pattern] : formats) {
        const auto grammar = compiled(compiler, std::string(R"({"type":"string","format":")") + format + "\"}");
        ASSERT_NE(grammar, nullptr);
        for (int i = 0; i < 10; ++i) {
            const std::string text = walk(*grammar, *sentencepiece()->tokenizer, random, 60);
            regex_t compiled_pattern;
            ASSERT_EQ(regcomp(&compiled_pattern, pattern, REG_EXTENDED), 0);
            EXPECT_EQ(regexec(&compiled_pattern, text.c_str(), 0, nullptr, 0), 0) << format << ": " << text;
            regfree(&compiled_pattern);
        }
    }
}

// Any expression over a, b and c; in a form that POSIX reads too.
std::string random_pattern(std::mt19937& random, int depth) {
    static const char* kAtoms[] = {"a", "b", "c", "[ab]", "[bc]", "[a-c]"};
    static const char* kCounts[] = {"?", "*", "+", "{2}", "{0,2}", "{1,3}", "{2,}", "{0,}"};
    const auto below = [&random](uint32_t limit) { return static_cast<uint32_t>(random()) % limit; };
    const uint32_t kind = depth == 0 ? 0 : below(4);
    switch (kind) {
        case 0: return kAtoms[below(6)];
        case 1: return random_pattern(random, depth - 1) + random_pattern(random, depth - 1);
        case 2: return "(" + random_pattern(random, depth - 1) + "|" + random_pattern(random, depth - 1) + ")";
        default: return "(" + random_pattern(random, depth - 1) + ")" + kCounts[below(8)];
    }
}

// XGrammar's own automata accept more than some of these: (a|a{1,3}) took aaaa, ([ab]c*)? took c, (a{2,}|b){2,} took ab.
TEST(GrammarPatterns, AcceptExactlyTheirStrings) {
    const ByteTokenizer tokenizer;
    GrammarCompiler compiler(tokenizer);
    std::vector<std::string> strings = {""};
    for (size_t i = 0; i < strings.size() && strings[i].size() < 4; ++i) {
        for (const char c : {'a', 'b', 'c'}) {
            strings.push_back(strings[i] + c);
        }
    }
    std::mt19937 random(5);
    std::vector<std::string> patterns = {"(a|a{1,3})", "([ab]c*)?", "(a{2,}|b){2,}", "(a{0,2}|b|bc)?", "((ba[bc]+)?){2,}", "a{3,}b?"};
    while (patterns.size() < 300) {
        patterns.push_back(random_pattern(random, 4));
    }
    for (const std::string& pattern : patterns) {
        const auto grammar = compiled(compiler, json::serialize(json::object{{"type", "string"}, {"pattern", pattern}}));
        ASSERT_NE(grammar, nullptr);
        regex_t expression;
        ASSERT_EQ(regcomp(&expression, ("^(" + pattern + ")$").c_str(), REG_EXTENDED | REG_NOSUB), 0) << pattern;
        for (const std::string& text : strings) {
            const bool expected = regexec(&expression, text.c_str(), 0, nullptr, 0) == 0;
            ASSERT_EQ(takes(*grammar, tokenizer, "\"" + text + "\""), expected) << pattern << " and " << text;
        }
        regfree(&expression);
    }
}

TEST(GrammarRanges, AcceptExactlyTheirIntegers) {
    const ByteTokenizer tokenizer;
    GrammarCompiler compiler(tokenizer);
    std::mt19937 random(6);
    for (int round = 0; round < 40; ++round) {
        const int64_t low = static_cast<int64_t>(random() % 2'400) - 1'200;
        const int64_t high = low + static_cast<int64_t>(random() % 1'500);
        json::object schema{{"type", "integer"}};
        if (round % 4 != 0) {
            schema["minimum"] = low;
        }
        if (round % 4 != 1) {
            schema["maximum"] = high;
        }
        const auto grammar = compiled(compiler, json::serialize(schema));
        ASSERT_NE(grammar, nullptr);
        for (int64_t number = -2'800; number <= 2'800; number += 1 + static_cast<int64_t>(random() % 3)) {
            const bool expected = (round % 4 == 0 || number >= low) && (round % 4 == 1 || number <= high);
            ASSERT_EQ(takes(*grammar, tokenizer, std::to_string(number)), expected) << json::serialize(schema) << " and " << number;
        }
        EXPECT_FALSE(takes(*grammar, tokenizer, "")) << json::serialize(schema);
        EXPECT_FALSE(takes(*grammar, tokenizer, "007"));
    }
}

TEST(GrammarRanges, AcceptExactlyTheirNumbers) {
    const ByteTokenizer tokenizer;
    GrammarCompiler compiler(tokenizer);
    std::mt19937 random(7);
    for (int round = 0; round < 40; ++round) {
        // In hundredths, so that the expected answer is exact.
        const int64_t low = static_cast<int64_t>(random() % 2'400) - 1'200;
        const int64_t high = low + 1 + static_cast<int64_t>(random() % 1'500);
        const bool open = round % 2 == 0;
        const json::object schema{{"type", "number"},
                                  {open ? "exclusiveMinimum" : "minimum", static_cast<double>(low) / 100},
                                  {open ? "exclusiveMaximum" : "maximum", static_cast<double>(high) / 100}};
        const auto grammar = compiled(compiler, json::serialize(schema));
        ASSERT_NE(grammar, nullptr);
        for (int64_t number = -1'500; number <= 3'000; number += 1 + static_cast<int64_t>(random() % 3)) {
            const bool expected = open ? number > low && number < high : number >= low && number <= high;
            const std::string text = fmt::format("{:.2f}", static_cast<double>(number) / 100);
            ASSERT_EQ(takes(*grammar, tokenizer, text), expected) << json::serialize(schema) << " and " << text;
        }
        EXPECT_FALSE(takes(*grammar, tokenizer, ""));
    }
}

TEST_F(GrammarTest, EndsWithTheDocument) {
    ASSERT_NE(bytes(), nullptr);
    const Tokenizer& tokenizer = *bytes()->tokenizer;
    GrammarCompiler compiler(tokenizer);
    const auto constraint = compiled(compiler, R"({"const":"x"})")->start();
    const auto take = [&](const std::string& text) { return constraint->accept(tokenizer.tokenize(text, false)->at(0)); };
    EXPECT_TRUE(take("\""));
    EXPECT_FALSE(take("y"));
    EXPECT_TRUE(take("x")) << "a refused token changes nothing";
    EXPECT_TRUE(take("\""));
    const std::vector<engine::TokenId> left = tokens_of(constraint->allowed());
    ASSERT_FALSE(left.empty());
    for (const engine::TokenId token : left) {
        EXPECT_TRUE(tokenizer.is_end(token)) << token;
    }
    EXPECT_FALSE(constraint->accept(-1));
    EXPECT_FALSE(constraint->accept(static_cast<engine::TokenId>(tokenizer.size())));
    EXPECT_TRUE(constraint->accept(left[0]));
    EXPECT_TRUE(tokens_of(constraint->allowed()).empty());
    EXPECT_FALSE(constraint->accept(left[0]));
}

TEST_F(GrammarTest, SequencesOfOneGrammarDoNotSeeEachOther) {
    ASSERT_NE(bytes(), nullptr);
    GrammarCompiler compiler(*bytes()->tokenizer);
    const auto grammar = compiled(compiler, R"({"type":"object"})");
    const auto first = grammar->start();
    const std::vector<engine::TokenId> at_start = tokens_of(first->allowed());
    ASSERT_TRUE(first->accept(at_start[0]));
    EXPECT_EQ(tokens_of(grammar->start()->allowed()), at_start);
}

TEST_F(GrammarTest, ACacheOfBoundedSizeKeepsWhatIsUsed) {
    ASSERT_NE(bytes(), nullptr);
    const auto schema = [](int i) { return R"({"$ref":"#/$defs/0","$defs":{"0":{"enum":["value-)" + std::to_string(i) + R"("]}}})"; };
    GrammarCompiler measuring(*bytes()->tokenizer);
    const size_t one = (*measuring.compile(schema(0)))->bytes() + schema(0).size();
    GrammarCompiler compiler(*bytes()->tokenizer, one * 7 / 2);
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(compiler.find(schema(i)), nullptr);
        ASSERT_TRUE(compiler.compile(schema(i)).ok());
    }
    EXPECT_NE(compiler.find(schema(0)), nullptr);
    ASSERT_TRUE(compiler.compile(schema(3)).ok());
    EXPECT_NE(compiler.find(schema(0)), nullptr) << "used last";
    EXPECT_EQ(compiler.find(schema(1)), nullptr) << "used longest ago";
    EXPECT_EQ(*compiler.compile(schema(0)), compiler.find(schema(0))) << "compiled once";
    GrammarCompiler small(*bytes()->tokenizer, one / 2);
    ASSERT_TRUE(small.compile(schema(0)).ok());
    EXPECT_EQ(small.find(schema(0)), nullptr) << "larger than the cache";
}

TEST_F(GrammarTest, ThreadsShareOneCompilation) {
    ASSERT_NE(bytes(), nullptr);
    GrammarCompiler compiler(*bytes()->tokenizer);
    const std::string schema = check_schema(*parse_json(R"({"properties":{"a":{"type":"string"}}})"), "s")->text;
    std::vector<std::shared_ptr<const Grammar>> grammars(4);
    std::vector<std::thread> threads;
    for (auto& grammar : grammars) {
        threads.emplace_back([&] { grammar = *compiler.compile(schema); });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    for (const auto& grammar : grammars) {
        EXPECT_EQ(grammar, grammars[0]);
    }
}

// ByteTokenizer's tokens past the bytes are longer texts: what comes near a greatest length is looked at without each of them.
TEST(GrammarLengths, WhatFitsBeforeTheGreatestLength) {
    const ByteTokenizer tokenizer;
    GrammarCompiler compiler(tokenizer);
    const auto grammar = compiled(compiler, R"({"type":"string","maxLength":5})");
    const auto allowed_after = [&](std::string_view text) {
        const auto constraint = grammar->start();
        for (const char byte : text) {
            EXPECT_TRUE(constraint->accept(static_cast<unsigned char>(byte))) << text;
        }
        std::set<std::string> pieces;
        for (const engine::TokenId token : tokens_of(constraint->allowed())) {
            pieces.insert(tokenizer.piece(token, false));
        }
        return pieces;
    };
    const std::set<std::string> room = allowed_after("\"abc");
    for (const char* piece : {"a", "\"", "é", "00", "\\", "\\u", "  ", "}}"}) {
        EXPECT_TRUE(room.contains(piece)) << piece;
    }
    EXPECT_FALSE(room.contains("true"));
    EXPECT_FALSE(room.contains("\":"));
    const std::set<std::string> one = allowed_after("\"abcd");
    EXPECT_TRUE(one.contains("é") && one.contains("\"") && one.contains("\\"));
    EXPECT_FALSE(one.contains("00") || one.contains("true") || one.contains("\\u"));
    EXPECT_EQ(allowed_after("\"abcde"), std::set<std::string>{"\""});
    const std::set<std::string> escape = allowed_after("\"abcd\\");
    EXPECT_TRUE(escape.contains("n") && escape.contains("u")) << "an escape that was begun may end";
    EXPECT_FALSE(escape.contains("x"));
    EXPECT_TRUE(allowed_after("\"abcd\\u00").contains("00"));
}

// Text for compile() itself: json_schema_check.h refuses these, and would have to be wrong for them to come here.
TEST(GrammarBackstops, AnAmbiguousAnswerEndsBeforeItTakesTheMemory) {
    const ByteTokenizer tokenizer;
    GrammarCompiler compiler(tokenizer);
    const auto grammar = compiler.compile(R"({"type":"string","pattern":"(a|b)*a((a|b){100}){40}"})");
    ASSERT_TRUE(grammar.ok()) << grammar.error().message;
    const auto constraint = (*grammar)->start();
    ASSERT_TRUE(constraint->accept('"'));
    int taken = 0;
    while (taken < 10'000 && constraint->accept('a')) {
        ++taken;
    }
    EXPECT_LT(taken, 2'500) << "64 MiB of states";
    EXPECT_GT(taken, 500);
    EXPECT_TRUE(tokens_of(constraint->allowed()).empty()) << "fails closed";
    EXPECT_FALSE(constraint->accept('a'));
}

TEST(GrammarBackstops, AMaskOfTooManyStatesAllowsNothing) {
    const std::optional<Vocabulary> vocabulary = load_vocabulary(std::string(GANTRY_VOCABULARIES) + "/ggml-vocab-gpt-2.gguf");
    ASSERT_TRUE(vocabulary);
    GrammarCompiler compiler(*vocabulary->tokenizer);
    std::string branches;
    for (int i = 1; i <= 100; ++i) {
        branches += (i == 1 ? "" : ",") + fmt::format(R"({{"type":"string","pattern":"~0~{}~"}})", i);
    }
    const auto grammar = compiler.compile(R"({"anyOf":[)" + branches + "]}");
    ASSERT_TRUE(grammar.ok()) << grammar.error().message;
    const auto constraint = (*grammar)->start();
    EXPECT_FALSE(tokens_of(constraint->allowed()).empty());
    ASSERT_TRUE(constraint->accept(vocabulary->tokenizer->tokenize("\"", false)->front()));
    EXPECT_TRUE(tokens_of(constraint->allowed()).empty());
    EXPECT_FALSE(constraint->accept(vocabulary->tokenizer->tokenize("\"", false)->front())) << "for good";
    EXPECT_FALSE(tokens_of((*grammar)->start()->allowed()).empty()) << "another sequence is as new";
}

TEST(GrammarBackstops, CompilingEndsByItsWork) {
    const std::optional<Vocabulary> vocabulary = load_vocabulary(std::string(GANTRY_VOCABULARIES) + "/ggml-vocab-gpt-2.gguf");
    ASSERT_TRUE(vocabulary);
    GrammarCompiler compiler(*vocabulary->tokenizer);
    std::string pattern;
    for (int i = 0; i < 20; ++i) {
        pattern += ".{128}";
    }
    const auto grammar = compiler.compile(R"({"type":"string","pattern":")" + pattern + "\"}");
    ASSERT_FALSE(grammar.ok());
    EXPECT_EQ(grammar.error().reason, "unsupported_schema");
    EXPECT_NE(grammar.error().message.find("too long"), std::string::npos) << grammar.error().message;
    EXPECT_NE(compiled(compiler, R"({"type":"object"})"), nullptr) << "the next is compiled as ever";
}

// A schema of supported keywords, which may be satisfied.
class RandomSchema {
public:
    explicit RandomSchema(uint32_t seed) : random_(seed) {}

    std::string make() {
        json::object root = schema(3).get_object();
        json::object definitions;
        for (int i = 0; i < 2; ++i) {
            definitions["d" + std::to_string(i)] = schema(2, false);
        }
        root["$defs"] = std::move(definitions);
        return json::serialize(root);
    }

private:
    int64_t below(int64_t limit) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(limit)); }
    bool chance(int64_t of) { return below(of) == 0; }
    std::string word() {
        static const char* kWords[] = {"a", "b", "title", "name/x", "ä", "long name", "q\"q", "default", "0"};
        return kWords[below(9)];
    }

    json::value schema(int depth, bool references = true) {
        json::object out;
        switch (below(depth > 0 ? 10 : 6)) {
            case 0: out = {{"type", chance(2) ? json::value("boolean") : json::value({"null", "boolean"})}}; break;
            case 1: out = integer(); break;
            case 2: out = number(); break;
            case 3: out = string(); break;
            case 4: out = {{"enum", {word(), below(5), nullptr, -1.5, json::object{{word(), below(3)}}}}}; break;
            case 5: out = references ? json::object{{"$ref", "#/$defs/d" + std::to_string(below(2))}} : json::object{{"const", word()}}; break;
            case 6: out = array(depth, references); break;
            case 7: out = {{"anyOf", {schema(depth - 1, references), schema(depth - 1, references)}}}; break;
            case 8: out = {{"type", "object"}, {"additionalProperties", schema(depth - 1, references)}}; break;
            default: out = object(depth, references); break;
        }
        if (chance(5)) {
            out["description"] = word();
        }
        return out;
    }
    json::object integer() {
        json::object out{{"type", "integer"}};
        const int64_t low = below(2000) - 1000;
        if (chance(2)) out[chance(2) ? "minimum" : "exclusiveMinimum"] = low;
        if (chance(2)) out[chance(2) ? "maximum" : "exclusiveMaximum"] = low + 2 + below(100'000);
        return out;
    }
    json::object number() {
        json::object out{{"type", "number"}};
        const double low = static_cast<double>(below(20'000) - 10'000) / 100;
        if (chance(2)) out[chance(2) ? "minimum" : "exclusiveMinimum"] = low;
        if (chance(2)) out[chance(2) ? "maximum" : "exclusiveMaximum"] = std::round(low * 100 + 1 + static_cast<double>(below(10'000))) / 100;
        return out;
    }
    json::object string() {
        static const char* kPatterns[] = {"^[a-z]+$", "^x(y|zz){2,3}$", "^[0-9]{1,3}(,[0-9]{3})*$", "^[^ ]*$", "^(a?b){0,4}c$"};
        json::object out{{"type", "string"}};
        if (chance(3)) {
            out["pattern"] = kPatterns[below(5)];
        } else if (chance(2)) {
            out["minLength"] = below(4);
            out["maxLength"] = 4 + below(200);
        }
        return out;
    }
    json::object array(int depth, bool references) {
        json::object out{{"type", "array"}, {"items", schema(depth - 1, references)}};
        if (chance(3)) out["prefixItems"] = {schema(depth - 1, references), schema(depth - 1, references)};
        if (chance(2)) out["minItems"] = below(3);
        if (chance(2)) out["maxItems"] = 3 + below(4);
        return out;
    }
    json::object object(int depth, bool references) {
        json::object properties;
        json::array required;
        for (int64_t i = below(4) + 1; i > 0; --i) {
            const std::string name = word();
            properties[name] = schema(depth - 1, references);
        }
        for (const auto& [name, value] : properties) {
            if (chance(2)) required.emplace_back(name);
        }
        return {{"type", "object"}, {"properties", std::move(properties)}, {"required", std::move(required)}};
    }

    std::mt19937 random_;
};

TEST_F(GrammarTest, WalksOfRandomSchemasAreValid) {
    ASSERT_NE(sentencepiece(), nullptr);
    GrammarCompiler compiler(*sentencepiece()->tokenizer);
    const char* given = std::getenv("GANTRY_GRAMMAR_SCHEMAS");
    const int schemas = given != nullptr ? std::atoi(given) : 60;
    for (int seed = 0; seed < schemas; ++seed) {
        SCOPED_TRACE(seed);
        std::mt19937 random(static_cast<uint32_t>(seed));
        expect_valid_walks(*sentencepiece(), compiler, RandomSchema(static_cast<uint32_t>(seed)).make(), random, 3);
        if (HasFatalFailure()) {
            return;
        }
    }
}

TEST_F(GrammarTest, TheRealModelsVocabulary) {
    const std::optional<Vocabulary> vocabulary = load_vocabulary(smollm2());
    if (!vocabulary) {
        GTEST_SKIP() << "SmolLM2 is not in the model cache: ./dev models smollm2-135m";
    }
    GrammarCompiler compiler(*vocabulary->tokenizer);
    std::mt19937 random(4);
    for (int seed = 100; seed < 120; ++seed) {
        expect_valid_walks(*vocabulary, compiler, RandomSchema(static_cast<uint32_t>(seed)).make(), random, 3);
        if (HasFatalFailure()) {
            return;
        }
    }
}

}  // namespace
}  // namespace gantry::engine_server
