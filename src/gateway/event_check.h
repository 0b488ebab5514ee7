#pragma once
// Looks into an event of an engine's stream without building a document: whether it is one valid JSON object (strict, UTF-8
// checked), and the few facts that decide how it goes on. No allocation for events of usual depth. Threads: any.

#include <optional>
#include <string_view>

namespace gantry::gateway {

struct EventFacts {
    bool error = false;          // a top-level "error" that is not null
    bool usage = false;          // "usage" is an object
    bool usage_key = false;      // "usage" is there, maybe null
    bool no_choices = false;     // "choices" is an empty array
    bool output = false;         // some text for a person to read (or arguments of a tool call)
};

// nullopt: not exactly one JSON object.
std::optional<EventFacts> check_event(std::string_view data);

}  // namespace gantry::gateway
