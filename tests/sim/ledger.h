#pragma once
// What users were told: each deployment and each worker's settings as the last acknowledged operation left them, each name that was
// deleted, each identifier ever seen. Kept beside the server, so that nothing that befalls it changes a line here.

#include <map>
#include <optional>
#include <set>
#include <string>

#include "domain/snapshot.h"

namespace gantry::sim {

class Ledger {
public:
    void told(const Deployment& d) { deployments_[d.id] = {d, std::nullopt, false}; }
    void told_deleted(const DeploymentId& id) { deployments_.erase(id); gone_.insert(id.text); }
    // The answer was an error: it may have happened all the same, but then as a whole; it may be a crash that brings it to light.
    void maybe(const Deployment& d) { deployments_[d.id].attempted = d; }
    void maybe_deleted(const DeploymentId& id) { deployments_[id].maybe_deleted = true; }

    void told(const Worker& w) {
        workers_[w.id] = w;
        maybe_workers_.erase(w.id);
        maybe_gone_.erase(w.id);
    }
    void told_deleted(const WorkerId& id) { workers_.erase(id); gone_.insert(id.text); }
    void maybe(const Worker& w) { maybe_workers_[w.id] = w; }
    void maybe_deleted(const WorkerId& id) { maybe_gone_.insert(id); }

    // What the rows lack of it; empty: nothing. What may have happened and did is taken for told from then on.
    std::string missing_in(const Snapshot& rows);
    // An identifier that there was before, and was gone; empty: none.
    std::string used_again(const Snapshot& rows);

private:
    struct Entry {
        std::optional<Deployment> told{};
        std::optional<Deployment> attempted{};
        bool maybe_deleted = false;
    };
    std::map<DeploymentId, Entry> deployments_;
    std::map<WorkerId, Worker> workers_, maybe_workers_;
    std::set<WorkerId> maybe_gone_;
    std::string missing_deployment(const Snapshot& rows);
    std::string missing_worker(const Snapshot& rows);

    std::set<std::string> gone_;             // by word of an answer
    std::map<std::string, WallTime> living_;      // identifiers in the rows as last seen, with the times of their making
    std::set<std::string> retired_;          // that were there, and are no more
};

}  // namespace gantry::sim
