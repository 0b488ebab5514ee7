// `gantry usage` and `gantry audit`: what was used, and who changed what.

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "base/clock.h"
#include "cli/client.h"
#include "cli/output.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

struct Options {
    std::string from, to;
    bool csv = false;
    // usage
    std::vector<std::string> by{"model"};
    std::string bucket = "total";
    std::string user, model;
    bool records = false;
    // audit
    std::string actor, kind, object;
    uint32_t limit = 50;
};

// "7d" ago, or what the server takes: a date, a time.
std::string moment(const std::string& text) {
    const Result<int64_t> seconds = parse_period(text);
    return seconds ? to_rfc3339(system_clock().wall() - std::chrono::seconds(*seconds)) : text;
}

void add_query(std::string& target, const char* name, const std::string& value) {
    if (!value.empty()) {
        target += fmt::format("{}{}={}", target.find('?') == std::string::npos ? '?' : '&', name, encode_segment(value));
    }
}

void add_times(std::string& target, const Options& options) {
    add_query(target, "from", options.from.empty() ? "" : moment(options.from));
    add_query(target, "to", options.to.empty() ? "" : moment(options.to));
}

// Piece by piece, however long it is.
int print_csv(const ApiClient& client, std::string target) {
    add_query(target, "format", "csv");
    const Status streamed = client.stream(target, [](std::string_view bytes) {
        print(std::string(bytes));
        return std::ferror(stdout) == 0;
    });
    return streamed ? flushed(kDone) : fail(streamed.error());
}

Table::Cell number(const json::object& object, const char* key) { return {std::to_string(number_at(object, key)), Colour::kNone, true}; }

Table::Cell audio(const json::object& item) {
    return {fmt::format("{:.1f} s", static_cast<double>(number_at(item, "audio_ms")) / 1000), Colour::kNone, true};
}

// A name, or the id of what is gone; "-" for what there never was.
std::string name_or_id(const json::object& item, const std::string& what) {
    const std::string name = text_at(item, what + "_name");
    const std::string id = text_at(item, what + "_id");
    return !name.empty() ? name : !id.empty() ? id : "-";
}

std::string upper(std::string text) {
    for (char& c : text) {
        c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    }
    return text;
}

Table summary_table(const json::array& items, const Options& options) {
    std::vector<std::string> headers;
    if (options.bucket != "total") {
        headers.push_back(upper(options.bucket));
    }
    for (const std::string& group : options.by) {
        headers.push_back(upper(group));
    }
    for (const char* header : {"REQUESTS", "FAILED", "ABORTED", "PROMPT", "CACHED", "COMPLETION", "REASONING", "AUDIO", "IMAGES", "TTFT"}) {
        headers.emplace_back(header);
    }
    Table table(headers);
    for (const json::value& value : items) {
        const json::object& item = value.get_object();
        std::vector<Table::Cell> row;
        if (options.bucket != "total") {
            row.emplace_back(text_at(item, "bucket").substr(0, options.bucket == "day" ? 10 : 16));
        }
        for (const std::string& group : options.by) {
            const bool named = group == "user" || group == "key";
            row.emplace_back(named ? name_or_id(item, group) : text_at(item, group == "instance" ? "instance_id" : group));
        }
        for (const char* key : {"requests", "failed", "aborted", "prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens"}) {
            row.push_back(number(item, key));
        }
        row.push_back(audio(item));
        row.push_back(number(item, "images"));
        const int64_t count = number_at(item, "ttft_count");
        row.emplace_back(count > 0 ? fmt::format("{} ms", number_at(item, "ttft_ms_sum") / count) : "", Colour::kNone, true);
        table.add(std::move(row));
    }
    return table;
}

Table records_table(const json::array& items) {
    Table table({"TIME", "USER", "KEY", "MODEL", "OPERATION", "STATUS", "PROMPT", "CACHED", "COMPLETION", "AUDIO", "IMAGES", "TTFT",
                 "DURATION"});
    for (const json::value& value : items) {
        const json::object& item = value.get_object();
        const std::string status = flag_at(item, "aborted") ? "aborted" : std::to_string(number_at(item, "status"));
        table.add({text_at(item, "at"), name_or_id(item, "user"), name_or_id(item, "key"), text_at(item, "model"),
                   text_at(item, "operation"), status, number(item, "prompt_tokens"), number(item, "cached_tokens"),
                   number(item, "completion_tokens"), audio(item), number(item, "images"),
                   {fmt::format("{} ms", number_at(item, "ttft_ms")), Colour::kNone, true},
                   {fmt::format("{} ms", number_at(item, "duration_ms")), Colour::kNone, true}});
    }
    return table;
}

