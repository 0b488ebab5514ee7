#include "control/engine_metrics.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <string_view>

#include "backends/metrics_names.h"
#include "http/http.h"

namespace gantry::control {
namespace {

constexpr std::string_view kOurs = "gantry_engine_";
constexpr std::chrono::milliseconds kPatience{500};      // with one engine
constexpr std::chrono::milliseconds kPatienceWithAll{3'000};   // a scrape has ten seconds
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

}  // namespace

std::string merge_engine_metrics(const std::vector<EngineText>& engines) {
    std::map<std::string, Family, std::less<>> families;
    for (const EngineText& engine : engines) {
        const std::string labels = "model=\"" + escaped(engine.model) + "\",engine=\"" + escaped(engine.instance.text) + "\"";
        Family* family = nullptr;
        std::string_view rest = engine.text;
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

std::string engine_metrics(const gateway::RouteTable& routes) {
    const auto end = std::chrono::steady_clock::now() + kPatienceWithAll;
    std::vector<EngineText> engines;
    for (const auto& [name, model] : routes.models) {
        if (model.backend == BackendKind::kCustom || model.outside) continue;
        for (const gateway::Target& target : model.targets) {
            if (std::chrono::steady_clock::now() > end) break;
            http::Client::Call call;
            call.target = "/metrics";
            if (!target.api_key.empty()) call.headers.set("authorization", "Bearer " + target.api_key);
            http::ClientOptions options;
            options.connect_timeout = options.header_timeout = options.idle_timeout = kPatience;
            options.body_bytes = kTextBytesMax;
            auto answer = http::fetch(target.endpoint, call, options);
            if (answer && answer->status == 200) engines.push_back({name, target.instance_id, backends::common_metrics(model.backend, answer->body)});
        }
    }
    return merge_engine_metrics(engines);
}

}  // namespace gantry::control
