#include "backends/metrics_names.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include <fmt/format.h>

namespace gantry::backends {
namespace {

constexpr size_t kBucketsMax = 100;   // of a histogram; the engines have 20 to 30

enum class Type { kGauge, kCounter, kHistogram };

struct Family {
    std::string_view name;   // ours
    Type type;
    std::string_view help;
};
constexpr Family kRunning{"gantry_engine_sequences_running", Type::kGauge, "Sequences that are computed."};
constexpr Family kWaiting{"gantry_engine_sequences_waiting", Type::kGauge, "Sequences that wait for a place."};
constexpr Family kKvUsage{"gantry_engine_kv_usage_ratio", Type::kGauge, "Share of the KV cache in use."};
constexpr Family kPrompt{"gantry_engine_prompt_tokens_total", Type::kCounter, "Prompt tokens taken in."};
constexpr Family kGenerated{"gantry_engine_generated_tokens_total", Type::kCounter, "Tokens published."};
constexpr Family kCached{"gantry_engine_cached_tokens_total", Type::kCounter, "Prompt tokens whose KV was there already."};
constexpr Family kPreemptions{"gantry_engine_preemptions_total", Type::kCounter, "Sequences put back because KV ran out."};
constexpr Family kFirstToken{"gantry_engine_time_to_first_token_seconds", Type::kHistogram, "From a request to its first token."};
constexpr Family kInterToken{"gantry_engine_inter_token_seconds", Type::kHistogram, "Between two tokens of an answer."};
constexpr Family kRequest{"gantry_engine_request_seconds", Type::kHistogram, "From a request to the end of its answer."};

struct Row {
    std::string_view own;
    const Family* family;
};
constexpr Row kVllm[] = {
    {"vllm:num_requests_running", &kRunning},
    {"vllm:num_requests_waiting", &kWaiting},
    {"vllm:kv_cache_usage_perc", &kKvUsage},
    {"vllm:gpu_cache_usage_perc", &kKvUsage},        // until 0.9
    {"vllm:prompt_tokens_total", &kPrompt},
    {"vllm:generation_tokens_total", &kGenerated},
    {"vllm:prompt_tokens_cached_total", &kCached},
    {"vllm:prefix_cache_hits_total", &kCached},      // until 0.15, the same thing
    {"vllm:num_preemptions_total", &kPreemptions},
    {"vllm:time_to_first_token_seconds", &kFirstToken},
    {"vllm:inter_token_latency_seconds", &kInterToken},
    {"vllm:time_per_output_token_seconds", &kInterToken},   // until 0.11
    {"vllm:e2e_request_latency_seconds", &kRequest},
};
constexpr Row kSglang[] = {
    {"sglang:num_running_reqs", &kRunning},
    {"sglang:num_queue_reqs", &kWaiting},
    {"sglang:token_usage", &kKvUsage},
    {"sglang:prompt_tokens_total", &kPrompt},
    {"sglang:generation_tokens_total", &kGenerated},
    {"sglang:cached_tokens_total", &kCached},
    {"sglang:num_retracted_requests_total", &kPreemptions},
    {"sglang:time_to_first_token_seconds", &kFirstToken},
    {"sglang:inter_token_latency_seconds", &kInterToken},
    {"sglang:time_per_output_token_seconds", &kInterToken},   // until 0.4.4
    {"sglang:e2e_request_latency_seconds", &kRequest},
};
constexpr Row kLlamaServer[] = {
    {"llamacpp:requests_processing", &kRunning},
    {"llamacpp:requests_deferred", &kWaiting},
    {"llamacpp:kv_cache_usage_ratio", &kKvUsage},   // until b5800; newer ones tell none
    {"llamacpp:prompt_tokens_total", &kPrompt},
    {"llamacpp:tokens_predicted_total", &kGenerated},
    {"llamacpp:prompt_tokens_cached_total", &kCached},
};
constexpr Row kMindie[] = {
    {"num_requests_running", &kRunning},
    {"num_requests_waiting", &kWaiting},
    {"npu_cache_usage_perc", &kKvUsage},
    {"prompt_tokens_total", &kPrompt},
    {"generation_tokens_total", &kGenerated},
    {"num_preemptions_total", &kPreemptions},
    {"time_to_first_token_seconds", &kFirstToken},
    {"time_per_output_token_seconds", &kInterToken},
    {"e2e_request_latency_seconds", &kRequest},
};

std::span<const Row> rows_of(BackendKind kind) {
    switch (kind) {
        case BackendKind::kVllm: return kVllm;
        case BackendKind::kSglang: return kSglang;
        case BackendKind::kLlamaServer: return kLlamaServer;
        case BackendKind::kMindie: return kMindie;
        case BackendKind::kEngine:
        case BackendKind::kCustom: return {};
    }
    return {};
}

struct Sample {
    std::string_view name;     // "vllm:time_to_first_token_seconds_bucket"
    std::string_view labels;   // without braces
    double value = 0;
};

// "name{labels} value [timestamp]"; nothing for comments, other lines, and NaN.
std::optional<Sample> read_sample(std::string_view line) {
    if (line.empty() || line[0] == '#') return std::nullopt;
    Sample sample;
    size_t at = line.find_first_of("{ ");
    if (at == std::string_view::npos) return std::nullopt;
    sample.name = line.substr(0, at);
    if (line[at] == '{') {
        size_t end = at + 1;
        for (bool quoted = false; end < line.size() && (quoted || line[end] != '}'); ++end) {
            if (line[end] == '\\') {
                ++end;
            } else if (line[end] == '"') {
                quoted = !quoted;
            }
        }
        if (end >= line.size()) return std::nullopt;
        sample.labels = line.substr(at + 1, end - at - 1);
        at = end + 1;
    }
    while (at < line.size() && line[at] == ' ') ++at;
    const std::string_view number = line.substr(at, line.find(' ', at) - at);
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), sample.value);
    if (error != std::errc() || end == number.data() || !std::isfinite(sample.value)) return std::nullopt;
    return sample;
}

