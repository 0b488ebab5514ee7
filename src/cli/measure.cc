#include "cli/measure.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <set>

#include "base/ids.h"
#include "base/version.h"
#include "bench/workload.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

std::string devices_of(const ApiClient& client) {
    std::string text;
    const Result<json::array> devices = client.list("/api/v1/devices");
    if (devices) {
        for (const json::value& item : *devices) {
            text += (text.empty() ? "" : ", ") + text_at(item.as_object(), "name");
        }
    }
    return text;
}

Result<bench::Target> target_of_deployment(const ApiClient& client, const std::string& name, const std::string& devices) {
    const Result<json::object> deployment = client.deployment(name);
    if (!deployment) {
        return deployment.error();
    }
    const json::object& status = object_at(*deployment, "status");
    if (number_at(status, "ready_replicas") == 0) {
        const std::string reason = text_at(status, "reason");
        return unavailable(fmt::format("{} is {}{}; `gantry ps` shows more", name, text_at(status, "state"),
                                       reason.empty() ? "" : ": " + reason));
    }
    bench::Target target;
    target.name = text_at(*deployment, "name");
    target.endpoint = client.server().endpoint;
    target.ca_file = client.server().ca_file;
    target.base_path = "/v1";
    target.model = target.name;
    target.api_key = client.server().token;
    target.backend = text_at(*deployment, "backend");
    target.devices = devices;
    target.url = target.endpoint;
    for (const auto& [kind, scheme] : {std::pair{"tcp:", "http://"}, std::pair{"tls:", "https://"}}) {
        if (target.endpoint.starts_with(kind)) {
            target.url = scheme + target.endpoint.substr(4);
        }
    }
    target.version = fmt::format("gantry {} ({})", kVersion, commit());
    target.flags = fmt::format("source={} replicas={} {}", text_at(*deployment, "source"), number_at(*deployment, "replicas"),
                               bench::flags_of(object_at(*deployment, "options")));
    return target;
}

}  // namespace

void add_measure_options(CLI::App& verb, Context& context, MeasureOptions& options) {
    verb.add_option("NAME", options.names, "deployments");
    verb.add_option("--target", options.targets, "NAME=URL,model=M,key=K: any OpenAI-compatible server; may be repeated")
        ->take_all()
        ->allow_extra_args(false);
    verb.add_option("--max-tokens", options.max_tokens, "longest answer")->capture_default_str()->type_name("N");
    verb.add_option("--temperature", options.temperature)->capture_default_str()->type_name("T");
    verb.add_option("--seed", options.seed, "repeats the prompts of a run; 0: fresh ones")->type_name("N");
    verb.add_flag("--ignore-eos", options.ignore_eos, "every answer has --max-tokens tokens (vLLM, llama-server, gantry)");
    verb.add_flag("--no-warmup", options.no_warmup, "leave out the short request to each target that is not measured");
    verb.add_flag("--json", context.json, "print the whole report as JSON, with the time of every token");
    verb.add_flag("-q,--quiet", context.quiet, "no chatter");
    add_client_options(verb, context);
}

Result<std::vector<bench::TargetRuns>> resolve_targets(const Context& context, const MeasureOptions& options) {
    std::vector<bench::TargetRuns> targets;
    if (!options.names.empty()) {
        const Result<ApiClient> client = ApiClient::connect(context);
        if (!client) {
            return client.error();
        }
        const std::string devices = devices_of(*client);
        for (const std::string& name : options.names) {
            Result<bench::Target> target = target_of_deployment(*client, name, devices);
            if (!target) {
                return target.error();
            }
            targets.push_back({std::move(*target), {}});
        }
    }
    for (const std::string& text : options.targets) {
        Result<bench::Target> target = bench::parse_target(text);
        if (!target) {
            return target.error();
        }
        target->ca_file = context.ca_file;
        if (target->version.empty()) {
            target->version = bench::version_of(*target);
        }
        targets.push_back({std::move(*target), {}});
    }
    if (targets.empty()) {
        return invalid_argument("nothing to measure: name a deployment, or give --target NAME=URL,model=M");
    }
    std::set<std::string> names;
    for (const bench::TargetRuns& entry : targets) {
        if (!names.insert(entry.target.name).second) {
            return invalid_argument(fmt::format("two targets are called {}; the table could not tell them apart", entry.target.name));
        }
    }
    return targets;
}

Status warm_up(const std::vector<bench::TargetRuns>& targets, const MeasureOptions& options) {
    bench::Workload workload;
    workload.prompts = {bench::lead_sentence(fresh_nonce({}), 0)};
    workload.max_tokens = 4;
    workload.temperature = options.temperature;
    for (const bench::TargetRuns& entry : targets) {
        const Result<bench::Run> run = bench::run(entry.target, workload);
        if (!run) {
            return run.error();
        }
        if (run->requests_ok == 0) {
            return unavailable(fmt::format("{} does not answer: {}", entry.target.name, run->samples.at(0).error));
        }
    }
    return Ok{};
}

int finish_report(const Context& context, const std::vector<bench::TargetRuns>& targets) {
    if (context.json) {
        std::string line;
        for (const std::string& word : context.argv) {
            line += (line.empty() ? "" : " ") + bench::without_key(word);
        }
        print(json::serialize(bench::report(targets, commit(), line)) + "\n");
    } else {
        print(bench::table(targets, terminal_columns(), colours(), unicode()));
    }
    int status = kDone;
    for (const bench::TargetRuns& entry : targets) {
        std::set<std::string> told;
        for (const bench::Run& run : entry.runs) {
            for (const bench::RequestSample& sample : run.samples) {
                if (!sample.ok) {
                    status = kFailed;
                    if (told.insert(sample.error).second && told.size() <= 3) {
                        fail(fmt::format("{}: a request failed: {}", entry.target.name, sample.error));
                    }
                }
            }
        }
    }
    return flushed(status);
}

uint64_t fresh_nonce(const MeasureOptions& options) {
    if (options.seed != 0) {
        return options.seed;
    }
    return std::hash<std::string>{}(system_random().token(16));
}

}  // namespace gantry::cli
