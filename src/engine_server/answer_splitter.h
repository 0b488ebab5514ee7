#pragma once
// Takes an answer's text apart as it comes: reasoning, content, tool calls (answer_format.h). Each character is looked at a bounded
// number of times, however long the answer is: calls are read anew only when their text has grown by a quarter. What may turn out
// to be a marker is held back until it is clear. Threads: a plain value.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine_server/answer_format.h"

namespace gantry::engine_server {

// One more piece of a call. The name comes with the first piece, whole.
struct CallPiece {
    uint32_t index = 0;
    std::string name;
    std::string arguments;
};

class AnswerSplitter {
public:
    explicit AnswerSplitter(std::shared_ptr<const AnswerSyntax> syntax);  // null: all is content

    void push(std::string_view text);
    void finish();  // no more text comes
    bool in_reasoning() const { return state_ == State::kReasoning; }
    uint32_t calls() const { return calls_; }  // begun so far

    // What was found since whoever reads it took it.
    std::string reasoning;
    std::string content;
    std::vector<CallPiece> pieces;

private:
    enum class State { kStart, kReasoning, kContent, kCalls, kForced, kArguments };

    void run(bool last);
    bool start(bool last);
    void skip_space();
    bool reason(bool last);
    bool say(bool last);
    bool force();
    void read_calls(bool last);
    void take(const ReadAnswer& answer, bool last);

    static constexpr size_t kReadFirst = 32;

    std::shared_ptr<const AnswerSyntax> syntax_;
    State state_ = State::kContent;
    bool skip_space_ = false;  // what comes next begins with white space that belongs to a marker
    std::string pending_;      // not clear yet; the calls' text once there are any
    size_t read_at_ = kReadFirst;   // pending_ is read again when it is as long as this
    ReadAnswer taken_;
    uint32_t calls_ = 0;
};

}  // namespace gantry::engine_server
