// `gantry requests`: what the server answers now; `gantry requests cancel` ends some of it.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <thread>

#include "cli/client.h"
#include "cli/output.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

constexpr std::chrono::seconds kLookEvery{1};

struct Options {
    std::string model;
    bool watch = false;
    std::vector<std::string> ids;
};

std::string age_of(const json::object& request) {
    const int64_t ms = number_at(request, "age_ms");
    return ms < 10'000 ? fmt::format("{:.1f}s", static_cast<double>(ms) / 1000) : human_period(ms / 1000);
}

Status show(const Context& context, const ApiClient& client, const Options& options, int& status) {
    const std::string target = "/api/v1/requests" + (options.model.empty() ? "" : "?model=" + encode_segment(options.model));
    const Result<json::array> requests = client.list(target);
    if (!requests) {
        return requests.error();
    }
    Table table({"REQUEST", "AGE", "STATE", "TOKENS", "MODEL", "INSTANCE", "OPERATION", "USER", "KEY", "PEER"});
    for (const json::value& item : *requests) {
        const json::object& request = item.get_object();
        const std::string state = text_at(request, "state");
        table.add({text_at(request, "id"),
                   {age_of(request), Colour::kNone, true},
                   {state, state == "streaming" ? Colour::kGreen : Colour::kYellow},
                   {std::to_string(number_at(request, "completion_tokens")), Colour::kNone, true},
                   text_at(request, "model"),
                   text_at(request, "instance_id"),
                   text_at(request, "operation"),
                   text_at(request, "user_name"),
                   text_at(request, "key_name"),
                   text_at(request, "peer")});
    }
    if (options.watch && stdout_is_terminal() && !context.json) {
        print("\x1b[H\x1b[J");   // from the top, and nothing of the last look is left
    }
    status = print_list(context, *requests, "id", table, "nothing is being answered now");
    return Ok{};
}

int list_requests(const Context& context, const Options& options) {
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    int status = kDone;
    do {
        if (const Status shown = show(context, *client, options, status); !shown) {
            return fail(shown.error());
        }
        if (options.watch && status == kDone) {
            std::this_thread::sleep_for(kLookEvery);
        }
    } while (options.watch && status == kDone);
    return status;
}

int cancel_requests(const Context& context, const Options& options) {
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    int status = kDone;
    for (const std::string& id : options.ids) {
        const Result<json::value> cancelled = client->call("DELETE", "/api/v1/requests/" + encode_segment(id));
        if (!cancelled) {
            status = fail(cancelled.error());
        } else if (!context.quiet) {
            const json::object& request = cancelled->is_object() ? cancelled->get_object() : json::object();
            note(fmt::format("{} is cancelled: {} of {}, {} tokens in", printable(id), text_at(request, "model"), text_at(request, "user_name"),
                             number_at(request, "completion_tokens")));
        }
    }
    return status;
}

}  // namespace

void add_requests(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("requests", "list what is being answered now, or cancel it");
    verb->require_subcommand(0, 1);
    Options& options = context.own<Options>();
    verb->add_option("--model", options.model, "only of this model")->type_name("NAME");
    verb->add_flag("--watch,-w", options.watch, "look again every second, until Ctrl-C");
    add_client_options(*verb, context);
    add_list_options(*verb, context);

    CLI::App* cancel = verb->add_subcommand("cancel", "end requests; their clients read that they were cancelled");
    cancel->add_option("REQUEST", options.ids, "as the list names them: the x-request-id of the answer")->required();
    cancel->add_flag("-q,--quiet", context.quiet, "no chatter");
    add_client_options(*cancel, context);
    cancel->callback([&context, &options] { context.action = [&context, &options] { return cancel_requests(context, options); }; });

    // Runs behind the one of `cancel`, where that was named.
    verb->callback([&context, &options] {
        if (!context.action) {
            context.action = [&context, &options] { return list_requests(context, options); };
        }
    });
}

}  // namespace gantry::cli
