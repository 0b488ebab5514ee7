#pragma once
// APIs that ask for the same in other words. The gateway turns their requests into a chat completion or a rerank, so that
// every engine can serve them, and a translator turns the answer back: whole, or event by event. It remembers what the
// request said that an answer must repeat. Threads: a plain value, one request each.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "protocol/openai/responses.h"

namespace gantry::protocol {

class Translator {
public:
    virtual ~Translator() = default;
    virtual json::value whole(const json::object& answer) = 0;
    // The same error, about the field as the client called it.
    Error renamed(Error error) const;

    // Streams; each appends framed events to `out`. The order: begin, chunks, then end or broken.
    virtual void begin(std::string& out) { (void)out; }
    virtual void chunk(const json::object& chunk, std::string& out) { (void)chunk, (void)out; }
    virtual void end(const std::optional<openai::Usage>& usage, std::string& out) { (void)usage, (void)out; }
    virtual void broken(const Error& error, std::string& out) { (void)error, (void)out; }

protected:
    // The client's name for a field of the request that the engine got.
    virtual std::string client_path(const std::string& path) const { return path; }
};

// What was made of a request: the body that asks an engine for the same, and the way back.
struct Translated {
    json::object body;
    std::unique_ptr<Translator> translator;
};

// Where the messages of a chat completion come from in another API's request.
struct MessageOrigins {
    std::string list;                     // "input"
    std::vector<std::string> of_message;  // "instructions", "input[0]" ...

    std::string path_of(const std::string& chat_path) const;   // of "messages[2].content"; others stay
};

// The two APIs have flat tools, where a chat nests them: "tools[1].function.name" is their "tools[1].name".
std::string flat_tool_path(const std::string& chat_path);
// A chat's tool_choice of one function.
json::object choice_of_function(const std::string& name);

// Of APIs that ask for one chat completion. Takes chunks and whole answers of any engine apart.
class ChatTranslator : public Translator {
public:
    json::value whole(const json::object& answer) final;
    void chunk(const json::object& chunk, std::string& out) final;
    void end(const std::optional<openai::Usage>& usage, std::string& out) final { finished(usage, out); }

protected:
    // The answer as it comes, in whole or in pieces. `out` takes events; of a whole answer nobody reads them.
    virtual void on_reasoning(std::string_view text, std::string& out) = 0;
    virtual void on_text(std::string_view text, const json::array& logprobs, std::string& out) = 0;
    virtual void on_call(std::string_view id, std::string_view name, std::string& out) = 0;
    virtual void on_arguments(std::string_view text, std::string& out) = 0;
    // The whole answer; of a stream, its last events.
    virtual json::object finished(const std::optional<openai::Usage>& usage, std::string& out) = 0;

    const std::string& finish_reason() const { return finish_reason_; }   // empty: none yet
    const std::string& stop_text() const { return stop_text_; }           // the stop string that ended it, where the engine says so

private:
    void take(const json::object& message, const json::object& choice, std::string& out);
    void take_call(const json::object& call, size_t place, std::string& out);

    std::optional<uint64_t> call_index_;   // of the call that pieces belong to
    std::string finish_reason_;
    std::string stop_text_;
};

// An event of a stream whose events have names, as both APIs write them.
void append_event(std::string& out, std::string_view name, const json::object& data);

}  // namespace gantry::protocol