int show_usage(const Context& context, const Options& options) {
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    std::string target = options.records ? "/api/v1/usage" : "/api/v1/usage/summary";
    if (!options.records) {
        add_query(target, "bucket", options.bucket);
        std::string by;
        for (const std::string& group : options.by) {
            by += (by.empty() ? "" : ",") + group;
        }
        add_query(target, "group_by", by);
    }
    add_query(target, "user", options.user);
    add_query(target, "model", options.model);
    add_times(target, options);
    if (options.csv) {
        return print_csv(*client, target);
    }
    const Result<json::array> items = client->list(target);
    if (!items) {
        return fail(items.error());
    }
    const Table table = options.records ? records_table(*items) : summary_table(*items, options);
    return print_list(context, *items, options.records ? "request_id" : "model", table, "no usage in that time");
}

std::string changes_of(const json::object& event) {
    std::string out;
    for (const json::value& value : array_at(event, "changes")) {
        const json::object& change = value.get_object();
        const std::string from = text_at(change, "from"), to = text_at(change, "to");
        out += (out.empty() ? "" : "; ") + text_at(change, "field");
        if (!from.empty() || !to.empty()) {
            out += fmt::format(": {} -> {}", from.empty() ? "-" : from, to.empty() ? "-" : to);
        }
    }
    return out;
}

int show_audit(const Context& context, const Options& options) {
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    std::string target = "/api/v1/audit?order=desc";
    add_query(target, "actor", options.actor);
    add_query(target, "kind", options.kind);
    add_query(target, "object", options.object);
    add_times(target, options);
    if (options.csv) {
        return print_csv(*client, target);
    }
    const Result<json::object> page = client->get(fmt::format("{}&limit={}", target, options.limit));
    if (!page) {
        return fail(page.error());
    }
    const json::array& items = array_at(*page, "items");
    Table table({"TIME", "WHO", "VIA", "FROM", "ACTION", "OBJECT", "CHANGES"});
    for (const json::value& value : items) {
        const json::object& event = value.get_object();
        const std::string name = text_at(event, "object_name");
        const bool failed = number_at(event, "status") >= 400;
        table.add({text_at(event, "at"), name_or_id(event, "actor"), text_at(event, "via"), text_at(event, "peer"),
                   {text_at(event, "action") + (failed ? " failed" : ""), failed ? Colour::kRed : Colour::kNone},
                   text_at(event, "object_kind") + " " + (name.empty() ? text_at(event, "object_id") : name), changes_of(event)});
    }
    const int status = print_list(context, items, "id", table, "nothing of that was changed");
    if (!context.json && !context.quiet && !text_at(*page, "next_cursor").empty()) {
        note(fmt::format("only the last {}; --limit shows more, --csv all", options.limit));
    }
    return status;
}

void add_time_options(CLI::App& verb, Context& context, Options& options) {
    verb.add_option("--from", options.from, "from then on: a date, a time in UTC, or 7d, 12h ago")->type_name("TIME");
    verb.add_option("--to", options.to, "before then")->type_name("TIME");
    verb.add_flag("--csv", options.csv, "print CSV, all of it");
    add_client_options(verb, context);
    add_list_options(verb, context);
}

}  // namespace

void add_usage(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("usage", "show what was used: requests, tokens, recordings, images");
    Options& options = context.own<Options>();
    verb->add_option("--by", options.by, "user, key, model, instance, operation; several with commas; default: model")
        ->delimiter(',')
        ->allow_extra_args(false)
        ->check(CLI::IsMember({"user", "key", "model", "instance", "operation"}))
        ->type_name("WORDS");
    verb->add_option("--bucket", options.bucket, "hour, day (of UTC) or total")
        ->capture_default_str()
        ->check(CLI::IsMember({"hour", "day", "total"}));
    verb->add_option("--user", options.user, "only of this user")->type_name("NAME");
    verb->add_option("--model", options.model, "only of this model")->type_name("NAME");
    verb->add_flag("--records", options.records, "the records themselves, a line a request");
    add_time_options(*verb, context, options);
    verb->callback([&context, &options] { context.action = [&context, &options] { return show_usage(context, options); }; });
}

void add_audit(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("audit", "show who changed what; for admins");
    Options& options = context.own<Options>();
    verb->add_option("--actor", options.actor, "only by this user")->type_name("NAME");
    verb->add_option("--kind", options.kind, "only of this kind: deployment, user, key, session, ...")->type_name("KIND");
    verb->add_option("--object", options.object, "only of the object with this id or name")->type_name("NAME");
    verb->add_option("--limit", options.limit, "so many, the newest first")->capture_default_str()->check(CLI::Range(1, 500));
    add_time_options(*verb, context, options);
    verb->callback([&context, &options] { context.action = [&context, &options] { return show_audit(context, options); }; });
}

}  // namespace gantry::cli
