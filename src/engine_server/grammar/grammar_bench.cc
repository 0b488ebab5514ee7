// What structured output costs: compiling typical and worst-case schemas, and a step of allowed() and accept(), on SmolLM2's
// vocabulary or that of GANTRY_TEST_MODEL.
#include <benchmark/benchmark.h>

#include <chrono>

#include "engine_server/grammar/grammar_for_test.h"
#include "engine_server/grammar/json_schema_check.h"

namespace gantry::engine_server {
namespace {

using namespace grammar_test;
using Steady = std::chrono::steady_clock;

std::string repeated(const std::string& text, int times) {
    std::string out;
    for (int i = 0; i < times; ++i) {
        out += text;
    }
    return out;
}

std::string joined(int count, const std::string& before, const std::string& after) {
    std::string out;
    for (int i = 0; i < count; ++i) {
        out += (i > 0 ? "," : "") + before + std::to_string(i) + after;
    }
    return out;
}

const std::string kPerson = R"({"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer","minimum":0,"maximum":150},
    "email":{"type":"string","format":"email"},"role":{"enum":["admin","user","guest"]},"tags":{"type":"array","items":{"type":"string"}},
    "address":{"type":"object","properties":{"street":{"type":"string"},"zip":{"type":"string","pattern":"^[0-9]{5}$"}},
    "required":["street","zip"]}},"required":["name","age","role","address"]})";

