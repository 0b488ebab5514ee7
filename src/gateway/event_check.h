#pragma once
// Looks into an event of an engine's stream without building a document: whether it is one valid JSON object (strict, UTF-8
// checked), the few facts that decide how it goes on, and where in it stands what may have to be changed. No allocation for
// events of usual depth. Threads: any.

#include <cstddef>
#include <optional>
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
    Span model;                  // the last "model"'s value
    Span usage_member;           // the last "usage", with the comma that goes if it does
};

// nullopt: not exactly one JSON object.
std::optional<EventFacts> check_event(std::string_view data);

}  // namespace gantry::gateway
