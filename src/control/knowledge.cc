#include "control/knowledge.h"

#include <algorithm>

#include "base/log.h"
#include "base/platform/files.h"
#include "models/model_reader.h"

namespace gantry::control {
namespace {

constexpr size_t kReadMax = 10'000;   // models remembered; beyond that all are read again
constexpr char kAtHub[] = "hub";      // instead of a file's identity: what a hub's files say is asked once

const Model* row_of(const std::string& source, const Snapshot& view) {
    const auto row = std::find_if(view.models.begin(), view.models.end(), [&](const Model& m) { return m.source == source; });
    return row == view.models.end() ? nullptr : &*row;
}

}  // namespace

Result<ModelMeta> KnowledgeSource::meta_of(const std::string& source, const Snapshot& view) {
    const auto parsed = parse_source(source);
    if (!parsed) return parsed.error();
    if (parsed->from_hub()) return meta_of_hub(*parsed, view);
    const std::string identity = platform::file_identity(parsed->path);
    const auto known = read_.with([&](auto& read) -> std::optional<Result<ModelMeta>> {
        const auto found = read.find(source);
        if (found == read.end() || found->second.identity != identity) return std::nullopt;
        return found->second.meta;
    });
    if (known) return *known;
    Result<ModelMeta> meta = models::read_model(parsed->path);
    if (!meta && meta.error().code == ErrorCode::kNotFound) {
        const Model* const row = row_of(source, view);
        return row == nullptr ? std::move(meta) : Result<ModelMeta>(row->meta);
    }
    read_.with([&](auto& read) {
        if (read.size() >= kReadMax) read.clear();
        read.insert_or_assign(source, Read{identity, meta});
    });
    return meta;
}

std::optional<Result<ModelMeta>> KnowledgeSource::known_of_hub(const std::string& source) const {
    return read_.with([&](const auto& read) -> std::optional<Result<ModelMeta>> {
        const auto found = read.find(source);
        return found == read.end() ? std::nullopt : std::optional(found->second.meta);
    });
}

Result<ModelMeta> KnowledgeSource::meta_of_hub(const Source& source, const Snapshot& view) {
    const std::string text = source.text();
    if (const auto known = known_of_hub(text)) return *known;
    if (const Model* const row = row_of(text, view)) return row->meta;
    return unavailable(std::string(source.hub()) + " was not asked yet what the model needs, or did not answer");
}

Result<ModelMeta> KnowledgeSource::look(const std::string& source) {
    const auto parsed = parse_source(source);
    if (!parsed) return parsed.error();
    if (!parsed->from_hub()) return models::read_model(parsed->path);
    const auto known = known_of_hub(source);
    if (known) return *known;
    if (files_ == nullptr) return unavailable("this server fetches no models: its folder of models cannot be used");
    Result<ModelMeta> meta = files_->look(*parsed);
    if (!meta) return meta;
    read_.with([&](auto& read) {
        if (read.size() >= kReadMax) read.clear();
        read.insert_or_assign(source, Read{kAtHub, meta});
    });
    return meta;
}

placement::Knowledge KnowledgeSource::of(const std::set<std::string>& sources, const Snapshot& view) {
    placement::Knowledge knowledge;
    if (sources.empty()) return knowledge;
    for (const std::string& source : sources) {
        Result<ModelMeta> meta = meta_of(source, view);
        if (meta) {
            knowledge.metas.emplace(source, *std::move(meta));
        } else {
            knowledge.meta_problems.emplace(source, meta.error().message);
        }
    }
    auto runs = store_.measured_runs();
    if (runs) {
        knowledge.runs = *std::move(runs);
    } else {
        log::warn("what instances were measured to take can't be read, so estimates are not corrected by it: {}",
                  runs.error().message);
    }
    return knowledge;
}

placement::Knowledge KnowledgeSource::of_waiting(const Snapshot& view) {
    std::set<DeploymentId> waiting;
    for (const Instance& i : view.instances) {
        if (i.worker_id.empty() && !i.stopping) waiting.insert(i.deployment_id);
    }
    std::set<std::string> sources;
    for (const Deployment& d : view.deployments) {
        if (waiting.contains(d.id)) sources.insert(d.source);
    }
    return of(sources, view);
}

}  // namespace gantry::control
