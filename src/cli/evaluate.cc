// `gantry evaluate`: what a model needs, where it would go, and why not elsewhere. A dry run of `gantry deploy`.

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "base/platform/files.h"
#include "cli/catalogue_source.h"
#include "cli/client.h"
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

std::string bytes_at(const json::object& object, std::string_view key) {
    return human_bytes(static_cast<uint64_t>(number_at(object, key)));
}

std::string words_of(const std::string& verdict) { return verdict == "does_not_fit" ? "does not fit" : verdict; }

Colour colour_of(const std::string& verdict) {
    return verdict == "fits" ? Colour::kGreen : verdict == "unknown" ? Colour::kYellow : Colour::kRed;
}

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

// Never 0 of what nobody knows.
std::string total_text(const json::object& estimate) {
    const bool all = array_at(estimate, "unknown").empty();
    if (!all && array_at(estimate, "terms").empty()) {
        return "unknown";
    }
    return (all ? "" : "at least ") + bytes_at(estimate, "total_bytes");
}

std::string claims_text(const json::object& placement) {
    std::string text;
    for (const json::value& item : array_at(placement, "claims")) {
        const json::object& claim = item.get_object();
        text += (text.empty() ? "" : " + ") + text_at(claim, "device");
        text += number_at(claim, "bytes") > 0 ? " " + bytes_at(claim, "bytes") : "";   // of what is unknown nothing is booked
        if (const double fraction = real_at(claim, "memory_fraction"); fraction > 0) {
            text += fmt::format(" ({:.0f} % of it)", fraction * 100);
        }
    }
    const int64_t layers = number_at(placement, "layers");
    const int64_t on_devices = number_at(placement, "layers_on_devices");
    if (on_devices > 0 && on_devices < layers) {
        text += fmt::format("; {} of {} layers on devices", on_devices, layers);
    }
    if (const int64_t tokens = number_at(placement, "context_tokens"); tokens > 0) {
        text += fmt::format("; context {}", tokens);
    }
    if (const int64_t sequences = number_at(placement, "sequences"); sequences > 0) {
        text += fmt::format(", {} sequence{}", sequences, sequences == 1 ? "" : "s");
    }
    return text;
}

void print_terms(const json::object& evaluation, uint32_t columns) {
    const json::object& estimate = object_at(evaluation, "estimate");
    Table table({"WHAT", "WHERE", "BYTES", "HOW"});
    for (const json::value& item : array_at(estimate, "terms")) {
        const json::object& term = item.get_object();
        table.add({text_at(term, "name"), text_at(term, "where"), {bytes_at(term, "bytes"), Colour::kNone, true}, text_at(term, "formula")});
    }
    for (const json::value& item : array_at(estimate, "unknown")) {
        table.add({std::string(item.as_string()), "", {"unknown", Colour::kYellow, true}, "the model's files do not say"});
    }
    const json::object& correction = object_at(evaluation, "correction");
    std::string how;
    if (number_at(correction, "runs") > 0) {
        how = fmt::format("before a correction of {:.2f} by {} measured run{}", real_at(correction, "factor"),
                          number_at(correction, "runs"), number_at(correction, "runs") == 1 ? "" : "s");
    }
    table.add({{"total", Colour::kBold}, "", {total_text(estimate), Colour::kBold, true}, how});
    print("\n" + table.text(true, colours(), columns));
}

void print_workers(const json::object& evaluation, uint32_t columns) {
    Table table({"WORKER", "DEVICE", "NAME", "CAN TAKE", "NEEDS", "RESULT"});
    for (const json::value& item : array_at(evaluation, "workers")) {
        const json::object& worker = item.get_object();
        if (!text_at(worker, "rule").empty()) {
            table.add({text_at(worker, "worker_name"), "", "", "", "", {text_at(worker, "reason"), Colour::kRed}});
            continue;
        }
        for (const json::value& entry : array_at(worker, "devices")) {
            const json::object& device = entry.get_object();
            const bool chosen = flag_at(device, "chosen");
            const bool refused = !text_at(device, "rule").empty();
            const uint64_t needed = static_cast<uint64_t>(number_at(device, "needed_bytes"));
            table.add({text_at(worker, "worker_name"), text_at(device, "device"), text_at(device, "name"),
                       {bytes_at(device, "allocatable_bytes"), Colour::kNone, true},
                       {needed > 0 ? human_bytes(needed) : "", Colour::kNone, true},
                       {chosen ? "chosen" : refused ? text_at(device, "reason") : "would do",
                        chosen ? Colour::kGreen : refused ? Colour::kRed : Colour::kNone}});
        }
        std::string scores;
        for (const json::value& entry : array_at(worker, "scores")) {
            const json::object& part = entry.get_object();
            scores += fmt::format("{}{} {:.0f} x {:g}", scores.empty() ? "" : ", ", text_at(part, "scorer"), real_at(part, "score"),
                                  real_at(part, "weight"));
        }
        if (!scores.empty()) {
            table.add({{"", Colour::kDim}, "", "", "", "", {fmt::format("score {:.1f}: {}", real_at(worker, "total"), scores), Colour::kDim}});
        }
    }
    if (!table.empty()) {
        print("\n" + table.text(true, colours(), columns));
    }
}

void print_evaluation(const json::object& evaluation) {
    const uint32_t columns = stdout_is_terminal() ? terminal_columns() : 0;
    const std::string verdict = text_at(evaluation, "verdict");
    const auto line = [](const char* name, const std::string& text) { print(fmt::format("{:<9}{}\n", name, printable(text))); };
    line("model", described(evaluation));
    if (const json::object& choice = object_at(evaluation, "choice"); !choice.empty()) {
        line("choice", fmt::format("{} ({})", text_at(choice, "source"), text_at(choice, "reason")));
    }
    line("verdict", words_of(verdict));
    line("why", text_at(evaluation, "reason"));
    const json::object& placement = object_at(evaluation, "placement");
    if (!placement.empty()) {
        line("claim", claims_text(placement));
    }
    print_terms(evaluation, columns);
    print_workers(evaluation, columns);
    const json::array& suggestions = array_at(evaluation, "suggestions");
    if (!suggestions.empty()) {
        print("\nWhat would make it fit:\n");
        for (const json::value& item : suggestions) {
            print("  - " + printable(text_at(item.get_object(), "text")) + "\n");
        }
    }
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
        table.add({backend, {words_of(verdict), colour_of(verdict)},
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
