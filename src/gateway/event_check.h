#pragma once
// Looks into an event of an engine's stream without building a document: whether it is one valid JSON object (strict, UTF-8
// checked), the few facts that decide how it goes on, and where in it stands what may have to be changed. No allocation for
// events of usual depth. Threads: any.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace gantry::gateway {

// Bytes of an event: [begin, end).
struct Span {
    size_t begin = 0;
    size_t end = 0;
};

struct EventFacts {
    bool error = false;          // a top-level "error" that is not null
    bool usage = false;          // "usage" is an object
    bool usage_key = false;      // "usage" is there, maybe null
    bool no_choices = false;     // "choices" is an empty array
    bool output = false;         // some text for a person to read (or arguments of a tool call)
    int models = 0;              // how many top-level keys are "model", and "usage"
    int usages = 0;
    bool answer = false;         // the key that was asked about is there
    int texts = 0;               // for a person, empty ones too
    Span text;                   // the last of them, without its quotes
    Span model;                  // the last "model"'s value
    Span usage_value;            // the last "usage"'s
    Span timings;                // the last "timings"'s
    Span usage_member;           // the last "usage", with the comma that goes if it does
};

// nullopt: not exactly one JSON object. `answer_key`: of the top level; empty: there in any case.
std::optional<EventFacts> check_event(std::string_view data, std::string_view answer_key = {});

// The same for the events of one stream, which mostly differ from each other in one text: where all around it is, byte for byte, as in an
// event that was looked at, only the text is.
class EventCheck {
public:
    std::optional<EventFacts> operator()(std::string_view data);

private:
    std::optional<EventFacts> as_before(std::string_view data) const;
    std::string before_{};        // an event with one text; empty: none yet
    EventFacts facts_{};          // of it
};

}  // namespace gantry::gateway
