// Any bytes as an event of an engine's stream. The scanner must take what the parser takes, and say of it what the parsed
// document says; what its spans cut out must be what they name.

#include <cstdint>
#include <string>

#include "base/assert.h"
#include "base/json.h"
#include "gateway/event_check.h"

namespace gantry::gateway {
namespace {

// With short numbers outside of strings: that one is too large for the parser is all that the two may differ in.
std::string with_small_numbers(std::string_view text) {
    std::string out;
    bool in_string = false;
    bool in_exponent = false;
    size_t digits = 0;   // in a row so far
    for (size_t at = 0; at < text.size(); ++at) {
        const char c = text[at];
        const bool digit = !in_string && c >= '0' && c <= '9';
        if (!digit) {
            in_exponent = (digits > 0 && (c == 'e' || c == 'E')) || (in_exponent && digits == 0 && (c == '+' || c == '-'));
            digits = 0;
        }
        if (digit && ++digits > (in_exponent ? 1 : 18)) continue;
        out += c;
        if (c == '"') in_string = !in_string;
        if (in_string && c == '\\' && at + 1 < text.size()) out += text[++at];
    }
    return out;
}

bool is_text_key(std::string_view name) {
    return name == "text" || name == "content" || name == "reasoning" || name == "arguments" || name == "reasoning_content";
}

// Whether `value`, which stands in `depth` others below "choices", holds a text for a person.
bool has_output(const json::value& value, size_t depth, bool readable) {
    if (const json::string* text = value.if_string()) return readable && !text->empty();
    if (const json::array* items = value.if_array()) {
        for (const json::value& item : *items) {
            if (has_output(item, depth + 1, readable)) return true;
        }
    }
    if (const json::object* members = value.if_object()) {
        for (const auto& [name, member] : *members) {
            if (has_output(member, depth + 1, depth + 1 >= 3 && is_text_key(name))) return true;
        }
    }
    return false;
}

EventFacts facts_of(const json::object& event) {
    EventFacts facts;
    if (const json::value* error = event.if_contains("error")) facts.error = !error->is_null();
    if (const json::value* usage = event.if_contains("usage")) {
        facts.usage_key = true;
        facts.usage = usage->is_object();
        facts.usages = 1;
    }
    if (const json::value* choices = event.if_contains("choices")) {
        facts.no_choices = choices->is_array() && choices->get_array().empty();
        facts.output = has_output(*choices, 1, false);
    }
    facts.models = event.contains("model") ? 1 : 0;
    return facts;
}

std::string_view text_at(std::string_view text, const Span& span) {
    GANTRY_ASSERT(span.begin <= span.end && span.end <= text.size(), "a span is within the event");
    return text.substr(span.begin, span.end - span.begin);
}

// A text may name a key twice: then a fact is of any of them, and the document has the last.
void check_as_it_stands(std::string_view text, const EventFacts& seen, const json::object& event) {
    const EventFacts facts = facts_of(event);
    GANTRY_ASSERT(seen.error || !facts.error, "an error is seen");
    GANTRY_ASSERT(seen.output || !facts.output, "a text is seen");
    GANTRY_ASSERT(seen.usage || !facts.usage, "usage is seen");
    GANTRY_ASSERT(seen.usage_key == facts.usage_key && seen.usage_key == (seen.usages > 0), "the key of usage is seen");
    GANTRY_ASSERT((seen.models > 0) == event.contains("model"), "the model is seen");
    if (seen.models > 0) {
        const Result<json::value> model = parse_json(text_at(text, seen.model));
        GANTRY_ASSERT(model && *model == event.at("model"), "its span is the model's value");
    }
    if (seen.usages != 1) return;
    std::string without(text);
    without.erase(seen.usage_member.begin, text_at(text, seen.usage_member).size());
    json::object expected = event;
    expected.erase("usage");
    const Result<json::value> rest = parse_json(without);
    GANTRY_ASSERT(rest && *rest == expected, "without its span the event has no usage");
}

// Written anew, no key stands twice: the facts are exactly the document's.
void check_written_anew(const json::object& event) {
    const std::optional<EventFacts> seen = check_event(json::serialize(event));
    GANTRY_ASSERT(seen.has_value(), "what is written anew is an event");
    const EventFacts facts = facts_of(event);
    GANTRY_ASSERT(seen->error == facts.error && seen->output == facts.output && seen->no_choices == facts.no_choices, "facts are exact");
    GANTRY_ASSERT(seen->usage == facts.usage && seen->usages == facts.usages && seen->models == facts.models, "counts are exact");
}

bool same(const Span& a, const Span& b) { return a.begin == b.begin && a.end == b.end; }

// An event behind another of its stream is seen as it would be alone.
void check_behind(std::string_view text, const EventFacts& seen) {
    EventCheck stream;
    stream(text);
    for (const char* words : {"", "other words", "\\u00e9", "\"", "\\", "\",\"error\":1,\"x\":\""}) {
        const std::string next = std::string(text.substr(0, seen.text.begin)) + words + std::string(text.substr(seen.text.end));
        const std::optional<EventFacts> alone = check_event(next), behind = stream(next);
        GANTRY_ASSERT(alone.has_value() == behind.has_value(), "an event is one wherever it stands");
        if (!alone) continue;
        GANTRY_ASSERT(alone->error == behind->error && alone->output == behind->output && alone->no_choices == behind->no_choices, "its facts");
        GANTRY_ASSERT(alone->usage == behind->usage && alone->usages == behind->usages && alone->models == behind->models, "its counts");
        GANTRY_ASSERT(same(alone->model, behind->model) && same(alone->usage_member, behind->usage_member), "its spans");
        GANTRY_ASSERT(same(alone->usage_value, behind->usage_value) && same(alone->timings, behind->timings), "and those of its figures");
    }
}

void check(std::string_view text) {
    const std::optional<EventFacts> seen = check_event(text);
    if (seen && seen->texts > 0) check_behind(text, *seen);
    Result<json::value> parsed = parse_json(text);
    if (seen && !parsed) {
        parsed = parse_json(with_small_numbers(text));
        GANTRY_ASSERT(parsed && parsed->is_object(), "the scanner takes what the parser takes");
        return;
    }
    GANTRY_ASSERT(seen.has_value() == (parsed && parsed->is_object()), "the scanner takes what the parser takes");
    if (!seen) return;
    check_as_it_stands(text, *seen, parsed->get_object());
    check_written_anew(parsed->get_object());
}

}  // namespace
}  // namespace gantry::gateway

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    gantry::gateway::check({reinterpret_cast<const char*>(data), size});
    return 0;
}
