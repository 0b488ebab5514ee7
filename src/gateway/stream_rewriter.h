#pragma once
// Turns the events of an engine's stream into those that a client gets. Pure: bytes in, bytes out.

#include <optional>
#include <string>

#include "base/result.h"
#include "gateway/event_check.h"
#include "gateway/event_check.h"
#include "http/http.h"
#include "protocol/openai/responses.h"
#include "protocol/translator.h"

namespace gantry::gateway {

class StreamRewriter {
public:
    struct Options {
        std::string model;          // the public name
        bool foreign = false;       // an engine product of others: it may use its own model name
        bool wants_usage = false;   // the client asked for the usage chunk
        protocol::Translator* translator = nullptr;   // of another API's events; outlives the rewriter
    };
    explicit StreamRewriter(Options options);

    // The events before the engine's, and those after its last one: of an unbroken stream, and of a broken one.
    std::string begin();
    std::string end();
    std::string broken(const Error& error);

    // Appends the framed event for the client to `out`; nothing for one it must not get. An error: the stream is broken here,
    // and no event after it counts.
    Status take(const http::SseView& event, std::string& out);
    bool done() const { return done_; }                  // [DONE] was seen; the caller writes it, after metering
    uint32_t output_events() const { return output_events_; }
    const std::optional<protocol::openai::Usage>& usage() const { return usage_; }
    const std::optional<protocol::openai::AnswerTimings>& timings() const { return timings_; }   // of the event with the usage

private:
    Status rewrite(const http::SseView& event, bool usage_unasked, std::string& out);
    void change(std::string_view data, const EventFacts& facts, bool usage_unasked);   // into changed_

    const Options options_;
    const std::string model_json_;   // the public name as JSON
    EventCheck check_;
    std::string changed_;            // kept for its memory
    bool done_ = false;
    uint32_t output_events_ = 0;
    std::optional<protocol::openai::Usage> usage_;
    std::optional<protocol::openai::AnswerTimings> timings_;
};

}  // namespace gantry::gateway
