#include "cli/cli.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>

#include "base/edit_distance.h"
#include "base/version.h"
#include "cli/context.h"
#include "cli/examples.h"
#include "cli/import.h"
#include "cli/output.h"
#include "cli/suggest.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

// One line a verb, in the order of the help text.
using AddVerb = void (*)(CLI::App&, Context&);
constexpr AddVerb kVerbs[] = {
    add_serve, add_worker, add_engine,                                        // roles
    add_run, add_evaluate, add_deploy, add_ps, add_ls, add_instances, add_logs, add_requests,   // everyday
    add_start, add_stop, add_sleep, add_scale, add_rollout, add_rm,                      //
    add_catalogue, add_search, add_pull, add_verify, add_inspect, add_bundle,              // models of hubs
    add_apply, add_diff, add_export,                                          //
    add_compare, add_bench, add_benchmarks,                                   // measuring
    add_routes,                                                               //
    add_providers,                                                            //
    add_backends, add_devices, add_probe, add_workers, add_drain, add_keys, add_users, add_usage, add_audit, add_reset_password,
    add_backup, add_restore, add_import,                                                  // running a server
    add_version, add_completion,
};

std::vector<std::string> verb_names(const CLI::App& app) {
    std::vector<std::string> names;
    for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
        names.push_back(verb->get_name());
    }
    return names;
}

// The verb is checked before CLI11 sees the line, so that a typing error gets a suggestion instead of a general complaint.
bool known_verb(const CLI::App& app, const std::string& word) {
    if (word.starts_with('-')) {
        return true;
    }
    const std::vector<std::string> names = verb_names(app);
    if (std::find(names.begin(), names.end(), word) != names.end()) {
        return true;
    }
    const std::optional<std::string> near = did_you_mean(word, names);
    note(fmt::format("gantry: there is no verb \"{}\"{} `gantry --help` lists them", printable(word),
                     near ? fmt::format("; did you mean \"{}\"?", *near) : ";"));
    return false;
}

int run(int argc, char** argv) {
    CLI::App app("Gantry serves language models: one binary for server, worker and engine.\n"
                 "Start with `gantry serve`, then `gantry deploy NAME --source file:MODEL.gguf --wait` and `gantry run NAME`.",
                 "gantry");
    Context context;
    context.argv.assign(argv, argv + argc);
    app.set_version_flag("--version", std::string("gantry ") + kVersion + " (" + commit() + ")");
    add_verbs(app, context);
    // Behind the verbs, which would take it over.
    app.footer("Exit status: 0 done, 1 failed, 2 wrong usage. `gantry VERB --help` says more about a verb.");
    if (argc < 2) {
        note(app.help());
        return kWrongUsage;
    }
    if (!known_verb(app, argv[1])) {
        return kWrongUsage;
    }
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        const bool asked_for = error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success);
        if (asked_for) {
            app.exit(error);  // --help, --version: to stdout
            return flushed(kDone);
        }
        const auto verbs = app.get_subcommands();
        note(fmt::format("gantry: {}{}\nSee `gantry {}--help`.", printable(error.what()), printable(suggestion(app)),
                         verbs.empty() ? "" : verbs[0]->get_name() + " "));
        return kWrongUsage;
    }
    if (!context.action) {
        note(app.help());
        return kWrongUsage;
    }
    return context.action();
}

}  // namespace

void add_verbs(CLI::App& app, Context& context) {
    for (const AddVerb add : kVerbs) {
        add(app, context);
    }
    add_examples(app);
}

void add_client_options(CLI::App& verb, Context& context) {
    verb.add_option("--server", context.server, "the server to talk to: https://HOST:PORT or http://HOST:PORT; else GANTRY_SERVER")
        ->type_name("URL");
    verb.add_option("--ca", context.ca_file, "the authority that signed the server's certificate, if the system doesn't know it")
        ->envname("GANTRY_CA")
        ->type_name("FILE");
    verb.add_option("--data-dir", context.data_dir, "the data folder of the server to talk to, on its own machine")
        ->type_name("DIR");
}

void add_list_options(CLI::App& verb, Context& context) {
    verb.add_flag("--json", context.json, "print JSON, which stays stable between versions");
    verb.add_flag("-q,--quiet", context.quiet, "print names only, a line each");
    verb.add_flag("--no-headers", context.no_headers, "leave the headers of the table out");
}

int fail(const Error& error) {
    note("gantry: " + printable(error.message));
    return kFailed;
}

int fail(const std::string& message) {
    note("gantry: " + printable(message));
    return kFailed;
}

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);  // A reader that left is an error value of a write, not our death.
    try {
        return run(argc, argv);
    } catch (const std::exception& error) {
        // Only what a library throws where it should not can arrive here.
        std::fputs(fmt::format("gantry: unexpected failure: {}\n", error.what()).c_str(), stderr);
        return kFailed;
    }
}

}  // namespace gantry::cli
