// `gantry evaluate`: what a model needs, where it would go, and why not elsewhere. A dry run of `gantry deploy`.

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "base/platform/files.h"
#include "cli/catalogue_source.h"
#include "cli/client.h"
#include "cli/decision.h"
#include "cli/deployment_flags.h"
#include "cli/output.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

constexpr const char* kAll = "all";
constexpr const char* kBackends[] = {"engine", "llama-server", "vllm", "sglang", "mindie"};

struct Options {
    std::string model;
    std::string fleet;
    DeploymentFlags flags;
};

std::string described(const json::object& evaluation) {
    const json::object& model = object_at(evaluation, "model");
    if (model.empty()) {
        return "its files can't be read here";
    }
    std::string text = text_at(model, "architecture");
    const auto add = [&text](const std::string& part) { text += part.empty() ? "" : ", " + part; };
    const auto number = [&model](const char* key) { return static_cast<uint64_t>(number_at(model, key)); };
    add(number("parameter_count") > 0 ? human_count(number("parameter_count")) + " parameters" : "");
    add(text_at(model, "quantization").empty() ? text_at(model, "dtype") : text_at(model, "quantization"));
    add(number("layers") > 0 ? fmt::format("{} layers", number("layers")) : "");
    add(number("context_length") > 0 ? fmt::format("context {}", number("context_length")) : "");
    add(text_at(model, "format"));
    add(number("file_bytes") > 0 ? human_bytes(number("file_bytes")) : "");
    return text;
}

void print_evaluation(const json::object& evaluation) {
    print_fact("model", described(evaluation));
    if (const json::object& choice = object_at(evaluation, "choice"); !choice.empty()) {
        print_fact("choice", fmt::format("{} ({})", text_at(choice, "source"), text_at(choice, "reason")));
    }
    print_decision(evaluation);
}

// A path or a source; else the name of a model in the catalogue, or of a deployment.
Result<std::string> source_of(const ApiClient& client, const std::string& model) {
    if (model.find('/') != std::string::npos || model.find(':') != std::string::npos || model.ends_with(".gguf")) {
        return full_source(model);
    }
    for (const char* collection : {"/api/v1/models/", "/api/v1/deployments/"}) {
        const Result<json::value> found = client.call("GET", collection + encode_segment(model));
        if (found && found->is_object()) {
            return text_at(found->get_object(), "source");
        }
        if (!found && found.error().code != ErrorCode::kNotFound) {
            return found.error();
        }
    }
    return not_found(fmt::format("there is no model and no deployment \"{}\"; for a file, give its path", model));
}

// Workers as `gantry workers --json` prints them, or a list of such.
Result<json::array> fleet_of(const std::string& path) {
    const Result<std::string> text = platform::read_file(path, 8u << 20);
    if (!text) {
        return text.error();
    }
    const Result<json::value> value = parse_json(*text);
    if (!value) {
        return invalid_argument(fmt::format("{} is no JSON: {}", path, value.error().message));
    }
    const json::array* list = value->is_array() ? &value->get_array() : value->is_object() ? &array_at(value->get_object(), "items") : nullptr;
    if (list == nullptr || list->empty()) {
        return invalid_argument(fmt::format("{} holds no list of workers: write one as `gantry workers --json` prints it", path));
    }
    return *list;
}

// One line a backend: which of them can run this model here.
int evaluate_all(const Context& context, const ApiClient& client, json::object body) {
    json::array all;
    Table table({"BACKEND", "VERDICT", "NEEDS", "WHERE", "WHY"});
    for (const char* backend : kBackends) {
        body["backend"] = backend;
        const Result<json::value> answer = client.call("POST", "/api/v1/evaluations", body);
        if (!answer) {
            return fail(answer.error());
        }
        const json::object& evaluation = answer->as_object();
        const std::string verdict = text_at(evaluation, "verdict");
        table.add({backend, {words_of_verdict(verdict), colour_of_verdict(verdict)},
                   {verdict == "incompatible" ? "" : total_text(object_at(evaluation, "estimate")), Colour::kNone, true},
                   claims_text(object_at(evaluation, "placement")), text_at(evaluation, "reason")});
        all.push_back(evaluation);
    }
    return print_list(context, all, "backend", table, "");
}

int evaluate(const Context& context, const Options& options) {
    Result<json::object> body = body_of(options.flags);
    if (!body) {
        fail(body.error());
        return kWrongUsage;
    }
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    const Result<std::string> source = source_of(*client, options.model);
    const Status known = source ? take_source(*client, options.flags, *source, *body) : Status(source.error());
    if (!known) {
        return fail(known.error());
    }
    if (!options.fleet.empty()) {
        const Result<json::array> workers = fleet_of(options.fleet);
        if (!workers) {
            return fail(workers.error());
        }
        (*body)["workers"] = *workers;
    }
    if (options.flags.backend == kAll) {
        return evaluate_all(context, *client, *std::move(body));
    }
    const Result<json::value> answer = client->call("POST", "/api/v1/evaluations", *body);
    if (!answer) {
        return fail(answer.error());
    }
    const json::object& evaluation = answer->as_object();
    const bool fits = object_at(evaluation, "placement").size() > 0;
    if (context.json) {
        print(json::serialize(evaluation) + "\n");
    } else if (context.quiet) {
        print(text_at(evaluation, "verdict") + "\n");
    } else {
        print_evaluation(evaluation);
    }
    return flushed(fits ? kDone : kFailed);
}

}  // namespace

void add_evaluate(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("evaluate", "what a model needs, where it would go, and why; nothing is started");
    Options& options = context.own<Options>();
    verb->add_option("MODEL", options.model, "a path or source (catalogue:ID, too), or the name of a model or a deployment")->required();
    verb->add_option("--fleet", options.fleet, "on other workers than there are: a file as `gantry workers --json` prints it")->type_name("FILE");
    add_deployment_flags(*verb, options.flags);
    verb->get_option("--backend")->description("engine (embedded), llama-server, vllm, sglang, mindie or custom; all: a line for each");
    verb->add_flag("--json", context.json, "print the evaluation as JSON");
    verb->add_flag("-q,--quiet", context.quiet, "print the verdict only: fits, does_not_fit, incompatible, unknown");
    verb->add_flag("--no-headers", context.no_headers, "leave the headers of the table out");
    add_client_options(*verb, context);
    verb->callback([&context, &options] { context.action = [&context, &options] { return evaluate(context, options); }; });
}

}  // namespace gantry::cli
