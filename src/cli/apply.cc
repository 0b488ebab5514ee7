// `gantry apply`, `gantry diff` and `gantry export`: deployments as a file says them, what that would change, and such a file.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <iterator>

#include "base/platform/files.h"
#include "cli/client.h"
#include "cli/declared.h"
#include "cli/output.h"
#include "cli/waiting.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

struct Options {
    std::string file;
    bool prune = false;
    bool yes = false;
    bool wait = false;
    uint32_t wait_seconds = 1800;
    bool exit_code = false;
};

Result<std::string> read_text(const std::string& file) {
    constexpr size_t kFileMax = 8u << 20;
    if (file == "-") {
        return std::string(std::istreambuf_iterator<char>(std::cin), {});
    }
    return platform::read_file(file, kFileMax);
}

Result<Difference> difference_of(const ApiClient& client, const Options& options) {
    const Result<std::string> text = read_text(options.file);
    if (!text) {
        return text.error();
    }
    const auto declared = read_declared(*text);
    if (!declared) {
        return invalid_argument(fmt::format("{}: {}", options.file, declared.error().message));
    }
    const Result<json::array> there = client.list("/api/v1/deployments");
    if (!there) {
        return there.error();
    }
    Difference difference = compare(*declared, *there);
    if (!options.prune) {
        difference.undeclared.clear();
    }
    return difference;
}

std::string name_of(const DeploymentChange& change) { return text_at(change.wanted, "name"); }

json::object to_json(const Difference& difference) {
    json::array created, changed, unchanged, deleted;
    for (const DeploymentChange& one : difference.created) {
        created.emplace_back(one.wanted);
    }
    for (const DeploymentChange& one : difference.changed) {
        json::array changes;
        for (const FieldChange& c : one.changes) {
            changes.emplace_back(json::object{{"field", c.field}, {"from", c.from}, {"to", c.to}});
        }
        changed.emplace_back(json::object{{"name", name_of(one)}, {"changes", std::move(changes)}});
    }
    for (const std::string& name : difference.unchanged) {
        unchanged.emplace_back(name);
    }
    for (const json::object& one : difference.undeclared) {
        deleted.emplace_back(text_at(one, "name"));
    }
    return {{"created", std::move(created)}, {"changed", std::move(changed)}, {"deleted", std::move(deleted)}, {"unchanged", std::move(unchanged)}};
}

std::string sign(const char* text, Colour colour) { return coloured(text, colours() ? colour : Colour::kNone); }

std::string text_of(const Difference& difference) {
    std::string text;
    for (const DeploymentChange& one : difference.created) {
        text += fmt::format("{} {}\n", sign("+", Colour::kGreen), printable(name_of(one)));
    }
    for (const DeploymentChange& one : difference.changed) {
        text += fmt::format("{} {}\n", sign("~", Colour::kYellow), printable(name_of(one)));
        for (const FieldChange& c : one.changes) {
            text += fmt::format("    {}: {} -> {}\n", c.field, printable(json::serialize(c.from)), printable(json::serialize(c.to)));
        }
    }
    for (const json::object& one : difference.undeclared) {
        text += fmt::format("{} {}\n", sign("-", Colour::kRed), printable(text_at(one, "name")));
    }
    return text;
}

bool empty(const Difference& d) { return d.created.empty() && d.changed.empty() && d.undeclared.empty(); }

int show_difference(const Context& context, const Options& options) {
    const Result<ApiClient> client = ApiClient::connect(context);
    const Result<Difference> difference = client ? difference_of(*client, options) : Result<Difference>(client.error());
    if (!difference) {
        return fail(difference.error());
    }
    if (context.json) {
        print(json::serialize(to_json(*difference)) + "\n");
    } else {
        print(text_of(*difference));
        if (empty(*difference)) {
            note("nothing would change");
        }
    }
    return flushed(options.exit_code && !empty(*difference) ? kFailed : kDone);
}

// PATCH of the fields that differ, against the version that was compared.
Result<json::value> change_one(const ApiClient& client, const DeploymentChange& change) {
    json::object body{{"version", number_at(change.is, "version")}};
    for (const FieldChange& c : change.changes) {
        const std::string field = c.field.substr(0, c.field.find('.'));
        body[field] = change.wanted.at(field);
    }
    return client.call("PATCH", "/api/v1/deployments/" + encode_segment(text_at(change.is, "id")), body);
}

