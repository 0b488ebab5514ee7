#include "control/knowledge.h"

#include <algorithm>

#include "base/log.h"
#include "base/platform/files.h"
#include "models/model_reader.h"
#include "protocol/management/objects.h"

namespace gantry::control {
namespace {

constexpr size_t kReadMax = 10'000;   // models remembered; beyond that all are read again

}  // namespace

Result<ModelMeta> KnowledgeSource::meta_of(const std::string& source, const Snapshot& view) {
    const auto path = protocol::management::file_of_source(source);
    if (!path) return path.error();
    const std::string identity = platform::file_identity(*path);
    const auto known = read_.with([&](auto& read) -> std::optional<Result<ModelMeta>> {
        const auto found = read.find(source);
        if (found == read.end() || found->second.identity != identity) return std::nullopt;
        return found->second.meta;
    });
    if (known) return *known;
    Result<ModelMeta> meta = models::read_model(*path);
    if (!meta && meta.error().code == ErrorCode::kNotFound) {
        const auto row = std::find_if(view.models.begin(), view.models.end(), [&](const Model& m) { return m.source == source; });
        return row == view.models.end() ? std::move(meta) : Result<ModelMeta>(row->meta);
    }
    read_.with([&](auto& read) {
        if (read.size() >= kReadMax) read.clear();
        read.insert_or_assign(source, Read{identity, meta});
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
