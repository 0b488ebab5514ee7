#pragma once
// An HTTP/1.1 answer out of the bytes of a connection, with a length or in chunks. Trusts its server as far as a bench may.

#include <functional>
#include <string>
#include <string_view>

namespace gantry::load {

class AnswerParser {
public:
    using Sink = std::function<void(std::string_view)>;
    explicit AnswerParser(Sink body) : body_(std::move(body)) {}

    // Takes all of `bytes`. False: this is no answer.
    bool feed(std::string_view bytes);
    bool done() const { return state_ == State::kDone; }
    int status() const { return status_; }
    bool keeps_alive() const { return keeps_alive_; }
    void reset();

private:
    enum class State { kHead, kSize, kChunk, kChunkEnd, kTrailer, kFixed, kDone };
    bool take_head();
    void take_size();
    void take_body(std::string_view& bytes);

    Sink body_;
    State state_ = State::kHead;
    std::string text_;       // the head, or a line of the framing
    size_t left_ = 0;        // of the body or chunk
    int status_ = 0;
    bool keeps_alive_ = true;
};

}  // namespace gantry::load