// Each on its own: one that the server refuses keeps none of the others back.
int carry_out(const Context& context, const ApiClient& client, const Options& options, const Difference& difference) {
    int status = kDone;
    std::vector<std::string> to_wait_for;
    const auto done = [&](const Result<json::value>& answer, const std::string& name, const char* what, bool waits) {
        if (!answer) {
            status = fail(fmt::format("{}: {}", name, answer.error().message));
            return;
        }
        if (!context.quiet && !context.json) {
            note(fmt::format("{} {}", printable(name), what));
        }
        if (waits) {
            to_wait_for.push_back(name);
        }
    };
    const auto serves = [](const DeploymentChange& c) { return !flag_at(c.wanted, "stopped") && number_at(c.wanted, "replicas") > 0; };
    for (const DeploymentChange& one : difference.created) {
        done(client.call("POST", "/api/v1/deployments", one.wanted), name_of(one), "is created", serves(one));
    }
    for (const DeploymentChange& one : difference.changed) {
        done(change_one(client, one), name_of(one), "is changed", serves(one));
    }
    for (const json::object& one : difference.undeclared) {
        done(client.call("DELETE", "/api/v1/deployments/" + encode_segment(text_at(one, "id"))), text_at(one, "name"), "is removed", false);
    }
    for (const std::string& name : to_wait_for) {
        const Status waited = options.wait ? wait_for_rollout(client, name, !context.quiet && !context.json,
                                                              std::chrono::seconds(options.wait_seconds))
                                           : Status(Ok{});
        if (!waited) {
            status = fail(waited.error());
        }
    }
    return status;
}

int apply(const Context& context, const Options& options) {
    const Result<ApiClient> client = ApiClient::connect(context);
    const Result<Difference> difference = client ? difference_of(*client, options) : Result<Difference>(client.error());
    if (!difference) {
        return fail(difference.error());
    }
    if (!difference->undeclared.empty() && !options.yes) {
        std::string names;
        for (const json::object& one : difference->undeclared) {
            names += (names.empty() ? "" : ", ") + text_at(one, "name");
        }
        fail(fmt::format("--prune would remove {}; add --yes to say that this is meant. Nothing was changed", names));
        return kWrongUsage;
    }
    const int status = carry_out(context, *client, options, *difference);
    if (context.json) {
        print(json::serialize(to_json(*difference)) + "\n");
    } else if (!context.quiet && empty(*difference)) {
        note("nothing to change");
    }
    return flushed(status);
}

int export_all(const Context& context) {
    const Result<ApiClient> client = ApiClient::connect(context);
    const Result<json::array> there = client ? client->list("/api/v1/deployments") : Result<json::array>(client.error());
    if (!there) {
        return fail(there.error());
    }
    print(export_text(*there));
    return flushed(kDone);
}

void add_file(CLI::App& verb, Context& context, Options& options) {
    verb.add_option("--file,-f", options.file, "{\"deployments\": [...]} in JSON; - reads stdin")->required()->type_name("FILE");
    verb.add_flag("--prune", options.prune, "remove deployments that the file does not name");
    verb.add_flag("--json", context.json, "print what differs as JSON");
    add_client_options(verb, context);
}

}  // namespace

void add_apply(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("apply", "make the deployments what a file says");
    Options& options = context.own<Options>();
    add_file(*verb, context, options);
    verb->add_flag("--yes,-y", options.yes, "remove what --prune finds");
    verb->add_flag("--wait,-w", options.wait, "until all that changed is running; exit 1 when one fails or is taken back");
    verb->add_option("--wait-seconds", options.wait_seconds, "how long --wait waits for each")->capture_default_str()->type_name("N");
    verb->add_flag("-q,--quiet", context.quiet, "no chatter");
    verb->callback([&context, &options] { context.action = [&context, &options] { return apply(context, options); }; });
}

void add_diff(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("diff", "what apply would change");
    Options& options = context.own<Options>();
    add_file(*verb, context, options);
    verb->add_flag("--exit-code", options.exit_code, "exit 1 when something would change");
    verb->callback([&context, &options] { context.action = [&context, &options] { return show_difference(context, options); }; });
}

void add_export(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("export", "print the deployments as a file that apply takes");
    add_client_options(*verb, context);
    verb->callback([&context] { context.action = [&context] { return export_all(context); }; });
}

}  // namespace gantry::cli
