// `gantry logs`: what the engines of a deployment, or one instance, wrote.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/asio/co_spawn.hpp>
#include <exception>

#include "cli/client.h"
#include "cli/output.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

struct Options {
    std::string name;
    bool follow = false;
    uint32_t tail = 200;
};

struct Source {
    std::string instance_id;
    std::string worker;   // of an instance that several run: whose part; else empty
    std::string prefix;   // empty when there is one only
    std::string partial;  // a line that has not ended
    std::string error;
};

// Whole lines go out with the prefix; without one the bytes pass as they come.
void emit(Source& source, const std::string& bytes) {
    if (source.prefix.empty()) {
        print(bytes);
    } else {
        source.partial += bytes;
        size_t end = 0;
        while ((end = source.partial.find('\n')) != std::string::npos) {
            print(source.prefix + source.partial.substr(0, end + 1));
            source.partial.erase(0, end + 1);
        }
    }
    std::fflush(stdout);
}

http::Task<void> read_log(const ApiClient& api, http::Client& client, Source& source, std::string target) {
    http::Client::Call call;
    call.target = std::move(target);
    call.headers = api.headers();
    const std::string endpoint = api.server().endpoint;
    Result<std::unique_ptr<http::ClientResponse>> response = co_await client.send(endpoint, std::move(call));
    if (!response) {
        source.error = response.error().message;
        co_return;
    }
    if ((*response)->status() != 200) {
        const Result<std::string> body = co_await (*response)->read_all();
        source.error = error_of((*response)->status(), body ? *body : "").message;
        co_return;
    }
    for (;;) {
        const Result<std::string> bytes = co_await (*response)->read();
        if (!bytes) {
            source.error = bytes.error().message;
        }
        if (!bytes || bytes->empty()) {
            break;
        }
        emit(source, *bytes);
    }
    if (!source.partial.empty()) {
        emit(source, "\n");
    }
}

// One of each part, where there are several.
void add_sources(const json::object& instance, const std::string& prefix, std::vector<Source>& sources) {
    const json::array& parts = array_at(instance, "parts");
    for (const json::value& item : parts) {
        const std::string worker = text_at(item.get_object(), "worker_name");
        sources.push_back({text_at(instance, "id"), worker, prefix.empty() ? worker + " | " : worker + " " + prefix, {}, {}});
    }
    if (parts.empty()) {
        sources.push_back({text_at(instance, "id"), {}, prefix, {}, {}});
    }
}

Result<std::vector<Source>> sources_of(const ApiClient& api, const std::string& name) {
    std::vector<Source> sources;
    if (name.starts_with("ins_")) {
        const Result<json::object> instance = api.get("/api/v1/instances/" + encode_segment(name));
        if (!instance) {
            return instance.error();
        }
        add_sources(*instance, {}, sources);
        return sources;
    }
    const Result<json::object> deployment = api.deployment(name);
    if (!deployment) {
        return deployment.error();
    }
    const Result<json::array> instances = api.list("/api/v1/instances?deployment=" + encode_segment(text_at(*deployment, "id")));
    if (!instances) {
        return instances.error();
    }
    for (const json::value& item : *instances) {
        const json::object& instance = item.get_object();
        const std::string prefix = instances->size() > 1 ? fmt::format("{} | ", number_at(instance, "index")) : std::string();
        add_sources(instance, prefix, sources);
    }
    if (sources.empty()) {
        return not_found(fmt::format("{} has no instances now, so there is no log; start it with `gantry start {}`", name, name));
    }
    return sources;
}

int show_logs(const Context& context, const Options& options) {
    const Result<ApiClient> api = ApiClient::connect(context);
    if (!api) {
        return fail(api.error());
    }
    Result<std::vector<Source>> sources = sources_of(*api, options.name);
    if (!sources) {
        return fail(sources.error());
    }
    http::asio::io_context io(1);
    http::ClientOptions patient = api->client_options();
    patient.idle_timeout = std::chrono::hours(24 * 365);  // A quiet log is no broken one.
    http::Client client(io, patient);
    size_t left = sources->size();
    for (Source& source : *sources) {
        const std::string worker = source.worker.empty() ? "" : "&worker=" + encode_segment(source.worker);
        const std::string target = fmt::format("/api/v1/instances/{}/logs?tail={}&follow={}{}", encode_segment(source.instance_id),
                                               options.tail, options.follow, worker);
        http::asio::co_spawn(io, read_log(*api, client, source, target), [&left, &io](std::exception_ptr thrown) {
            if (--left == 0) {
                io.stop();
            }
            if (thrown) {
                std::rethrow_exception(thrown);
            }
        });
    }
    io.run();
    int status = kDone;
    for (const Source& source : *sources) {
        if (!source.error.empty()) {
            status = fail(source.error);
        }
    }
    return flushed(status);
}

}  // namespace

void add_logs(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("logs", "print what the engines of a deployment wrote");
    Options& options = context.own<Options>();
    verb->add_option("NAME", options.name, "a deployment, or an instance (ins_...)")->required();
    verb->add_flag("--follow,-f", options.follow, "go on printing what is added");
    verb->add_option("--tail,-n", options.tail, "start with the last N lines")->capture_default_str()->type_name("N");
    add_client_options(*verb, context);
    verb->callback([&context, &options] { context.action = [&context, &options] { return show_logs(context, options); }; });
}

}  // namespace gantry::cli
