#include "control/engine_metrics.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <charconv>
#include <chrono>
#include <cmath>
#include <map>
#include <optional>
#include <string_view>

#include "backends/metrics_names.h"
#include "http/http.h"

namespace gantry::control {
namespace {

constexpr std::string_view kOurs = "gantry_engine_";
constexpr std::chrono::milliseconds kPatience{500};      // with one engine
constexpr size_t kAtOnce = 32;
constexpr size_t kTextBytesMax = 1u << 20;

struct Family {
    std::string head;      // # HELP, # TYPE
    std::string samples;
};

// As the format wants label values.
std::string escaped(std::string_view value) {
    std::string out;
    for (const char c : value) {
        if (c == '\\' || c == '"') out += '\\';
        if (c == '\n') out += "\\n";
        else out += c;
    }
    return out;
}

// "# TYPE name gauge" -> "name"
std::string_view name_in(std::string_view comment) {
    comment.remove_prefix(std::string_view("# TYPE ").size());
    return comment.substr(0, comment.find(' '));
}

// "name{a="b"} 1" and "name 1" with `labels` first.
void add_sample(std::string_view line, const std::string& labels, std::string& out) {
    const size_t end = line.find_first_of("{ ");
    if (end == std::string_view::npos) return;
    out.append(line.substr(0, end)).append("{").append(labels);
    if (line[end] == '{') {
        out.append(",").append(line.substr(end + 1));
    } else {
        out.append("}").append(line.substr(end));
    }
    out += '\n';
}

struct Question {
    std::string model;
    BackendKind backend;
    gateway::Target target;
};
struct Round {
    explicit Round(http::asio::io_context& io) : over(io) {}
    std::vector<Question> questions;
    std::vector<EngineText> answers;
    size_t next = 0;      // the question nobody asks yet
    size_t asking = 0;    // so many do
    http::Signal over;
};

http::Task<void> ask_in_turn(http::Client& client, std::shared_ptr<Round> round) {
    while (round->next < round->questions.size()) {
        const Question& question = round->questions[round->next++];
        http::Client::Call call;
        call.target = "/metrics";
        if (!question.target.api_key.empty()) call.headers.set("authorization", "Bearer " + question.target.api_key);
        auto answer = co_await client.send(question.target.endpoint, std::move(call));
        if (!answer || (*answer)->status() != 200) continue;
        auto text = co_await (*answer)->read_all();
        if (text) round->answers.push_back({question.model, question.target.instance_id, *std::move(text), question.backend});
    }
    if (--round->asking == 0) round->over.notify();
}

// Of the sample without labels "name value".
std::optional<double> value_of(std::string_view text, std::string_view name) {
    for (size_t at = text.find(name); at != std::string_view::npos; at = text.find(name, at + 1)) {
        const std::string_view rest = text.substr(at + name.size());
        if ((at != 0 && text[at - 1] != '\n') || !rest.starts_with(' ')) continue;
        double value = 0;
        const auto [end, error] = std::from_chars(rest.data() + 1, rest.data() + rest.size(), value);
        if (error == std::errc{} && std::isfinite(value)) return value;
    }
    return std::nullopt;
}

}  // namespace

protocol::management::EngineFigures figures_of(const EngineText& engine) {
    const std::string text = backends::common_metrics(engine.backend, engine.text);
    return {.instance = engine.instance,
            .running = value_of(text, "gantry_engine_sequences_running"),
            .waiting = value_of(text, "gantry_engine_sequences_waiting"),
            .kv_usage = value_of(text, "gantry_engine_kv_usage_ratio"),
            .prompt_tokens = value_of(text, "gantry_engine_prompt_tokens_total"),
            .cached_tokens = value_of(text, "gantry_engine_cached_tokens_total"),
            .generated_tokens = value_of(text, "gantry_engine_generated_tokens_total"),
            .first_token_seconds = value_of(text, "gantry_engine_time_to_first_token_seconds_sum"),
            .first_tokens = value_of(text, "gantry_engine_time_to_first_token_seconds_count")};
}

std::string merge_engine_metrics(const std::vector<EngineText>& engines) {
    std::map<std::string, Family, std::less<>> families;
    for (const EngineText& engine : engines) {
        const std::string labels = "model=\"" + escaped(engine.model) + "\",engine=\"" + escaped(engine.instance.text) + "\"";
        Family* family = nullptr;
        const std::string common = backends::common_metrics(engine.backend, engine.text);
        std::string_view rest = common;
        while (!rest.empty()) {
            const std::string_view line = rest.substr(0, rest.find('\n'));
            rest.remove_prefix(std::min(line.size() + 1, rest.size()));
            if (line.starts_with("# HELP ") || line.starts_with("# TYPE ")) {
                const std::string_view name = name_in(line);
                family = name.starts_with(kOurs) ? &families[std::string(name)] : nullptr;
                const bool known = family != nullptr && family->head.find(line.substr(0, 7)) != std::string::npos;
                if (family != nullptr && !known) family->head.append(line).append("\n");
            } else if (family != nullptr && line.starts_with(kOurs)) {
                add_sample(line, labels, family->samples);
            }
        }
    }
    std::string out;
    for (const auto& [name, family] : families) out += family.head + family.samples;
    return out;
}

http::ClientOptions engine_metrics_client() {
    http::ClientOptions options;
    options.connect_timeout = options.header_timeout = options.idle_timeout = kPatience;
    options.body_bytes = kTextBytesMax;
    return options;
}

http::Task<std::vector<EngineText>> ask_engines(http::asio::io_context& io, http::Client& client, std::shared_ptr<const gateway::RouteTable> routes) {
    const auto round = std::make_shared<Round>(io);   // shared by those who ask, each of whom may be the last
    for (const auto& [name, model] : routes->models) {
        if (model.backend == BackendKind::kCustom || model.outside) continue;
        for (const gateway::Target& target : model.targets) round->questions.push_back({name, model.backend, target});
    }
    round->asking = std::min(kAtOnce, round->questions.size());
    for (size_t i = 0, count = round->asking; i < count; ++i) http::asio::co_spawn(io, ask_in_turn(client, round), http::asio::detached);
    while (round->asking > 0) co_await round->over.wait(kPatience);
    co_return std::move(round->answers);
}

}  // namespace gantry::control
