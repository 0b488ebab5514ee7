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
    std::string figures = "{";
    const auto add = [&](const char* name, const Span& value) {
        if (value.end > 0) figures.append(figures.size() > 1 ? "," : "").append(name).append(text, value.begin, value.end - value.begin);
    };
    add("\"usage\":", facts.usage_value);
    add("\"timings\":", facts.timings);
    figures += '}';
    JsonArena<2048> arena;
    const Result<json::value> parsed = parse_json(figures, arena.memory());
    if (!parsed) return false;   // a number beyond all bounds
    read_figures(parsed->get_object(), out);
    if (options.foreign) text.replace(facts.model.begin, facts.model.end - facts.model.begin, json::serialize(json::value(options.model)));
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
