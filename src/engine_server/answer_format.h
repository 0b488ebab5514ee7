#pragma once
// How a model writes what is not plain text: reasoning and tool calls. llama.cpp finds it out by trying the model's template on samples
// (chat-auto-parser.h), or knows the family; the calls themselves are read by its parsers. What it does here is bounded as a
// rendering is (TemplateBudget), except reading, which takes bounded text (CallReader::kTextMax).
// Threads: find() the loading one; the rest any, all is immutable.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "protocol/openai/chat.h"

struct common_chat_template;

namespace gantry::engine_server {

struct ReadCall {
    std::string name;
    std::string arguments;  // JSON text, as it stands so far
};

// What an answer's text says, as far as it goes.
struct ReadAnswer {
    std::string reasoning;
    std::string content;
    std::vector<ReadCall> calls;
};

// Reads the text of an answer to a request with these tools.
class CallReader {
public:
    static constexpr size_t kTextMax = 1u << 20;
    static constexpr int kDepthMax = 256;  // of brackets: its parsers recurse

    virtual ~CallReader() = default;
    // nullopt: the text is not of the model's form (yet). `partial`: more will come.
    virtual std::optional<ReadAnswer> read(const std::string& text, bool partial) const = 0;
};

// A call that the answer is bound to be: `begin` and then its arguments, as JSON.
struct ForcedCall {
    std::string name;
    std::string begin;
};

// How the answer to one request is to be taken apart (answer_splitter.h). By default all of it is content.
struct AnswerSyntax {
    std::string reasoning_start;
    std::string reasoning_end;             // empty: reasoning is not set apart
    bool reasoning_open = false;           // the prompt ends inside it
    std::vector<std::string> call_starts;  // what the calls begin with; "{": only as the answer's first character
    bool whole = false;                    // the reader wants all of the answer, reasoning too
    bool parallel_calls = true;            // false: only the first counts
    std::shared_ptr<const CallReader> reader;  // null: no calls
    std::vector<ForcedCall> forced;            // not empty: the answer is one of these
};

class AnswerFormat {
public:
    // `chat_template` must be guarded, and outlive it. Where trying fails, nothing is set apart and no tools are known.
    static AnswerFormat find(const common_chat_template& chat_template);

    AnswerFormat(AnswerFormat&&) noexcept;
    AnswerFormat& operator=(AnswerFormat&&) noexcept;
    ~AnswerFormat();

    bool knows_tools() const;
    // Control tokens that are part of the form: their text must be kept.
    const std::vector<std::string>& kept_tokens() const;
    // `prompt_end`: the last few hundred bytes of the rendered prompt, which may open the reasoning. Throws std::exception.
    AnswerSyntax syntax(const protocol::openai::ChatRequest& request, std::string_view prompt_end) const;

private:
    struct State;
    explicit AnswerFormat(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace gantry::engine_server
