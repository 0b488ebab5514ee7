// Benchmarks: what may be asked for, and how one is shown. What goes in as a target's api_key never comes out.
#include <fmt/format.h>

#include <algorithm>

#include "domain/deployment.h"
#include "domain/provider.h"
#include "protocol/management/fields.h"
#include "protocol/management/objects.h"
#include "protocol/openai/utf8.h"

namespace gantry::protocol::management {
namespace {

constexpr size_t kNameBytesMax = 64;
constexpr size_t kModelBytesMax = 256;
constexpr size_t kUrlBytes = 1024;
constexpr size_t kKeyBytesMax = 4096;

// A line that a person reads: no control character in it.
bool is_line(const std::string& text) {
    return !text.empty() && std::none_of(text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; });
}

// It becomes a header field: nothing in it may end one.
bool is_key(const std::string& key) {
    return !key.empty() && std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

// The words of parse_base_url() are about a provider's field.
std::string url_problem(const std::string& field, const Error& error) {
    constexpr std::string_view kTheirs = "\"base_url\" ";
    const std::string& message = error.message;
    return fmt::format("\"{}\" {}", field, message.starts_with(kTheirs) ? message.substr(kTheirs.size()) : message);
}

void read_outside(FieldReader& reader, const std::string& prefix, BenchmarkTarget& target, std::string& key) {
    reader.require("model");
    if (const auto url = reader.string("url", kUrlBytes)) {
        const Result<BaseUrl> parsed = parse_base_url(*url);
        if (parsed) target.url = parsed->text();
        else reader.fail("url", url_problem(prefix + "url", parsed.error()));
    }
    target.model = reader.string("model", kModelBytesMax).value_or("");
    if (!is_line(target.model)) reader.fail("model", fmt::format("\"{}model\" must be the model's name there", prefix));
    key = reader.string("api_key", kKeyBytesMax).value_or("");
    if (!key.empty() && !is_key(key)) {
        reader.fail("api_key", fmt::format("\"{}api_key\" must be 1 to 4096 visible ASCII characters without a space", prefix));
    }
    target.has_api_key = !key.empty();
}

Status read_target(const json::value& value, const std::string& path, BenchmarkInput& input) {
    if (!value.is_object()) return invalid_argument(fmt::format("\"{}\" must be an object", path), path);
    const std::string prefix = path + ".";
    FieldReader reader(value.get_object(), prefix);
    BenchmarkTarget target;
    std::string key;
    const auto deployment = reader.string("deployment", 1024);
    const bool outside = value.get_object().contains("url");
    if (deployment && outside) {
        reader.fail("url", fmt::format("\"{}\" has both a deployment and a url: it is one or the other", path));
    } else if (outside) {
        read_outside(reader, prefix, target, key);
    } else if (deployment) {
        target.deployment = target.model = *deployment;
        if (!valid_deployment_name(*deployment)) reader.fail("deployment", fmt::format("\"{}deployment\" is no deployment's name", prefix));
    } else {
        reader.fail("deployment", fmt::format("\"{}\" needs a deployment, or a url and a model", path));
    }
    target.name = reader.string("name", kNameBytesMax).value_or(std::string(openai::beginning(target.model, kNameBytesMax)));
    if (!is_line(target.name)) reader.fail("name", fmt::format("\"{}name\" must be 1 to {} bytes in a line", prefix, kNameBytesMax));
    GANTRY_TRY(reader.finish());
    for (const BenchmarkTarget& other : input.targets) {
        if (other.name != target.name) continue;
        return invalid_argument(fmt::format("two targets are called {}: give one of them another \"name\"", target.name), prefix + "name");
    }
    input.targets.push_back(std::move(target));
    input.keys.push_back(std::move(key));
    return Ok{};
}

Status read_targets(FieldReader& reader, BenchmarkInput& input) {
    reader.require("targets");
    const json::array* targets = reader.array("targets");
    if (targets == nullptr) return Ok{};   // finish() says so
    if (targets->empty() || targets->size() > kBenchmarkTargetsMax) {
        return invalid_argument(fmt::format("\"targets\" has {} entries; 1 to {} are taken", targets->size(), kBenchmarkTargetsMax), "targets");
    }
    for (size_t i = 0; i < targets->size(); ++i) GANTRY_TRY(read_target((*targets)[i], fmt::format("targets[{}]", i), input));
    return Ok{};
}

void read_number(FieldReader& reader, const char* name, uint32_t min, uint32_t max, uint32_t& out) {
    if (const auto number = reader.integer(name, min, max)) out = static_cast<uint32_t>(*number);
}

// What a load has and a comparison has not, and the other way round.
void read_shape(FieldReader& reader, const json::object& body, BenchmarkSettings& settings) {
    const bool load = settings.kind == BenchmarkKind::kLoad;
    for (const char* name : {"prompt_tokens", "shared_prefix_tokens", "requests", "duration_seconds", "rounds"}) {
        const json::value* value = body.if_contains(name);
        const bool of_load = std::string_view(name) != "rounds";
        if (value == nullptr || value->is_null() || of_load == load) continue;
        reader.fail(name, fmt::format("\"{}\" is of a benchmark of kind \"{}\"", name, of_load ? "load" : "compare"));
    }
    read_number(reader, "prompt_tokens", kBenchmarkPromptTokensMin, kBenchmarkPromptTokensMax, settings.prompt_tokens);
    read_number(reader, "shared_prefix_tokens", 0, kBenchmarkPromptTokensMax, settings.shared_prefix_tokens);
    if (settings.shared_prefix_tokens > settings.prompt_tokens) {
        reader.fail("shared_prefix_tokens", "\"shared_prefix_tokens\" is a part of \"prompt_tokens\", and can't be more");
    }
    read_number(reader, "requests", 1, kBenchmarkRequestsMax, settings.requests);
    read_number(reader, "duration_seconds", 1, kBenchmarkSecondsMax, settings.duration_seconds);
    if (settings.requests > 0 && settings.duration_seconds > 0) {
        reader.fail("duration_seconds", "a run ends after so many \"requests\" or after \"duration_seconds\", not both");
    }
    read_number(reader, "rounds", 1, kBenchmarkRoundsMax, settings.rounds);
}

// What each field allows may still be too much together.
Status check_whole(const BenchmarkInput& input) {
    const BenchmarkSettings& s = input.settings;
    uint64_t requests = 0;
    for (const uint32_t concurrency : s.concurrencies) {
        const uint64_t of_run = requests_of_run(s, concurrency);
        if (of_run > kBenchmarkRequestsMax) {
            return invalid_argument(fmt::format("{} rounds of {} panels are {} requests; a run has {} at most", s.rounds, concurrency, of_run,
                                                kBenchmarkRequestsMax), "rounds");
        }
        if (s.kind == BenchmarkKind::kLoad && of_run * s.prompt_tokens > kBenchmarkPromptTokensOfRunMax) {
            return invalid_argument(fmt::format("{} requests of {} tokens are {} in a run; {} are taken: fewer requests, or shorter prompts",
                                                of_run, s.prompt_tokens, of_run * s.prompt_tokens, kBenchmarkPromptTokensOfRunMax),
                                    "prompt_tokens");
        }
        requests += of_run * input.targets.size();
    }
    const uint64_t seconds = uint64_t{s.duration_seconds} * s.concurrencies.size() * input.targets.size();
    if (seconds > kBenchmarkAllSecondsMax) {
        return invalid_argument(fmt::format("all runs of all targets together take {} s; {} s are taken at most", seconds,
                                            kBenchmarkAllSecondsMax), "duration_seconds");
    }
    if (s.duration_seconds == 0 && requests > kBenchmarkAllRequestsMax) {
        return invalid_argument(fmt::format("all runs of all targets together are {} requests; {} are taken at most", requests,
                                            kBenchmarkAllRequestsMax), s.kind == BenchmarkKind::kLoad ? "requests" : "rounds");
    }
    return Ok{};
}

Status read_settings(FieldReader& reader, const json::object& body, BenchmarkInput& input) {
    BenchmarkSettings& settings = input.settings;
    if (const auto kind = reader.string("kind", 16); kind && !from_text(*kind, settings.kind)) {
        reader.fail("kind", "\"kind\" must be load or compare");
    }
    if (const auto counts = reader.integers("concurrencies", kBenchmarkConcurrenciesMax, 1, kBenchmarkConcurrencyMax)) {
        settings.concurrencies.assign(counts->begin(), counts->end());
        for (size_t i = 0; i < counts->size(); ++i) {
            if (std::count(counts->begin(), counts->begin() + static_cast<std::ptrdiff_t>(i), (*counts)[i]) == 0) continue;
            reader.fail(fmt::format("concurrencies[{}]", i), fmt::format("\"concurrencies[{}]\" is named twice", i));
        }
    }
    read_shape(reader, body, settings);
    read_number(reader, "output_tokens", 1, kBenchmarkOutputTokensMax, settings.output_tokens);
    settings.temperature = reader.number("temperature", 0, 2).value_or(settings.temperature);
    settings.ignore_eos = reader.boolean("ignore_eos").value_or(false);
    const auto seed = reader.integer("seed", 1, kBenchmarkSeedMax);
    input.seed_given = seed.has_value();
    settings.seed = static_cast<uint64_t>(seed.value_or(1));
    return Ok{};
}

// "load: smollm2, rival", for one that was given no name.
std::string usual_name(const BenchmarkInput& input) {
    std::string name = to_string(input.settings.kind);
    for (size_t i = 0; i < input.targets.size(); ++i) {
        const std::string next = (i == 0 ? ": " : ", ") + input.targets[i].name;
        if (name.size() + next.size() + 3 > kNameBytesMax) return name + "...";
        name += next;
    }
    return name;
}

json::object to_json(const BenchmarkTarget& t) {
    const bool outside = t.deployment.empty();
    return {{"name", t.name},
            {"deployment", outside ? json::value(nullptr) : json::value(t.deployment)},
            {"url", outside ? json::value(t.url) : json::value(nullptr)},
            {"model", t.model},
            {"has_api_key", t.has_api_key},
            {"backend", t.backend},
            {"devices", t.devices},
            {"cards", t.cards},
            {"version", t.version},
            {"flags", t.flags},
            {"error", t.error}};
}

json::object to_json(const BenchmarkProgress& p) {
    return {{"fraction", p.fraction},
            {"requests_done", p.requests_done},
            {"requests_failed", p.requests_failed},
            {"requests_total", p.requests_total > 0 ? json::value(p.requests_total) : json::value(nullptr)},
            {"output_tokens", p.output_tokens},
            {"target", p.target.empty() ? json::value(nullptr) : json::value(p.target)},
            {"concurrency", p.concurrency > 0 ? json::value(p.concurrency) : json::value(nullptr)}};
}

json::value time_or_null(const std::optional<WallTime>& time) { return time ? json::value(to_rfc3339(*time)) : json::value(nullptr); }

json::value parsed_or_null(const std::string& text) {
    auto value = parse_json(text);
    return value ? *std::move(value) : json::value(nullptr);
}

}  // namespace

json::object to_json(const Benchmark& b, uint32_t before_it, bool with_result) {
    const BenchmarkSettings& s = b.settings;
    const bool load = s.kind == BenchmarkKind::kLoad;
    const auto of_load = [load](uint32_t value) { return load ? json::value(value) : json::value(nullptr); };
    json::array targets;
    for (const BenchmarkTarget& target : b.targets) targets.emplace_back(to_json(target));
    json::object out = {{"id", b.id.text},
                        {"name", b.name},
                        {"user_id", b.user_id.text},
                        {"user_name", b.user_name},
                        {"kind", to_string(s.kind)},
                        {"targets", std::move(targets)},
                        {"concurrencies", json::array(s.concurrencies.begin(), s.concurrencies.end())},
                        {"prompt_tokens", of_load(s.prompt_tokens)},
                        {"shared_prefix_tokens", of_load(s.shared_prefix_tokens)},
                        {"requests", s.requests > 0 ? json::value(s.requests) : json::value(nullptr)},
                        {"duration_seconds", s.duration_seconds > 0 ? json::value(s.duration_seconds) : json::value(nullptr)},
                        {"rounds", load ? json::value(nullptr) : json::value(s.rounds)},
                        {"output_tokens", s.output_tokens},
                        {"temperature", s.temperature},
                        {"ignore_eos", s.ignore_eos},
                        {"seed", s.seed},
                        {"state", to_string(b.state)},
                        {"reason", b.reason},
                        {"before_it", b.state == BenchmarkState::kQueued ? json::value(before_it) : json::value(nullptr)},
                        {"progress", to_json(b.progress)},
                        {"created_at", to_rfc3339(b.created_at)},
                        {"started_at", time_or_null(b.started_at)},
                        {"finished_at", time_or_null(b.finished_at)},
                        {"runs", parsed_or_null(b.runs)}};
    if (with_result) out["result"] = parsed_or_null(b.result);
    return out;
}

Result<BenchmarkInput> parse_benchmark_create(std::string_view body) {
    Result<json::object> object = parse_object(body);
    if (!object) return object.error();
    FieldReader reader(*object);
    BenchmarkInput input;
    GANTRY_TRY(read_targets(reader, input));
    GANTRY_TRY(read_settings(reader, *object, input));
    const auto name = reader.string("name", kNameBytesMax);
    if (name && !is_line(*name)) reader.fail("name", fmt::format("\"name\" must be 1 to {} bytes in a line", kNameBytesMax));
    GANTRY_TRY(reader.finish());
    GANTRY_TRY(check_whole(input));
    input.name = name.value_or(usual_name(input));
    return input;
}

}  // namespace gantry::protocol::management
