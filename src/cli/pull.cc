// `gantry pull`: a model's files before anybody needs them, followed until they are there. `gantry verify`: read all of them again.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <thread>

#include "cli/catalogue_source.h"
#include "cli/client.h"
#include "cli/objects.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

constexpr std::chrono::milliseconds kLookEvery{250}, kLookSoon{10};

struct Options {
    std::string source;
    std::string hub;
    std::string worker;
    bool detach = false;
    bool pause = false;
    bool resume = false;
};

double fraction_of(const json::object& files) {
    const auto bytes = static_cast<double>(number_at(files, "bytes"));
    return bytes > 0 ? static_cast<double>(number_at(files, "bytes_done")) / bytes : -1;
}

// Near its end it is looked at more often, so that nobody waits for what is there.
std::chrono::milliseconds next_look(const json::object& files) {
    const int64_t rate = number_at(files, "bytes_per_second"), left = number_at(files, "bytes") - number_at(files, "bytes_done");
    if (rate <= 0 || left < 0) {
        return kLookEvery;
    }
    return std::clamp(std::chrono::milliseconds(left / std::max<int64_t>(rate / 250, 1)), kLookSoon, kLookEvery);   // a quarter of the time left
}

// The object once it is ready, or why it is not.
Result<json::object> follow(const ApiClient& client, const Context& context, json::object files) {
    Progress progress(!context.quiet && !context.json, true);
    const std::string path = "/api/v1/model-files/" + encode_segment(text_at(files, "id"));
    while (text_at(files, "state") != "ready") {
        if (text_at(files, "state") == "failed") {
            return unavailable(fmt::format("{}: {}", text_at(files, "source"), text_at(files, "reason")));
        }
        progress.show(fmt::format("{}: {}", text_at(files, "source"), text_at(files, "reason")), fraction_of(files));
        std::this_thread::sleep_for(next_look(files));
        Result<json::object> now = client.get(path);
        if (!now) {
            return now;
        }
        files = std::move(*now);
    }
    return files;
}

int pull(const Context& context, const Options& options) {
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    const Result<std::string> source = hub_source(*client, options.source, options.hub);
    if (!source) {
        return fail(source.error());
    }
    const Result<json::value> begun = client->call("POST", "/api/v1/model-files", json::object{{"source", *source}});
    if (!begun || !begun->is_object()) {
        return begun ? fail(std::string("the server's answer holds no model files")) : fail(begun.error());
    }
    const Result<json::object> files = options.detach ? Result<json::object>(begun->get_object()) : follow(*client, context, begun->get_object());
    if (!files) {
        return fail(files.error());
    }
    if (context.json) {
        print(json::serialize(*files) + "\n");
    } else if (!context.quiet) {
        const std::string size = human_bytes(static_cast<uint64_t>(number_at(*files, "bytes")));
        note(text_at(*files, "state") == "ready" ? fmt::format("{} is here, {}", printable(options.source), size)
                                                  : fmt::format("{} is fetched; `gantry ls --files` shows how far it is", printable(options.source)));
    }
    return flushed(kDone);
}

int verify(const Context& context, const Options& options) {
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    const Result<std::string> path = path_of_model_files(*client, options.source, options.worker, "/verify");
    const Result<json::value> verified = path ? client->call("POST", *path) : Result<json::value>(path.error());
    return print_changed(context, verified, "model files", [](const json::object& files) {
        return fmt::format("{} is as its hub lists it, {}", printable(text_at(files, "source")),
                           human_bytes(static_cast<uint64_t>(number_at(files, "bytes"))));
    });
}

// pause, resume
int change(const Context& context, const Options& options, const char* action, const char* told) {
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    const Result<std::string> path = path_of_model_files(*client, options.source, options.worker, action);
    const Result<json::value> changed = path ? client->call("POST", *path) : Result<json::value>(path.error());
    return print_changed(context, changed, "model files", [told](const json::object& files) {
        return fmt::format("the download of {} {}: {}", printable(text_at(files, "source")), told, printable(text_at(files, "reason")));
    });
}

void add_common(CLI::App& verb, Context& context, Options& options, const char* help) {
    verb.add_option("SOURCE", options.source, help)->required();
    verb.add_flag("--json", context.json, "print the files as JSON");
    verb.add_flag("-q,--quiet", context.quiet, "no chatter");
    add_client_options(verb, context);
}

}  // namespace

void add_pull(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("pull", "fetch a model's files to the server's machine");
    Options& options = context.own<Options>();
    add_common(*verb, context, options, "hf:ORG/NAME or modelscope:ORG/NAME, with /FILE or :QUANTIZATION; catalogue:ID");
    verb->add_option("--hub", options.hub, "of a model of the catalogue: hf or modelscope")->check(CLI::IsMember({"hf", "modelscope"}));
    verb->add_flag("--detach,-d", options.detach, "come back at once");
    CLI::Option* const pause = verb->add_flag("--pause", options.pause, "pause the download of SOURCE, whoever began it");
    verb->add_flag("--resume", options.resume, "go on with one that was paused")->excludes(pause);
    verb->add_option("--worker", options.worker, "with --pause or --resume: on this worker's machine; default: the server's")->type_name("WORKER");
    verb->callback([&context, &options] {
        context.action = [&context, &options] {
            if (options.pause) {
                return change(context, options, "/pause", "is paused");
            }
            return options.resume ? change(context, options, "/resume", "goes on") : pull(context, options);
        };
    });
}

void add_verify(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("verify", "compare a model's downloaded files with their digests");
    Options& options = context.own<Options>();
    add_common(*verb, context, options, "a source that `gantry ls --files` shows");
    verb->add_option("--worker", options.worker, "on this worker's machine; default: the server's")->type_name("WORKER");
    verb->callback([&context, &options] { context.action = [&context, &options] { return verify(context, options); }; });
}

}  // namespace gantry::cli
