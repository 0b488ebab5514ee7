#include "gateway/whole_answer.h"

#include "base/json_arena.h"
#include "gateway/event_check.h"
#include "protocol/openai/errors.h"
#include "protocol/openai/upstream.h"

namespace gantry::gateway {
namespace {

namespace openai = protocol::openai;

void read_figures(const json::object& fields, WholeAnswer& out) {
    out.usage = openai::usage_of(fields);
    out.timings = openai::timings_of(fields);
}

// A document is made of the figures alone, and nothing else is written anew.
bool read_in_place(std::string& text, const EventFacts& facts, const WholeOptions& options, WholeAnswer& out) {
    const auto read = [&text](const Span& span, const auto& use) {
        if (span.end == 0) return true;
        JsonArena<2048> arena;
        const Result<json::value> parsed = parse_json(std::string_view(text).substr(span.begin, span.end - span.begin), arena.memory());
        if (!parsed) return false;   // a number beyond all bounds
        if (const json::object* fields = parsed->if_object()) use(*fields);
        return true;
    };
    if (!read(facts.usage_value, [&out](const json::object& fields) { out.usage = openai::usage_in(fields); })) return false;
    if (!read(facts.timings, [&out](const json::object& fields) { out.timings = openai::timings_in(fields); })) return false;
    if (options.foreign) {
        std::string name;
        append_json(name, options.model);
        text.replace(facts.model.begin, facts.model.end - facts.model.begin, name);
    }
    return true;
}

}  // namespace

WholeAnswer read_whole(std::string& text, const WholeOptions& options) {
    WholeAnswer out;
    const std::optional<EventFacts> facts = check_event(text, options.key == nullptr ? std::string_view{} : options.key);
    if (facts && facts->answer && options.translator == nullptr && (!options.foreign || facts->models == 1)) {
        out.valid = read_in_place(text, *facts, options, out);
        if (out.valid) return out;
    }
    Result<json::value> parsed = parse_json(text);
    out.valid = parsed && parsed->is_object() && (options.key == nullptr || parsed->get_object().contains(options.key));
    if (!out.valid) {
        if (parsed) out.error = openai::error_of(500, *parsed);   // an error in a 200 is an error
        return out;
    }
    json::object& fields = parsed->get_object();
    read_figures(fields, out);
    if (options.foreign) fields["model"] = options.model;
    if (options.translator != nullptr) text = json::serialize(options.translator->whole(fields));
    else if (options.foreign) text = json::serialize(fields);
    return out;
}

}  // namespace gantry::gateway