// le="0.5" -> 0.5
std::string_view label_value(std::string_view labels, std::string_view name) {
    const std::string start = std::string(name) + "=\"";
    for (size_t at = labels.find(start); at != std::string_view::npos; at = labels.find(start, at + 1)) {
        if (at != 0 && labels[at - 1] != ',' && labels[at - 1] != ' ') continue;
        const size_t from = at + start.size();
        return labels.substr(from, labels.find('"', from) - from);
    }
    return {};
}

// What was read of one of the product's names.
struct Found {
    const Row* row = nullptr;
    double value = 0;                               // of a gauge, a counter
    std::vector<std::pair<std::string, double>> buckets;   // by `le`, in the order in which they came
    double sum = 0;
    double count = 0;
};

// A bucket's upper bound goes into our text as it is: a number, or "+Inf".
bool is_bound(std::string_view text) {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return text == "+Inf" || (error == std::errc() && end == text.data() + text.size() && std::isfinite(value));
}

void take(Found& found, std::string_view suffix, const Sample& sample) {
    if (found.row->family->type == Type::kGauge) {
        found.value = std::max(found.value, sample.value);
    } else if (found.row->family->type == Type::kCounter) {
        found.value += sample.value;
    } else if (suffix == "_sum") {
        found.sum += sample.value;
    } else if (suffix == "_count") {
        found.count += sample.value;
    } else {
        const std::string le(label_value(sample.labels, "le"));
        if (!is_bound(le) || found.buckets.size() >= kBucketsMax) return;
        const auto same = std::find_if(found.buckets.begin(), found.buckets.end(),
                                       [&le](const auto& bucket) { return bucket.first == le; });
        if (same == found.buckets.end()) {
            found.buckets.emplace_back(le, sample.value);
        } else {
            same->second += sample.value;
        }
    }
}

bool fits(const Row& row, std::string_view suffix) {
    const bool part = suffix == "_sum" || suffix == "_count" || suffix == "_bucket";
    return row.family->type == Type::kHistogram ? part : suffix.empty();
}

void write(const Found& found, std::string& out) {
    const Family& family = *found.row->family;
    constexpr std::string_view kTypes[] = {"gauge", "counter", "histogram"};
    fmt::format_to(std::back_inserter(out), "# HELP {} {}\n# TYPE {} {}\n", family.name, family.help, family.name,
                   kTypes[static_cast<size_t>(family.type)]);
    if (family.type != Type::kHistogram) {
        fmt::format_to(std::back_inserter(out), "{} {}\n", family.name, found.value);
        return;
    }
    for (const auto& [le, value] : found.buckets) {
        fmt::format_to(std::back_inserter(out), "{}_bucket{{le=\"{}\"}} {}\n", family.name, le, value);
    }
    fmt::format_to(std::back_inserter(out), "{}_sum {}\n{}_count {}\n", family.name, found.sum, family.name, found.count);
}

}  // namespace

std::string common_metrics(BackendKind kind, std::string_view text) {
    if (kind == BackendKind::kEngine) return std::string(text);
    const std::span<const Row> rows = rows_of(kind);
    std::map<const Row*, Found> found;   // in the table's order: rows are neighbours in memory
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        const std::optional<Sample> sample = read_sample(line);
        if (!sample) continue;
        for (const Row& row : rows) {
            if (!sample->name.starts_with(row.own) || !fits(row, sample->name.substr(row.own.size()))) continue;
            Found& here = found[&row];
            here.row = &row;
            take(here, sample->name.substr(row.own.size()), *sample);
        }
    }
    std::string out;
    const Family* last = nullptr;
    for (const auto& [row, values] : found) {
        if (row->family != last) write(values, out);   // of two names for one thing the first, which is the newer
        last = row->family;
    }
    return out;
}

}  // namespace gantry::backends
