#pragma once
// The model's own chat template (Jinja, from the model file), evaluated by llama.cpp's interpreter
// with bounds of ours: a template is foreign code, so its loops, its recursion and its range() are
// counted, and it is only run on threads of the BlockingPool. What it throws becomes a Result.
//
// What a client wrote stays text. Where it holds the text of a special token, it is marked as
// input, which most of the interpreter's operations keep, and that text is broken by a character of
// ours, which all of them keep: the prompt is cut there, so that no token is found across the cut.
//
// The template is also tried out, for how the model writes reasoning and tool calls, and for what a
// call that it is made to write begins with.
// Threads: render() any.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "engine_server/answer_format.h"
#include "engine_server/tokenizer.h"
#include "protocol/openai/chat.h"

namespace gantry::engine_server {

// Bounds of one rendering.
struct TemplateLimits {
    uint64_t steps = 2'000'000;      // loop iterations and macro calls
    size_t stack_bytes = 64u << 20;  // but no more than half of what the thread has
    int64_t range_items = 10'000;   // items of one range()
    std::chrono::milliseconds time{2'000};
};
inline constexpr size_t kTemplateSourceMax = 1u << 20;  // bytes of the template itself

// Tokenizer::special_text_starts.
using SpecialTextStarts = std::function<std::vector<size_t>(std::string_view)>;

// What the model is given, and how its answer is to be read.
struct ChatPrompt {
    std::vector<PromptPart> parts;
    std::shared_ptr<const AnswerSyntax> syntax;  // null: all of it is content
};

class ChatTemplate {
public:
    // `source` empty: the ChatML form, which most models without a template know. kInvalidArgument:
    // it can't be parsed.
    static Result<std::unique_ptr<ChatTemplate>> create(std::string source, std::string begin_text,
                                                        std::string end_text,
                                                        const TemplateLimits& limits = {});
    ~ChatTemplate();

    // The prompt up to where the answer begins. kInvalidArgument with the template's own words
    // where it refuses the messages. `constrained`: the answer is held to a schema from its first
    // character on, so that the model can't reason first.
    //
    // Calls that are forced (tool_choice required, or a function by name) are in the syntax with
    // what the model writes before their arguments; what is common to all of them is in the prompt.
    Result<ChatPrompt> render(const protocol::openai::ChatRequest& request, WallTime now,
                              const SpecialTextStarts& special_text_starts,
                              bool constrained = false) const;

    // Control tokens whose texts are part of how the model writes answers.
    const std::vector<std::string>& kept_tokens() const;

private:
    struct State;
    explicit ChatTemplate(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace gantry::engine_server
