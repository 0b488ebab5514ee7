#include "domain/deployment.h"

#include <cctype>

namespace gantry {

const char* to_string(BackendKind kind) {
    switch (kind) {
        case BackendKind::kEngine: return "engine";
        case BackendKind::kLlamaServer: return "llama-server";
        case BackendKind::kVllm: return "vllm";
        case BackendKind::kSglang: return "sglang";
        case BackendKind::kMindie: return "mindie";
        case BackendKind::kCustom: return "custom";
    }
    return "engine";
}

std::optional<BackendKind> backend_kind_from(const std::string& text) {
    for (const BackendKind kind : kBackendKinds) {
        if (text == to_string(kind)) return kind;
    }
    return std::nullopt;
}

const char* to_string(UpdateStrategy strategy) {
    return strategy == UpdateStrategy::kRecreate ? "recreate" : "rolling";
}

bool from_text(const std::string& text, UpdateStrategy& strategy) {
    if (text != "rolling" && text != "recreate") return false;
    strategy = text == "recreate" ? UpdateStrategy::kRecreate : UpdateStrategy::kRolling;
    return true;
}

uint32_t instances_wanted(const Deployment& d) { return d.stopped || d.asleep_since ? 0 : d.replicas; }

Revision revision_of(const Deployment& d) {
    return {d.id, d.generation, d.source, d.backend, d.options, d.placement, d.updated_at, std::nullopt};
}

void take_revision(Deployment& deployment, const Revision& revision) {
    deployment.generation = revision.generation;
    deployment.source = revision.source;
    deployment.backend = revision.backend;
    deployment.options = revision.options;
    deployment.placement = revision.placement;
}

const Revision* find_revision(const std::vector<Revision>& revisions, const DeploymentId& deployment, int64_t generation) {
    for (const Revision& r : revisions) {
        if (r.deployment_id == deployment && r.generation == generation) return &r;
    }
    return nullptr;
}

const Revision* last_good(const std::vector<Revision>& revisions, const DeploymentId& deployment) {
    const Revision* best = nullptr;
    for (const Revision& r : revisions) {
        if (r.deployment_id == deployment && r.good_at && (best == nullptr || *r.good_at > *best->good_at)) best = &r;
    }
    return best;
}

bool valid_deployment_name(const std::string& name) {
    if (name.empty() || name.size() > 128 || !std::isalnum(static_cast<unsigned char>(name[0]))) return false;
    for (const char c : name) {
        if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_' && c != ':' && c != '/' && c != '-') {
            return false;
        }
    }
    return name.find("..") == std::string::npos && name.find("//") == std::string::npos && name.back() != '/';
}

}  // namespace gantry
