// `gantry drain`: everything off a worker, before its machine is switched off or removed.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <thread>

#include "base/clock.h"
#include "cli/client.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

constexpr std::chrono::milliseconds kLookEvery{300};
constexpr std::chrono::seconds kStopTime{60};   // after the deadline: for engines to end

struct Options {
    std::string name;
    std::string deadline = "10m";
    bool no_wait = false;
};

// What is left on it, and what holds it up.
struct Left {
    size_t instances = 0;
    std::string shown;
};
Result<Left> look(const ApiClient& client, const std::string& worker_id) {
    const Result<json::array> instances = client.list("/api/v1/instances");
    if (!instances) {
        return instances.error();
    }
    Left left;
    for (const json::value& item : *instances) {
        const json::object& instance = item.get_object();
        if (text_at(instance, "worker_id") != worker_id) {
            continue;
        }
        ++left.instances;
        left.shown += fmt::format("{}{} {}", left.shown.empty() ? "" : ", ", text_at(instance, "deployment_name"), text_at(instance, "state"));
    }
    return left;
}

int wait_until_empty(const ApiClient& client, const Context& context, const json::object& worker, int64_t seconds) {
    const std::string name = text_at(worker, "name");
    const Deadline patience = Deadline::after(std::chrono::seconds(seconds) + kStopTime);
    Progress progress(!context.json && !context.quiet, true);
    while (true) {
        const Result<Left> left = look(client, text_at(worker, "id"));
        if (!left) {
            return fail(left.error());
        }
        if (left->instances == 0) {
            break;
        }
        if (patience.passed(std::chrono::steady_clock::now())) {
            return fail(fmt::format("{} still has {} ({}) though its time is up: `gantry workers list` says whether it answers", name,
                                    left->instances == 1 ? "an instance" : fmt::format("{} instances", left->instances), left->shown));
        }
        progress.show(fmt::format("{}: {} left: {}", name, left->instances, left->shown));
        std::this_thread::sleep_for(kLookEvery);
    }
    progress.clear();
    if (context.json) {
        print(json::serialize(worker) + "\n");
    } else if (!context.quiet) {
        note(fmt::format("{} is empty and takes nothing new; `gantry workers uncordon {}` has it take instances again", name, name));
    }
    return flushed(kDone);
}

int drain(const Context& context, const Options& options) {
    const Result<int64_t> seconds = parse_period(options.deadline);
    if (!seconds) {
        fail(seconds.error());
        return kWrongUsage;
    }
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    const Result<json::value> worker =
        client->call("PATCH", "/api/v1/workers/" + encode_segment(options.name), json::object{{"drain_seconds", *seconds}});
    if (!worker || !worker->is_object()) {
        return worker ? fail(std::string("the server's answer holds no worker")) : fail(worker.error());
    }
    if (!options.no_wait) {
        return wait_until_empty(*client, context, worker->get_object(), *seconds);
    }
    if (context.json) {
        print(json::serialize(*worker) + "\n");
    } else if (!context.quiet) {
        note(fmt::format("{} is drained by {}; `gantry ps` shows how far it is", options.name, text_at(worker->get_object(), "drain_by")));
    }
    return flushed(kDone);
}

}  // namespace

void add_drain(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("drain", "move everything off a worker: each instance ends once another has taken over");
    Options& options = context.own<Options>();
    verb->add_option("WORKER", options.name, "its name or id")->required();
    verb->add_option("--deadline", options.deadline, "when what nobody took over ends all the same: 90s, 10m, 2h")
        ->type_name("PERIOD")
        ->capture_default_str();
    verb->add_flag("--no-wait", options.no_wait, "come back at once");
    verb->add_flag("--json", context.json, "print the worker as JSON");
    verb->add_flag("-q,--quiet", context.quiet, "no chatter");
    add_client_options(*verb, context);
    verb->callback([&context, &options] { context.action = [&context, &options] { return drain(context, options); }; });
}

}  // namespace gantry::cli
