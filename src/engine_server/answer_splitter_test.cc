#include "engine_server/answer_splitter.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace gantry::engine_server {
namespace {

// Calls are written "<call>name(arguments)</call>". Counts the bytes that it reads.
class FakeReader final : public CallReader {
public:
    std::optional<ReadAnswer> read(const std::string& text, bool partial) const override {
        bytes += text.size();
        ReadAnswer answer;
        size_t at = 0;
        while (at < text.size()) {
            if (text.compare(at, 6, "<call>") != 0) {
                return partial ? std::optional(answer) : std::nullopt;
            }
            const size_t open = text.find('(', at);
            const size_t close = text.find(")</call>", at);
            if (open == std::string::npos || (close == std::string::npos && !partial)) {
                return partial ? std::optional(answer) : std::nullopt;
            }
            const size_t end = std::min(text.find(')', open), text.size());  // no part of the end is an argument
            answer.calls.push_back({text.substr(at + 6, open - at - 6), text.substr(open + 1, end - open - 1)});
            at = close == std::string::npos ? text.size() : close + 8;
        }
        return answer;
    }
    mutable size_t bytes = 0;
};

std::shared_ptr<AnswerSyntax> thinking() {
    auto syntax = std::make_shared<AnswerSyntax>();
    syntax->reasoning_start = "<think>";
    syntax->reasoning_end = "</think>";
    syntax->call_starts = {"<call>"};
    syntax->reader = std::make_shared<FakeReader>();
    return syntax;
}

// "reasoning|content|name(arguments);..."
std::string read(const std::shared_ptr<const AnswerSyntax>& syntax, const std::string& text, size_t step, bool end = true) {
    AnswerSplitter splitter(syntax);
    std::string reasoning;
    std::string content;
    std::vector<std::string> calls;
    const auto take = [&] {
        reasoning += std::exchange(splitter.reasoning, {});
        content += std::exchange(splitter.content, {});
        for (const CallPiece& piece : std::exchange(splitter.pieces, {})) {
            if (!piece.name.empty()) {
                EXPECT_EQ(piece.index, calls.size());
                calls.push_back(piece.name + ":");
            }
            EXPECT_LT(piece.index, calls.size());
            calls[piece.index] += piece.arguments;
        }
    };
    for (size_t at = 0; at < text.size(); at += step) {
        splitter.push(text.substr(at, step));
        take();
    }
    if (end) {
        splitter.finish();
        take();
    }
    std::string out = reasoning + "|" + content + "|";
    for (const std::string& call : calls) {
        out += call + ";";
    }
    return out;
}

TEST(AnswerSplitter, TakesTheSameApartHoweverItComes) {
    const std::pair<const char*, const char*> cases[] = {
        {"plain", "|plain|"},
        {"  plain  ", "|  plain  |"},
        {"<think>\nwhy\n</think>\n\nso", "why|so|"},
        {" \n<think>why</think>so", "why|so|"},
        {"<think></think>so", "|so|"},
        {"<think>why", "why||"},
        {"<think>a < b </thin k> </think>c", "a < b </thin k>|c|"},
        {"<thin air>", "|<thin air>|"},
        {"so <think>x</think>", "|so <think>x</think>|"},
        {"<call>f({\"a\":1})</call>", "||f:{\"a\":1};"},
        {"I look.\n<call>f(1)</call><call>g(2)</call>", "|I look.|f:1;g:2;"},
        {"<think><call>f(1)</call></think><call>g()</call>", "<call>f(1)</call>||g:;"},
        {"a <cal b <ca", "|a <cal b <ca|"},
        {"see <call>nothing", "|see<call>nothing|"},
        {"<call>f(cut sho", "||f:cut sho;"},
        {"", "||"},
    };
    for (const auto& [text, expected] : cases) {
        for (size_t step = 1; step <= std::string(text).size() + 1; ++step) {
            EXPECT_EQ(read(thinking(), text, step), expected) << text << " by " << step;
        }
    }
}

TEST(AnswerSplitter, ReasoningMayHaveBegunInThePrompt) {
    const auto syntax = thinking();
    syntax->reasoning_open = true;
    for (size_t step = 1; step < 20; ++step) {
        EXPECT_EQ(read(syntax, "\nwhy\n\n</think>\n\nso", step), "why|so|");
        EXPECT_EQ(read(syntax, "never ends", step), "never ends||");
    }
}

TEST(AnswerSplitter, WhatIsClearIsSaidAtOnce) {
    EXPECT_EQ(read(thinking(), "hello <", 1, false), "|hello|") << "white space before a call would belong to it";
    EXPECT_EQ(read(thinking(), "hello <b", 1, false), "|hello <b|");
    EXPECT_EQ(read(thinking(), "<think>I th", 1, false), "I th||");
    EXPECT_EQ(read(nullptr, "<think> <call>", 1, false), "|<think> <call>|");
}

TEST(AnswerSplitter, OnlyTheFirstCallWhereOneIsWanted) {
    const auto syntax = thinking();
    syntax->parallel_calls = false;
    EXPECT_EQ(read(syntax, "<call>f(1)</call><call>g(2)</call>", 3), "||f:1;");
}

TEST(AnswerSplitter, AForcedCallIsItsArguments) {
    auto one = std::make_shared<AnswerSyntax>();
    one->forced = {{"f", ""}};
    EXPECT_EQ(read(one, "{\"a\": 1}", 2), "||f:{\"a\": 1};");
    auto several = std::make_shared<AnswerSyntax>();
    several->forced = {{"f", "f\": "}, {"fg", "fg\": "}};
    EXPECT_EQ(read(several, "fg\": {}", 1), "||fg:{};");
    EXPECT_EQ(read(several, "f\": [1]", 3), "||f:[1];");
}

TEST(AnswerSplitter, LongArgumentsAreReadAFewTimes) {
    const auto syntax = thinking();
    const auto& reader = static_cast<const FakeReader&>(*syntax->reader);
    const std::string text = "<call>f(" + std::string(100'000, 'x') + ")</call>";
    read(syntax, text, 4);
    EXPECT_LT(reader.bytes, text.size() * 8) << "4 bytes at a time, and no more than eight times its length in all";
}

}  // namespace
}  // namespace gantry::engine_server
