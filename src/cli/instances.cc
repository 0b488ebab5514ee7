// `gantry instances`: what instances went through, why they are where they are, and what their engines say of themselves now.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <optional>

#include "base/clock.h"
#include "cli/client.h"
#include "cli/decision.h"
#include "cli/output.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

struct Options {
    std::string name;
    bool follow = false;
    std::vector<std::string> ids;
};

std::string path_of(const std::string& instance) { return "/api/v1/instances/" + encode_segment(instance); }

bool is_instance(const std::string& name) { return name.starts_with("ins_"); }

// Of a deployment by name, or the one instance.
Result<std::vector<std::string>> instances_of(const ApiClient& client, const std::string& name) {
    if (is_instance(name)) {
        return std::vector<std::string>{name};
    }
    const Result<json::object> deployment = client.deployment(name);
    if (!deployment) {
        return deployment.error();
    }
    const Result<json::array> instances = client.list("/api/v1/instances?deployment=" + encode_segment(text_at(*deployment, "id")));
    if (!instances) {
        return instances.error();
    }
    std::vector<std::string> ids;
    for (const json::value& item : *instances) {
        ids.push_back(text_at(item.get_object(), "id"));
    }
    return ids;
}

// Of all of them, the oldest first. Each with its instance.
Result<json::array> events_of(const ApiClient& client, const std::vector<std::string>& ids) {
    std::vector<json::object> all;
    for (const std::string& id : ids) {
        const Result<json::array> events = client.list(path_of(id) + "/events");
        if (!events) {
            return events.error();
        }
        for (const json::value& item : *events) {
            json::object& event = all.emplace_back(item.get_object());
            event["instance_id"] = id;
        }
    }
    std::stable_sort(all.begin(), all.end(), [](const json::object& a, const json::object& b) { return text_at(a, "at") < text_at(b, "at"); });
    json::array out;
    for (json::object& event : all) {
        out.emplace_back(std::move(event));
    }
    return out;
}

int show_events(const Context& context, const Options& options) {
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    const auto ids = instances_of(*client, options.name);
    const Result<json::array> events = ids ? events_of(*client, *ids) : Result<json::array>(ids.error());
    if (!events) {
        return fail(events.error());
    }
    Table table({"TIME", "INSTANCE", "STATE", "RESTARTS", "REASON"});
    for (const json::value& item : *events) {
        const json::object& event = item.get_object();
        const std::string state = text_at(event, "state");
        table.add({text_at(event, "at"), text_at(event, "instance_id"), {state, colour_of_state(state)},
                   {std::to_string(number_at(event, "restarts")), Colour::kNone, true}, text_at(event, "reason")});
    }
    return print_list(context, *events, "state", table, options.name + " has no instances now, so there is nothing to tell");
}

// A figure that an engine's product doesn't tell is null.
std::optional<double> figure(const json::object& engine, const char* key) {
    const json::value* const value = engine.if_contains(key);
    return value != nullptr && value->is_number() ? std::optional(value->to_number<double>()) : std::nullopt;
}

Table::Cell shown(std::optional<double> value, const char* form) {
    return {value ? fmt::format(fmt::runtime(form), *value) : "-", value ? Colour::kNone : Colour::kDim, true};
}

std::optional<double> quotient(std::optional<double> sum, std::optional<double> count) {
    return sum && count && *count > 0 ? std::optional(*sum / *count) : std::nullopt;
}

// What was written between two looks, a second.
class Rates {
public:
    std::optional<double> tokens_per_second(const json::object& engine, int64_t at_ms) {
        const std::optional<double> total = figure(engine, "generated_tokens_total");
        if (!total) {
            return std::nullopt;
        }
        const auto [known, first] = last_.try_emplace(text_at(engine, "instance_id"), Look{*total, at_ms});
        const Look before = std::exchange(known->second, Look{*total, at_ms});
        if (first || at_ms <= before.at_ms || *total < before.total) {   // less than before: the engine was started anew
            return std::nullopt;
        }
        return (*total - before.total) * 1000 / static_cast<double>(at_ms - before.at_ms);
    }

private:
    struct Look {
        double total;
        int64_t at_ms;
    };
    std::map<std::string, Look> last_;
};

