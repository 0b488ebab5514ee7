// What a prompt costs a thread of the pool: JSON, template, special tokens' texts, tokenizing; and
// what a token's text costs the io thread. GANTRY_TEST_MODEL names a GGUF file; only its vocabulary
// is read.

#include <benchmark/benchmark.h>
#include <llama.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "base/json.h"
#include "engine_server/chat_template.h"
#include "engine_server/detokenizer.h"
#include "engine_server/tokenizer.h"

namespace gantry::engine_server {
namespace {

struct Vocabulary {
    Vocabulary() {
        llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
        const char* path = std::getenv("GANTRY_TEST_MODEL");
        const std::string file =
            path != nullptr
                ? path
                : std::string(std::getenv("HOME")) +
                      "/.cache/gantry/models/llm/SmolLM2-135M-Instruct.Q4_1.gguf";
        llama_model_params params = llama_model_default_params();
        params.vocab_only = true;
        model = llama_model_load_from_file(file.c_str(), params);
        if (model == nullptr) {
            std::fprintf(stderr, "%s does not load\n", file.c_str());
            std::exit(1);
        }
        tokenizer = make_llama_tokenizer(llama_model_get_vocab(model));
        const char* source = llama_model_chat_template(model, nullptr);
        chat_template =
            std::move(*ChatTemplate::create(source == nullptr ? "" : source,
                                            tokenizer->begin_text(), tokenizer->end_text()));
    }
    llama_model* model = nullptr;
    std::unique_ptr<Tokenizer> tokenizer;
    std::unique_ptr<ChatTemplate> chat_template;
};

Vocabulary& vocabulary() {
    static Vocabulary one;
    return one;
}

enum class Text { kProse, kMarkup, kOneWord, kSpaces };

std::string text_of(Text kind, size_t bytes) {
    constexpr const char* kWords[] = {"the ",   "engine ", "answers, ", "quickly; ", "2,718 ",
                                      "models", " of ",    "Größe ",    "\n\n",      "scheduling "};
    std::string text;
    for (size_t i = 0; text.size() < bytes; ++i) {
        switch (kind) {
            case Text::kProse: text += kWords[(i * i + i / 7) % 10]; break;
            case Text::kMarkup: text += i % 3 == 0 ? "<td class=\"x\">" : "cell</td>"; break;
            case Text::kOneWord: text += static_cast<char>('a' + i * i % 26); break;
            case Text::kSpaces: text += ' '; break;
        }
    }
    text.resize(bytes, ' ');
    return text;
}

void tokenize(benchmark::State& state, Text kind) {
    const std::string text = text_of(kind, static_cast<size_t>(state.range(0)));
    size_t tokens = 0;
    for (auto _ : state) {
        tokens = vocabulary().tokenizer->tokenize(text, false)->size();
    }
    state.counters["tokens"] = static_cast<double>(tokens);
    state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * state.range(0));
}
BENCHMARK_CAPTURE(tokenize, prose, Text::kProse)->Arg(1000)->Arg(100'000)->Arg(1'000'000);
BENCHMARK_CAPTURE(tokenize, markup, Text::kMarkup)->Arg(100'000);
BENCHMARK_CAPTURE(tokenize, one_word, Text::kOneWord)->Arg(100'000)->Arg(1'000'000);
BENCHMARK_CAPTURE(tokenize, spaces, Text::kSpaces)->Arg(100'000)->Arg(1'000'000);

void special_starts(benchmark::State& state, Text kind) {
    const std::string text = text_of(kind, static_cast<size_t>(state.range(0)));
    for (auto _ : state) {
        benchmark::DoNotOptimize(vocabulary().tokenizer->special_text_starts(text));
    }
    state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * state.range(0));
}
BENCHMARK_CAPTURE(special_starts, prose, Text::kProse)->Arg(100'000);
BENCHMARK_CAPTURE(special_starts, markup, Text::kMarkup)->Arg(100'000);

// A whole chat from bytes to tokens, of so many messages of so many bytes.
void chat_prompt(benchmark::State& state) {
    std::string body = R"({"messages":[)";
    for (int64_t i = 0; i < state.range(0); ++i) {
        body += i == 0 ? "" : ",";
        body += i % 2 == 0 ? R"({"role":"user","content":")" : R"({"role":"assistant","content":")";
        std::string text = text_of(Text::kProse, static_cast<size_t>(state.range(1)));
        std::replace(text.begin(), text.end(), '\n', ' ');
        body += text + "\"}";
    }
    body += "]}";
    size_t tokens = 0;
    for (auto _ : state) {
        const auto parsed = parse_json(body);
        const auto request = protocol::openai::parse_chat(*parsed);
        const auto special = [](std::string_view text) {
            return vocabulary().tokenizer->special_text_starts(text);
        };
        const auto prompt =
            vocabulary().chat_template->render(*request, system_clock().wall(), special);
        tokens = prompt ? tokenize_prompt(*vocabulary().tokenizer, prompt->parts, 10'000'000, "messages")->size()
                        : 0;
    }
    state.counters["tokens"] = static_cast<double>(tokens);
    state.counters["body_bytes"] = static_cast<double>(body.size());
}
BENCHMARK(chat_prompt)
    ->ArgNames({"messages", "bytes"})
    ->Args({1, 1'500})
    ->Args({12, 500})
    ->Args({1, 100'000})
    ->Args({1'000, 10})
    ->Args({10'000, 10})
    ->Unit(benchmark::kMillisecond);

void piece(benchmark::State& state) {
    const Tokenizer& tokenizer = *vocabulary().tokenizer;
    engine::TokenId token = 1000;
    for (auto _ : state) {
        benchmark::DoNotOptimize(tokenizer.piece(token));
        token = 1000 + (token * 7 + 13) % 20'000;
    }
}
BENCHMARK(piece);

void detokenize(benchmark::State& state, std::vector<std::string> stops) {
    Detokenizer detokenizer(std::move(stops));
    for (auto _ : state) {
        benchmark::DoNotOptimize(detokenizer.push(" token"));
    }
}
BENCHMARK_CAPTURE(detokenize, plain, {});
BENCHMARK_CAPTURE(detokenize, stops, {"\n\nUser:", "###"});
BENCHMARK_CAPTURE(detokenize, worst_stop, {std::string(249, 't') + " token"});

}  // namespace
}  // namespace gantry::engine_server
