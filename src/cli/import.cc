// `gantry import gpustack`: models, users and routes of a GPUStack, from its SQLite file or PostgreSQL, into a running server.

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/client.h"
#include "cli/gpustack_plan.h"
#include "cli/import.h"
#include "cli/output.h"
#include "cli/secrets.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

struct Options {
    std::string database;
    bool start = false;
    bool dry_run = false;
};

json::array to_array(const std::vector<json::object>& objects) { return json::array(objects.begin(), objects.end()); }

json::object to_json(const GpuStackPlan& plan) {
    return {{"deployments", to_array(plan.deployments)},
            {"users", to_array(plan.users)},
            {"routes", to_array(plan.routes)},
            {"notes", json::value_from(plan.notes)}};
}

void print_plan(const GpuStackPlan& plan) {
    for (const json::object& d : plan.deployments) {
        print(printable(fmt::format("+ deployment {}: {} by {}", text_at(d, "name"), text_at(d, "source"), text_at(d, "backend"))) + "\n");
    }
    for (const json::object& user : plan.users) {
        print(printable(fmt::format("+ user {} ({})", text_at(user, "name"), text_at(user, "role"))) + "\n");
    }
    for (const json::object& route : plan.routes) {
        print(printable(fmt::format("+ route {}", text_at(route, "name"))) + "\n");
    }
    for (const std::string& note_of : plan.notes) {
        print(printable("! " + note_of) + "\n");
    }
}

// Each on its own: one that the server refuses keeps none of the others back. What is there already stays as it is.
class Importing {
public:
    Importing(const Context& context, const ApiClient& client) : context_(context), client_(client) {}

    void make(const char* kind, const char* collection, json::object body) {
        const std::string name = text_at(body, "name");
        std::string password;
        if (std::string_view(kind) == "user") {
            password = random_password();
            body["password"] = password;
        }
        const Result<json::value> made = client_.call("POST", collection, body);
        if (made) {
            if (!password.empty()) {
                print(fmt::format("{} {}\n", printable(name), password));   // data: to be handed on
            }
            told(fmt::format("{} {} is made", kind, printable(name)));
        } else if (made.error().code == ErrorCode::kConflict) {
            told(fmt::format("{} {} is there already; it stays as it is", kind, printable(name)));
        } else {
            status_ = fail(fmt::format("{} {}: {}", kind, name, made.error().message));
        }
    }
    int status() const { return status_; }

private:
    void told(const std::string& line) const {
        if (!context_.quiet) {
            note(line);
        }
    }
    const Context& context_;
    const ApiClient& client_;
    int status_ = kDone;
};

int import_gpustack(const Context& context, const Options& options) {
    const Result<store::GpuStack> from = store::read_gpustack(options.database);
    if (!from) {
        const bool url = options.database.find("://") != std::string::npos;   // which may hold a password
        return fail(url ? from.error().message : fmt::format("{}: {}", options.database, from.error().message));
    }
    const GpuStackPlan plan = plan_of(*from, options.start);
    if (context.json) {
        print(json::serialize(to_json(plan)) + "\n");
        return flushed(kDone);
    }
    if (options.dry_run) {
        print_plan(plan);
        return flushed(kDone);
    }
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    Importing importing(context, *client);
    for (const json::object& d : plan.deployments) {
        importing.make("deployment", "/api/v1/deployments", d);
    }
    for (const json::object& user : plan.users) {
        importing.make("user", "/api/v1/users", user);
    }
    for (const json::object& route : plan.routes) {
        importing.make("route", "/api/v1/routes", route);
    }
    for (const std::string& line : plan.notes) {
        note(printable(line));
    }
    return flushed(importing.status());
}

}  // namespace

void add_import(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("import", "take over what another product served");
    verb->require_subcommand(1);
    CLI::App* gpustack = verb->add_subcommand("gpustack",
                                              "models, users and routes of a GPUStack, from its database; users' new passwords are printed");
    Options& options = context.own<Options>();
    gpustack->add_option("--database", options.database, "its SQLite file, usually /var/lib/gpustack/database.db, or postgresql://USER@HOST/NAME")
        ->required()->type_name("FILE|URL");
    gpustack->add_flag("--start", options.start, "start what ran there; without, all are stopped until `gantry start`");
    gpustack->add_flag("--dry-run", options.dry_run, "print what would be made, and what can't come along");
    gpustack->add_flag("--json", context.json, "the same as JSON");
    gpustack->add_flag("-q,--quiet", context.quiet, "no chatter");
    add_client_options(*gpustack, context);
    gpustack->callback([&context, &options] { context.action = [&context, &options] { return import_gpustack(context, options); }; });
}

}  // namespace gantry::cli
