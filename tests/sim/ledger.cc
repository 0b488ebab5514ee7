#include "sim/ledger.h"

#include <fmt/format.h>

#include <algorithm>

namespace gantry::sim {
namespace {

// The reconciler may have taken the revision back since, which raises the version; the rest is the user's alone.
bool keeps(const Deployment& row, const Deployment& told) {
    if (row.version < told.version || row.name != told.name || row.replicas != told.replicas || row.stopped != told.stopped ||
        !(row.rollout == told.rollout)) {
        return false;
    }
    return row.version > told.version || (row.generation == told.generation && row.source == told.source && row.options == told.options);
}

std::string shown(const Deployment& d) {
    return fmt::format("version {} with {} replicas{}, revision {}", d.version, d.replicas, d.stopped ? ", stopped" : "", d.generation);
}

bool keeps(const Worker& row, const Worker& told) {
    return row.name == told.name && row.cordoned == told.cordoned && row.drain_by == told.drain_by && row.labels == told.labels;
}

}  // namespace

std::string Ledger::missing_deployment(const Snapshot& rows) {
    std::map<DeploymentId, const Deployment*> found;
    for (const Deployment& d : rows.deployments) found[d.id] = &d;
    for (auto entry = deployments_.begin(); entry != deployments_.end();) {
        auto& [id, said] = *entry;
        const auto row = found.find(id);
        if (row == found.end() && !said.maybe_deleted && said.told) return fmt::format("the deployment {} ({}) is lost", said.told->name, id.text);
        if (row == found.end() && said.told) {
            gone_.insert(id.text);
            entry = deployments_.erase(entry);
            continue;
        }
        if (row == found.end()) {   // not done, unless a crash brings it to light
            ++entry;
            continue;
        }
        const Deployment& d = *row->second;
        if (said.attempted && keeps(d, *said.attempted)) said.told = d;
        if (!said.told || !keeps(d, *said.told)) {
            return fmt::format("the deployment {} ({}) is {}; acknowledged was {}", d.name, id.text, shown(d),
                               said.told ? shown(*said.told) : "nothing like it");
        }
        ++entry;
    }
    return {};
}

std::string Ledger::missing_worker(const Snapshot& rows) {
    std::map<WorkerId, const Worker*> found;
    for (const Worker& w : rows.workers) found[w.id] = &w;
    for (const WorkerId& id : maybe_gone_) {
        if (workers_.contains(id) && !found.contains(id)) told_deleted(id);
    }
    for (auto& [id, told] : workers_) {
        const auto row = found.find(id);
        if (row == found.end()) return fmt::format("the worker {} ({}) is lost", told.name, id.text);
        const auto attempt = maybe_workers_.find(id);
        if (attempt != maybe_workers_.end() && keeps(*row->second, attempt->second)) told = attempt->second;
        if (!keeps(*row->second, told)) return fmt::format("the worker {} ({}) has other settings than were acknowledged", told.name, id.text);
    }
    return {};
}

std::string Ledger::missing_in(const Snapshot& rows) {
    for (const Deployment& d : rows.deployments) {
        if (gone_.contains(d.id.text)) return fmt::format("the deployment {} ({}) was deleted, and is there again", d.name, d.id.text);
    }
    for (const Worker& w : rows.workers) {
        if (gone_.contains(w.id.text)) return fmt::format("the worker {} ({}) was removed, and is there again", w.name, w.id.text);
    }
    std::string missing = missing_deployment(rows);
    return missing.empty() ? missing_worker(rows) : missing;
}

std::string Ledger::used_again(const Snapshot& rows) {
    std::map<std::string, WallTime> now;
    for (const Deployment& d : rows.deployments) now.emplace(d.id.text, d.created_at);
    for (const Instance& i : rows.instances) now.emplace(i.id.text, i.created_at);
    for (const Worker& w : rows.workers) now.emplace(w.id.text, w.created_at);
    for (const auto& [id, made] : now) {
        if (retired_.contains(id)) return id;
        const auto before = living_.find(id);
        if (before != living_.end() && before->second != made) return id;
    }
    for (const auto& [id, made] : living_) {
        if (!now.contains(id)) retired_.insert(id);
    }
    living_ = std::move(now);
    return {};
}

}  // namespace gantry::sim
