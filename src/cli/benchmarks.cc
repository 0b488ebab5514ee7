// `gantry benchmarks`: measurements that the server makes and keeps. `gantry bench` and `gantry compare` make theirs here, and keep nothing.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "bench/bench.h"
#include "bench/workload.h"
#include "cli/benchmark_results.h"
#include "cli/client.h"
#include "cli/objects.h"
#include "cli/output.h"
#include "cli/words.h"
#include "domain/benchmark.h"

namespace gantry::cli {
namespace {

constexpr char kCollection[] = "/api/v1/benchmarks";
constexpr int kSideBySideMin = 2;
constexpr int kSideBySideMax = 6;

struct Options {
    std::vector<std::string> names;      // deployments
    std::vector<std::string> targets;    // NAME=URL,model=M,key=K
    std::vector<std::string> ids;
    std::string name;
    std::string kind = "load";
    std::string concurrency = "1,8";
    uint32_t prompt_tokens = 0, shared_prefix = 0, requests = 0, duration = 0, rounds = 0;   // 0: the server's default
    uint32_t max_tokens = 64;
    double temperature = 0.7;
    int64_t seed = 0;
    bool ignore_eos = false;
    bool wait = false;
};

std::string path_of(const std::string& id) { return fmt::format("{}/{}", kCollection, encode_segment(id)); }

std::string targets_of(const json::object& benchmark) {
    std::string text;
    for (const json::value& target : array_at(benchmark, "targets")) {
        text += (text.empty() ? "" : ", ") + text_at(target.as_object(), "name");
    }
    return text;
}

std::string counts_of(const json::object& benchmark) {
    std::string text;
    for (const json::value& count : array_at(benchmark, "concurrencies")) {
        text += fmt::format("{}{}", text.empty() ? "" : ",", count.is_number() ? count.to_number<int64_t>() : 0);
    }
    return text;
}

// The best throughput of any run.
std::string best_of(const json::object& benchmark) {
    double best = 0;
    for (const json::value& run : array_at(benchmark, "runs")) {
        best = std::max(best, real_at(run.as_object(), "throughput_tok_s"));
    }
    return best > 0 ? fmt::format("{:.1f}", best) : "";
}

int list_benchmarks(const Context& context) {
    const Result<json::array> benchmarks = list_of(context, kCollection);
    if (!benchmarks) {
        return fail(benchmarks.error());
    }
    Table table({"BENCHMARK", "STATE", "KIND", "AT ONCE", "TARGETS", "BEST TOK/S", "USER", "CREATED", "NAME"});
    for (const json::value& item : *benchmarks) {
        const json::object& benchmark = item.as_object();
        table.add({text_at(benchmark, "id"),
                   {state_of_benchmark(benchmark), colour_of_benchmark(text_at(benchmark, "state"))},
                   text_at(benchmark, "kind"),
                   counts_of(benchmark),
                   targets_of(benchmark),
                   {best_of(benchmark), Colour::kNone, true},
                   text_at(benchmark, "user_name"),
                   text_at(benchmark, "created_at"),
                   text_at(benchmark, "name")});
    }
    return print_list(context, *benchmarks, "id", table, "no benchmarks yet; `gantry benchmarks start DEPLOYMENT` makes one");
}

Result<json::array> targets_body(const Options& options) {
    json::array targets;
    for (const std::string& name : options.names) {
        json::object target;
        target["deployment"] = name;
        targets.push_back(std::move(target));
    }
    for (const std::string& text : options.targets) {
        const Result<bench::Target> parsed = bench::parse_target(text);
        if (!parsed) {
            return parsed.error();
        }
        json::object target;
        target["name"] = parsed->name;
        target["url"] = parsed->url;
        target["model"] = parsed->model;
        if (!parsed->api_key.empty()) {
            target["api_key"] = parsed->api_key;
        }
        targets.push_back(std::move(target));
    }
    if (targets.empty()) {
        return invalid_argument("nothing to measure: name a deployment, or give --target NAME=URL,model=M");
    }
    return targets;
}

Result<json::object> body_of(const Options& options) {
    const Result<std::vector<uint32_t>> counts = parse_counts(options.concurrency, kBenchmarkConcurrencyMax);
    if (!counts) {
        return counts.error();
    }
    Result<json::array> targets = targets_body(options);
    if (!targets) {
        return targets.error();
    }
    json::object body;
    body["kind"] = options.kind;
    body["targets"] = std::move(*targets);
    body["concurrencies"] = json::array(counts->begin(), counts->end());
    body["output_tokens"] = options.max_tokens;
    body["temperature"] = options.temperature;
    body["ignore_eos"] = options.ignore_eos;
    if (!options.name.empty()) {
        body["name"] = options.name;
    }
    if (options.seed != 0) {
        body["seed"] = options.seed;
    }
    for (const auto& [field, value] : {std::pair{"prompt_tokens", options.prompt_tokens}, std::pair{"shared_prefix_tokens", options.shared_prefix},
                                       std::pair{"requests", options.requests}, std::pair{"duration_seconds", options.duration},
                                       std::pair{"rounds", options.rounds}}) {
        if (value > 0) {
            body[field] = value;
        }
    }
    return body;
}

int start_benchmark(const Context& context, const Options& options) {
    const Result<json::object> body = body_of(options);
    if (!body) {
        fail(body.error());
        return kWrongUsage;
    }
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    const Result<json::value> made = client->call("POST", kCollection, *body);
    if (!options.wait || !made) {
        return print_changed(context, made, "benchmark", [](const json::object& benchmark) {
            const std::string id = text_at(benchmark, "id");
            return fmt::format("{} is {}; `gantry benchmarks show {} --wait` follows it", id, state_of_benchmark(benchmark), id);
        });
    }
    const Result<json::object> done = follow_benchmark(context, *client, text_at(made->as_object(), "id"));
    return done ? print_benchmark(context, *done) : fail(done.error());
}

int show_benchmark(const Context& context, const Options& options) {
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    Result<json::object> benchmark = client->get(path_of(options.ids.at(0)));
    const std::string state = benchmark ? text_at(*benchmark, "state") : "";
    if (options.wait && (state == "queued" || state == "running")) {
        benchmark = follow_benchmark(context, *client, text_at(*benchmark, "id"));
    }
    return benchmark ? print_benchmark(context, *benchmark) : fail(benchmark.error());
}

int compare_benchmarks(const Context& context, const Options& options) {
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    json::array benchmarks;
    for (const std::string& id : options.ids) {
        Result<json::object> benchmark = client->get(path_of(id));
        if (!benchmark) {
            return fail(benchmark.error());
        }
        benchmarks.emplace_back(std::move(*benchmark));
    }
    return print_benchmarks(context, benchmarks);
}

int cancel_benchmarks(const Context& context, const Options& options) {
    const Result<ApiClient> client = ApiClient::connect(context);
    if (!client) {
        return fail(client.error());
    }
    int status = kDone;
    for (const std::string& id : options.ids) {
        const Result<json::value> cancelled = client->call("POST", path_of(id) + "/cancel", json::object());
        if (!cancelled) {
            status = fail(cancelled.error());
        } else if (!context.quiet) {
            note(fmt::format("{} is cancelled; what was measured is kept", printable(id)));
        }
    }
    return status;
}

void add_start_options(CLI::App& start, Options& options) {
    start.add_option("NAME", options.names, "deployments");
    start.add_option("--target", options.targets, "NAME=URL,model=M,key=K: an OpenAI-compatible server elsewhere (admins); may be repeated")
        ->take_all()
        ->allow_extra_args(false);
    start.add_option("--kind", options.kind, "load: prompts that all differ; compare: one prompt to so many panels at once")
        ->check(CLI::IsMember({"load", "compare"}))
        ->capture_default_str();
    start.add_option("-c,--concurrency", options.concurrency, "requests, or panels, at once; several runs as 1,8,32")
        ->capture_default_str()
        ->type_name("N[,N]");
    CLI::Option* requests = start.add_option("--requests", options.requests, "of a run; default: four times the concurrency")
                                ->check(CLI::Range(1u, kBenchmarkRequestsMax))
                                ->type_name("N");
    start.add_option("--duration", options.duration, "instead: requests begin within so many seconds, in each run")
        ->check(CLI::Range(1u, kBenchmarkSecondsMax))
        ->excludes(requests)
        ->type_name("S");
    start.add_option("--prompt-tokens", options.prompt_tokens, "about so many tokens in each prompt; default: 300")
        ->check(CLI::Range(kBenchmarkPromptTokensMin, kBenchmarkPromptTokensMax))
        ->type_name("N");
    start.add_option("--shared-prefix", options.shared_prefix, "of them about so many equal ones at the front")
        ->check(CLI::Range(1u, kBenchmarkPromptTokensMax))
        ->type_name("N");
    start.add_option("--rounds", options.rounds, "of kind compare: each with a fresh prompt")
        ->check(CLI::Range(1u, kBenchmarkRoundsMax))
        ->type_name("R");
    start.add_option("--max-tokens", options.max_tokens, "longest answer")
        ->capture_default_str()
        ->check(CLI::Range(1u, kBenchmarkOutputTokensMax))
        ->type_name("N");
    start.add_option("--temperature", options.temperature)->capture_default_str()->check(CLI::Range(0.0, 2.0))->type_name("T");
    start.add_option("--seed", options.seed, "repeats the prompts; default: fresh ones")
        ->check(CLI::Range(int64_t{1}, kBenchmarkSeedMax))
        ->type_name("N");
    start.add_flag("--ignore-eos", options.ignore_eos, "every answer has --max-tokens tokens (vLLM, llama-server, gantry)");
    start.add_option("--name", options.name, "what it is called in lists");
    start.add_flag("--wait", options.wait, "follow it to its end, then print its figures");
}

void add_output(CLI::App& verb, Context& context) {
    verb.add_flag("--json", context.json, "print JSON: the benchmark, in `result` the report of `gantry bench --json`");
    verb.add_flag("-q,--quiet", context.quiet, "no chatter");
    add_client_options(verb, context);
}

}  // namespace

void add_benchmarks(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("benchmarks", "have the server measure deployments, and keep and compare the results");
    verb->require_subcommand(1);
    Options& options = context.own<Options>();
    const auto runs = [&context, &options](CLI::App& inner, int (*what)(const Context&, const Options&)) {
        inner.callback([&context, &options, what] { context.action = [&context, &options, what] { return what(context, options); }; });
    };

    CLI::App* list = verb->add_subcommand("list", "list benchmarks")->alias("ls");
    add_client_options(*list, context);
    add_list_options(*list, context);
    list->callback([&context] { context.action = [&context] { return list_benchmarks(context); }; });

    CLI::App* start = verb->add_subcommand("start", "measure deployments or outside URLs; one benchmark at a time, others wait");
    add_start_options(*start, options);
    add_output(*start, context);
    runs(*start, start_benchmark);

    CLI::App* show = verb->add_subcommand("show", "what was asked, what serves, and the figures");
    show->add_option("BENCHMARK", options.ids, "its id")->required()->expected(1);
    show->add_flag("--wait", options.wait, "follow it to its end first");
    add_output(*show, context);
    runs(*show, show_benchmark);

    CLI::App* compare = verb->add_subcommand("compare", "figures of several benchmarks side by side");
    compare->add_option("BENCHMARK", options.ids, "ids, 2 to 6")->required()->expected(kSideBySideMin, kSideBySideMax);
    add_output(*compare, context);
    runs(*compare, compare_benchmarks);

    CLI::App* cancel = verb->add_subcommand("cancel", "end benchmarks that wait or run; what was measured is kept");
    cancel->add_option("BENCHMARK", options.ids, "their ids")->required();
    cancel->add_flag("-q,--quiet", context.quiet, "no chatter");
    add_client_options(*cancel, context);
    runs(*cancel, cancel_benchmarks);

    CLI::App* remove = verb->add_subcommand("rm", "forget benchmarks with their results");
    remove->add_option("BENCHMARK", options.ids, "their ids")->required();
    remove->add_flag("-q,--quiet", context.quiet, "no chatter");
    add_client_options(*remove, context);
    runs(*remove, [](const Context& c, const Options& o) { return remove_each(c, kCollection, o.ids, ", its results with it"); });
}

}  // namespace gantry::cli