const std::vector<std::pair<std::string, std::string>>& schemas() {
    static const std::vector<std::pair<std::string, std::string>> kSchemas = {
        {"any object", R"({"type":"object"})"},
        {"person", kPerson},
        {"people", R"({"type":"array","items":)" + kPerson + R"(,"maxItems":50})"},
        {"all formats", R"({"properties":{"a":{"type":"string","format":"date-time"},"b":{"type":"string","format":"email"},"c":{"type":"string",
            "format":"ipv6"},"d":{"type":"string","format":"uuid"},"e":{"type":"string","format":"duration"},"f":{"type":"string",
            "format":"hostname"},"g":{"type":"string","format":"ipv4"}},"required":["a","b","c","d","e","f","g"]})"},
        {"string of 100", R"({"type":"string","maxLength":100})"},
        {"string of 128", R"({"type":"string","minLength":128,"maxLength":128})"},
        {"string of 100000", R"({"type":"string","maxLength":100000})"},
        {"128 optional properties", R"({"properties":{)" + joined(128, "\"p", R"(":{"type":"integer"})") + "}}"},
        {"500 optional properties", R"({"properties":{)" + joined(500, "\"p", R"(":{"type":"integer"})") + "}}"},
        {"990 required properties", R"({"properties":{)" + joined(990, "\"p", "\":{}") + R"(},"required":[)" + joined(990, "\"p", "\"") + "]}"},
        {"enum of 1000", R"({"enum":[)" + joined(1000, "\"value number ", "\"") + "]}"},
        {"a text of 19000", R"({"const":")" + repeated("lorem ipsum ", 1583) + "\"}"},
        {"classes", R"({"type":"string","pattern":"([^a]{30}[^b]{30}[^c]{30}[^d]{30}|[^e]{100}){5}"})"},
        {"ambiguous pattern", R"({"type":"string","pattern":"(a|b|ab|ba){128}"})"},
        {"(a|b)*a(a|b){100}", R"({"type":"string","pattern":"(a|b)*a(a|b){100}"})"},
        {"nested stars", R"({"type":"string","pattern":"((((a*)*b)*c)*d)*"})"},
        {"integers", R"({"prefixItems":[)" + repeated(R"({"type":"integer","minimum":-123456789012345678,"maximum":123456789012345678},)", 90) +
                         R"({"type":"null"}],"minItems":91})"},
        {"numbers", R"({"prefixItems":[)" + repeated(R"({"type":"number","minimum":-123456789.123456,"maximum":123456789.123456},)", 30) +
                        R"({"type":"null"}],"minItems":31})"},
        {"multiples", R"({"type":"array","items":{"type":"integer","multipleOf":97}})"},
        {"any of 300", R"({"anyOf":[)" + joined(300, R"({"properties":{"k":{"const":")", R"("},"v":{"type":"string"}},"required":["k"]})") + "]}"},
        {"doubling references", R"({"$ref":"#/$defs/d0","$defs":{)" + [] {
             std::string out;
             for (int i = 0; i < 30; ++i) {
                 const std::string next = "{\"$ref\":\"#/$defs/d" + std::to_string(i + 1) + "\"}";
                 out += "\"d" + std::to_string(i) + R"(":{"properties":{"a":)" + next + ",\"b\":" + next + "},\"required\":[\"a\",\"b\"]},";
             }
             return out + R"("d30":{"type":"null"}}})";
         }()},
        {"doubling choices", R"({"$ref":"#/$defs/d0","$defs":{)" + [] {
             std::string out;
             for (int i = 0; i < 30; ++i) {
                 const std::string next = "{\"$ref\":\"#/$defs/d" + std::to_string(i + 1) + "\"}";
                 out += "\"d" + std::to_string(i) + R"(":{"anyOf":[)" + next + "," + next + "]},";
             }
             return out + R"("d30":{"type":"null"}}})";
         }()},
        {"strings of 1", R"({"type":"array","minItems":1000,"items":{"type":"string","maxLength":1}})"},
        {"one of two lengths", R"({"anyOf":[{"type":"array","items":{"type":"string","maxLength":30}},{"type":"array",
            "items":{"type":"string","maxLength":60}}]})"},
        {"any of 60 lengths", R"({"anyOf":[)" + joined(60, R"({"type":"array","items":{"type":"string","maxLength":1)", "}}") + "]}"},
        {"(a|b)*a((a|b){128}){128}", R"({"type":"string","pattern":"(a|b)*a((a|b){128}){128}"})"},
        {"CJK", R"({"type":"string","pattern":"([一-鿿]{128}){35}"})"},
        {"punctuation", R"({"type":"string","pattern":"([!#-/:-@]{128}){128}"})"},
        {"arrays in arrays", repeated(R"({"type":"array","maxItems":100,"items":)", 30) + "{}" + repeated("}", 30)},
    };
    return kSchemas;
}

const Vocabulary* vocabulary() {
    const char* model = std::getenv("GANTRY_TEST_MODEL");
    static const std::optional<Vocabulary> kVocabulary = load_vocabulary(model != nullptr ? model : smollm2());
    return kVocabulary ? &*kVocabulary : nullptr;
}

double ms_since(Steady::time_point start) { return std::chrono::duration<double, std::milli>(Steady::now() - start).count(); }

// One schema of the list: compiled in a fresh compiler that has read the vocabulary.
void compile_schema(benchmark::State& state) {
    const auto& [name, schema] = schemas()[static_cast<size_t>(state.range(0))];
    if (vocabulary() == nullptr) {
        state.SkipWithError("no model");
        return;
    }
    const Result<CheckedSchema> checked = check_schema(*parse_json(schema), "schema");
    if (!checked) {
        state.SetLabel(name + ": refused at " + checked.error().param.substr(0, 60));
        for (auto _ : state) {
        }
        return;
    }
    size_t bytes = 0;
    for (auto _ : state) {
        GrammarCompiler compiler(*vocabulary()->tokenizer);
        (void)compiler.compile(any_object_schema().text);
        const auto start = Steady::now();
        const auto grammar = compiler.compile(checked->text);
        state.SetIterationTime(ms_since(start) / 1000);
        bytes = grammar ? (*grammar)->bytes() : 0;
    }
    state.counters["KiB"] = static_cast<double>(bytes) / 1024;
    state.SetLabel(name + (bytes == 0 ? ": refused when compiled" : ""));
}
BENCHMARK(compile_schema)->UseManualTime()->Iterations(1)->Unit(benchmark::kMillisecond)->DenseRange(0, static_cast<int64_t>(schemas().size()) - 1);

void first_use(benchmark::State& state) {
    for (auto _ : state) {
        GrammarCompiler compiler(*vocabulary()->tokenizer);
        benchmark::DoNotOptimize(compiler.compile(any_object_schema().text));
    }
}
BENCHMARK(first_use)->Iterations(3)->Unit(benchmark::kMillisecond);

// Random walks through one grammar; mean, p99 and worst of allowed(), mean of accept() and start().
void steps(benchmark::State& state) {
    const auto& [name, schema] = schemas()[static_cast<size_t>(state.range(0))];
    state.SetLabel(name);
    const Result<CheckedSchema> checked = check_schema(*parse_json(schema), "schema");
    if (vocabulary() == nullptr || !checked) {
        state.SkipWithError("no model, or refused");
        return;
    }
    GrammarCompiler compiler(*vocabulary()->tokenizer);
    const Result<std::shared_ptr<const Grammar>> compiled = compiler.compile(checked->text);
    if (!compiled) {
        state.SkipWithError("refused when compiled");
        return;
    }
    const std::shared_ptr<const Grammar>& grammar = *compiled;
    std::mt19937 random(1);
    std::vector<double> allowed_us;
    double accept_us = 0;
    double start_us = 0;
    size_t walks = 0;
    for (auto _ : state) {
        while (allowed_us.size() < 3'000 && walks < 3'000) {
            ++walks;
            auto start = Steady::now();
            const auto constraint = grammar->start();
            start_us += ms_since(start) * 1000;
            for (int step = 0; step < 1'000; ++step) {
                start = Steady::now();
                const std::span<const uint32_t> mask = constraint->allowed();
                allowed_us.push_back(ms_since(start) * 1000);
                const std::vector<engine::TokenId> tokens = tokens_of(mask);
                if (tokens.empty()) {
                    break;
                }
                const engine::TokenId token = tokens[random() % tokens.size()];
                start = Steady::now();
                const bool taken = constraint->accept(token);
                accept_us += ms_since(start) * 1000;
                if (!taken || vocabulary()->tokenizer->is_end(token)) {
                    break;
                }
            }
        }
    }
    std::sort(allowed_us.begin(), allowed_us.end());
    double sum = 0;
    for (const double us : allowed_us) {
        sum += us;
    }
    const double steps = static_cast<double>(allowed_us.size());
    state.counters["allowed_us"] = sum / steps;
    state.counters["p99_us"] = allowed_us[allowed_us.size() * 99 / 100];
    state.counters["max_us"] = allowed_us.back();
    state.counters["accept_us"] = accept_us / steps;
    state.counters["start_us"] = start_us / static_cast<double>(walks);
}
BENCHMARK(steps)->Iterations(1)->Unit(benchmark::kMillisecond)->DenseRange(0, static_cast<int64_t>(schemas().size()) - 1);

}  // namespace
}  // namespace gantry::engine_server
