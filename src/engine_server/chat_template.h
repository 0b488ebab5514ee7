#pragma once
// The model's own chat template (Jinja, from the model file), evaluated by llama.cpp's interpreter
// with bounds of ours: a template is foreign code, so its loops, its recursion and its range() are
// counted, and it is only run on threads of the BlockingPool. What it throws becomes a Result.
//
// What a client wrote is marked while it passes through the template; where it holds the text of a
// special token, that part comes out as input and is tokenized as mere text. Threads: render() any.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "engine_server/tokenizer.h"
#include "protocol/openai/chat.h"

namespace gantry::engine_server {

// Bounds of one rendering.
inline constexpr uint64_t kTemplateStepsMax = 2'000'000;  // loop iterations and macro calls
inline constexpr size_t kTemplateStackMax = 64u << 20;    // bytes of stack
inline constexpr int64_t kTemplateRangeMax = 100'000;     // items of one range()
inline constexpr std::chrono::milliseconds kTemplateTimeMax{5'000};
inline constexpr size_t kTemplateSourceMax = 1u << 20;  // bytes of the template itself

class ChatTemplate {
public:
    // `source` empty: the ChatML form, which most models without a template know. kInvalidArgument:
    // it can't be parsed.
    static Result<std::unique_ptr<ChatTemplate>> create(std::string source, std::string begin_text,
                                                        std::string end_text);
    ~ChatTemplate();

    // The prompt up to where the answer begins. kInvalidArgument with the template's own words
    // where it refuses the messages.
    Result<std::vector<PromptPart>> render(
        const protocol::openai::ChatRequest& request, WallTime now,
        const std::function<bool(std::string_view)>& holds_special_text) const;

private:
    struct State;
    explicit ChatTemplate(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace gantry::engine_server