int print_figures(const Context& context, const Options& options, const json::object& figures, Rates& rates) {
    if (context.json) {
        print(json::serialize(figures) + "\n");
        return flushed(kDone);
    }
    std::vector<std::string> headers = {"INSTANCE", "RUNNING", "WAITING", "KV", "PROMPT TOKENS", "CACHED", "GENERATED", "MEAN TTFT"};
    if (options.follow) {
        headers.emplace_back("TOK/S");
    }
    Table table(headers);
    const int64_t at_ms = to_unix_ms(from_rfc3339(text_at(figures, "at")));
    const json::array& engines = array_at(figures, "items");
    for (const json::value& item : engines) {
        const json::object& engine = item.get_object();
        std::optional<double> kv = figure(engine, "kv_usage_ratio");
        if (kv) {
            *kv *= 100;
        }
        std::vector<Table::Cell> row = {text_at(engine, "instance_id"),
                                        shown(figure(engine, "sequences_running"), "{:.0f}"),
                                        shown(figure(engine, "sequences_waiting"), "{:.0f}"),
                                        shown(kv, "{:.0f} %"),
                                        shown(figure(engine, "prompt_tokens_total"), "{:.0f}"),
                                        shown(figure(engine, "cached_tokens_total"), "{:.0f}"),
                                        shown(figure(engine, "generated_tokens_total"), "{:.0f}"),
                                        shown(quotient(figure(engine, "first_token_seconds_sum"), figure(engine, "first_token_count")), "{:.3f} s")};
        if (options.follow) {
            row.push_back(shown(rates.tokens_per_second(engine, at_ms), "{:.1f}"));
        }
        table.add(std::move(row));
    }
    if (options.follow && stdout_is_terminal()) {
        print("\x1b[H\x1b[J");   // from the top, and nothing of the last look is left
    }
    return print_list(context, engines, "instance_id", table, "none of its engines tells figures now");
}

int show_metrics(const Context& context, const Options& options) {
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    const Result<json::object> deployment = client->deployment(options.name);
    if (!deployment) {
        return fail(deployment.error());
    }
    const std::string path = "/api/v1/deployments/" + encode_segment(text_at(*deployment, "id")) + "/metrics";
    Rates rates;
    if (!options.follow) {
        const Result<json::object> figures = client->get(path);
        return figures ? print_figures(context, options, *figures, rates) : fail(figures.error());
    }
    int status = kDone;
    const Status ended = client->events(path + "?follow=true", [&](const std::string& event, const json::object& figures) {
        if (event == "metrics") {
            status = print_figures(context, options, figures, rates);
        }
        return status == kDone;
    });
    return ended ? status : fail(ended.error());
}

int show_why(const Context& context, const Options& options) {
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    const Result<json::object> decision = client->get(path_of(options.name) + "/decision");
    if (!decision) {
        return fail(decision.error());
    }
    if (context.json) {
        print(json::serialize(*decision) + "\n");
    } else {
        print_decision(*decision);
    }
    return flushed(kDone);
}

int restart(const Context& context, const Options& options) {
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    int status = kDone;
    for (const std::string& id : options.ids) {
        const Result<json::value> removed = client->call("DELETE", path_of(id));
        if (!removed) {
            status = fail(removed.error());
        } else if (!context.quiet) {
            note(fmt::format("{} ends; another takes its place", printable(id)));
        }
    }
    return status;
}

}  // namespace

void add_instances(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("instances", "what instances went through, and what their engines say now; `gantry ps` lists them");
    verb->require_subcommand(1);
    Options& options = context.own<Options>();

    CLI::App* events = verb->add_subcommand("events", "the states that instances went through, with the reasons");
    events->add_option("NAME", options.name, "a deployment, or an instance (ins_...)")->required();
    add_client_options(*events, context);
    add_list_options(*events, context);
    events->callback([&context, &options] { context.action = [&context, &options] { return show_events(context, options); }; });

    CLI::App* metrics = verb->add_subcommand("metrics", "what the engines of a deployment say of themselves now");
    metrics->add_option("NAME", options.name, "a deployment")->required();
    metrics->add_flag("--follow,-f", options.follow, "again every two seconds, until Ctrl-C or the deployment is gone; with --json an object a line");
    add_client_options(*metrics, context);
    add_list_options(*metrics, context);
    metrics->callback([&context, &options] { context.action = [&context, &options] { return show_metrics(context, options); }; });

    CLI::App* why = verb->add_subcommand("why", "why an instance is where it is, or why it is nowhere yet; for admins");
    why->add_option("INSTANCE", options.name, "ins_...")->required();
    why->add_flag("--json", context.json, "print the decision as JSON");
    add_client_options(*why, context);
    why->callback([&context, &options] { context.action = [&context, &options] { return show_why(context, options); }; });

    CLI::App* again = verb->add_subcommand("restart", "end instances at once; others take their places");
    again->add_option("INSTANCE", options.ids, "ins_...")->required();
    again->add_flag("-q,--quiet", context.quiet, "no chatter");
    add_client_options(*again, context);
    again->callback([&context, &options] { context.action = [&context, &options] { return restart(context, options); }; });
}

}  // namespace gantry::cli
