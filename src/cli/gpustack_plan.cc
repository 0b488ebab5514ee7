#include "cli/gpustack_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

#include "base/ascii.h"
#include "cli/output.h"
#include "domain/deployment.h"
#include "domain/source.h"
#include "models/gguf_names.h"

namespace gantry::cli {
namespace {

using store::GpuStackRow;

std::string text_in(const GpuStackRow& row, const char* column) {
    const auto found = row.find(column);
    return found == row.end() ? std::string() : found->second;
}

int64_t number_in(const GpuStackRow& row, const char* column, int64_t otherwise) {
    const std::string text = text_in(row, column);
    int64_t number = otherwise;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
    return failed == std::errc() && end == text.data() + text.size() ? number : otherwise;
}

// A column of JSON; null where it is empty or broken.
json::value json_in(const GpuStackRow& row, const char* column) {
    auto value = parse_json(text_in(row, column));
    return value ? *std::move(value) : json::value();
}

// A repository and its file, which may be a pattern: "*Q4_K_M*.gguf".
std::optional<std::string> hub_source(const char* scheme, const std::string& repository, const std::string& file) {
    std::string source = fmt::format("{}:{}", scheme, repository);
    if (file.find('*') != std::string::npos) {
        std::string plain = file;
        std::erase(plain, '*');
        const std::string quantization = models::quantization_of(plain);
        if (quantization.empty()) {
            return std::nullopt;
        }
        source += ":" + quantization;
    } else if (!file.empty()) {
        source += "/" + file;
    }
    return parse_source(source) ? std::optional(source) : std::nullopt;
}

std::optional<std::string> source_of(const GpuStackRow& model) {
    const std::string kind = lowered(text_in(model, "source"));   // the enum's name, "HUGGING_FACE", or its value, "huggingface"
    if (kind == "hugging_face" || kind == "huggingface") {
        return hub_source("hf", text_in(model, "huggingface_repo_id"), text_in(model, "huggingface_filename"));
    }
    if (kind == "model_scope") {
        return hub_source("modelscope", text_in(model, "model_scope_model_id"), text_in(model, "model_scope_file_path"));
    }
    const std::string source = "file:" + text_in(model, "local_path");
    return kind == "local_path" && parse_source(source) ? std::optional(source) : std::nullopt;
}

std::optional<BackendKind> backend_of(const GpuStackRow& model, const std::string& source) {
    static const std::map<std::string, BackendKind> kKnown = {
        {"vllm", BackendKind::kVllm},         {"sglang", BackendKind::kSglang},        {"mindie", BackendKind::kMindie},
        {"ascend-mindie", BackendKind::kMindie}, {"llama-box", BackendKind::kEngine}};
    const std::string name = lowered(text_in(model, "backend"));
    if (name.empty()) {
        const std::string all = lowered(source + text_in(model, "huggingface_filename") + text_in(model, "model_scope_file_path"));
        return all.find("gguf") != std::string::npos ? BackendKind::kEngine : BackendKind::kVllm;
    }
    const auto found = kKnown.find(name);
    return found == kKnown.end() ? std::nullopt : std::optional(found->second);
}

// llama-box's arguments: the context is ours to say; the others have no meaning for another program.
void take_llama_box_words(const std::string& name, const json::array& words, json::object& options, std::vector<std::string>& notes) {
    std::string left;
    for (size_t i = 0; i < words.size(); ++i) {
        std::string word = words[i].is_string() ? std::string(words[i].get_string()) : std::string();
        std::string value;
        if (const size_t equals = word.find('='); equals != std::string::npos) {
            value = word.substr(equals + 1);
            word.resize(equals);
        }
        if (word == "--ctx-size" || word == "-c") {
            if (value.empty() && i + 1 < words.size() && words[i + 1].is_string()) {
                value = std::string(words[++i].get_string());
            }
            int64_t tokens = 0;
            std::from_chars(value.data(), value.data() + value.size(), tokens);
            options["context_tokens"] = std::clamp<int64_t>(tokens, 0, 67'108'864);
            continue;
        }
        left += (left.empty() ? "" : " ") + word;
    }
    if (!left.empty()) {
        notes.push_back(fmt::format("{}: its arguments for llama-box are left out: {}", name, left));
    }
}

json::object options_of(const GpuStackRow& model, BackendKind backend, std::vector<std::string>& notes) {
    const std::string name = text_in(model, "name");
    json::object options;
    const json::value words = json_in(model, "backend_parameters");
    if (words.is_array() && backend == BackendKind::kEngine) {
        take_llama_box_words(name, words.get_array(), options, notes);
    } else if (words.is_array() && !words.get_array().empty()) {
        options["extra_args"] = words.get_array();
    }
    const json::value env = json_in(model, "env");
    if (env.is_object() && !env.get_object().empty()) {
        options["env"] = env.get_object();
    }
    return options;
}

json::object placement_of(const GpuStackRow& model, std::vector<std::string>& notes) {
    json::object placement{{"strategy", lowered(text_in(model, "placement_strategy")) == "binpack" ? "binpack" : "spread"}};
    if (!text_in(model, "cpu_offloading").empty()) {
        placement["cpu_offload"] = number_in(model, "cpu_offloading", 1) != 0;
    }
    const json::value labels = json_in(model, "worker_selector");
    if (labels.is_object() && !labels.get_object().empty()) {
        placement["worker_labels"] = labels.get_object();
    }
    const json::value gpus = json_in(model, "gpu_selector");
    const bool chosen = gpus.is_object() && !array_at(gpus.get_object(), "gpu_ids").empty();
    if (chosen) {
        notes.push_back(fmt::format("{}: its GPUs were chosen by hand; name them anew (`gantry devices`), or let Gantry choose",
                                    text_in(model, "name")));
    }
    return placement;
}

std::optional<json::object> deployment_of(const GpuStackRow& model, bool start, std::vector<std::string>& notes) {
    const std::string name = text_in(model, "name");
    const auto leave = [&](const std::string& why) {
        notes.push_back(fmt::format("{}: not carried over: {}", name, why));
        return std::nullopt;
    };
    if (!valid_deployment_name(name)) {
        return leave("Gantry takes no such name");
    }
    const auto source = source_of(model);
    if (!source) {
        return leave(fmt::format("its source, {}, has no counterpart", lowered(text_in(model, "source"))));
    }
    const auto backend = backend_of(model, *source);
    if (!backend) {
        return leave(fmt::format("no backend here is {}", text_in(model, "backend")));
    }
    const int64_t replicas = std::clamp<int64_t>(number_in(model, "replicas", 1), 0, kReplicasMax);
    return json::object{{"name", name},
                        {"source", *source},
                        {"backend", to_string(*backend)},
                        {"options", options_of(model, *backend, notes)},
                        {"placement", placement_of(model, notes)},
                        {"replicas", std::max<int64_t>(replicas, 1)},
                        {"stopped", !start || replicas == 0}};
}

bool is_true(const GpuStackRow& row, const char* column, bool otherwise) { return number_in(row, column, otherwise ? 1 : 0) != 0; }

void add_users(const store::GpuStack& from, GpuStackPlan& plan) {
    for (const GpuStackRow& user : from.users) {
        const std::string name = text_in(user, "username");
        if (is_true(user, "is_system", false) || name.empty()) {
            continue;
        }
        if (!is_true(user, "is_active", true)) {
            plan.notes.push_back(fmt::format("{}: not carried over: this user is not active", name));
            continue;
        }
        const char* const role = is_true(user, "is_admin", false) ? "admin" : "user";
        plan.users.push_back(json::object{{"name", name}, {"role", role}, {"must_change_password", true}});
    }
}

void add_routes(const store::GpuStack& from, GpuStackPlan& plan) {
    std::map<std::string, std::string> models;
    for (const GpuStackRow& model : from.models) {
        models[text_in(model, "id")] = text_in(model, "name");
    }
    const auto carried = [&](const std::string& name) {
        return std::any_of(plan.deployments.begin(), plan.deployments.end(), [&](const json::object& d) { return text_at(d, "name") == name; });
    };
    for (const GpuStackRow& route : from.routes) {
        const std::string name = text_in(route, "name");
        json::object body{{"name", name}};
        json::array targets;
        bool whole = true;
        for (const GpuStackRow& target : from.targets) {
            if (text_in(target, "route_id") != text_in(route, "id")) {
                continue;
            }
            const std::string model = models.contains(text_in(target, "model_id")) ? models[text_in(target, "model_id")] : std::string();
            whole = whole && carried(model);
            const json::value codes = json_in(target, "fallback_status_codes");
            if (codes.is_array() && !codes.get_array().empty()) {
                body["fallback"] = model;
                continue;
            }
            targets.push_back(json::object{{"model", model}, {"weight", std::clamp<int64_t>(number_in(target, "weight", 1), 0, 10'000)}});
        }
        // Each of its models has a route of the same name; here a deployment is reached by its own.
        if (carried(name)) {
            continue;
        }
        if (!whole || targets.empty()) {
            plan.notes.push_back(fmt::format("{}: not carried over: this route leads to what is not here", name));
            continue;
        }
        body["targets"] = std::move(targets);
        plan.routes.push_back(std::move(body));
    }
}

}  // namespace

GpuStackPlan plan_of(const store::GpuStack& from, bool start) {
    GpuStackPlan plan;
    for (const GpuStackRow& model : from.models) {
        if (auto deployment = deployment_of(model, start, plan.notes)) {
            plan.deployments.push_back(*std::move(deployment));
        }
    }
    add_users(from, plan);
    add_routes(from, plan);
    if (from.api_keys > 0) {
        plan.notes.push_back(fmt::format("{} API keys: not carried over: only hashes of them are known; make new ones (`gantry keys create`)",
                                         from.api_keys));
    }
    return plan;
}

}  // namespace gantry::cli
