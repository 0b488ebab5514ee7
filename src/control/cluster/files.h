#pragma once
// Model files for workers elsewhere, before they ask a hub: what this server has, and what other workers have of the same source
// (ADR 11, docs/models.md). GET /cluster/v1/manifest?source=S, GET /cluster/v1/blobs/<digest>?source=S. The same for this machine's own
// downloads, as sources/near.h asks. Threads: the io thread; the disk on the pool.

#include <memory>
#include <string>

#include "control/api/api.h"
#include "control/cluster/sessions.h"

namespace gantry::control {

class ClusterFiles {
public:
    static constexpr size_t kAskedMax = 4;   // other workers, for one file

    // `api.far` is set by the time a request comes.
    ClusterFiles(ApiContext& api, Sessions& sessions) : api_(api), sessions_(sessions) {}
    void add_routes(http::Router& router);
    // For downloads of this process alone, on a Unix socket that others can't open.
    Status listen(const std::string& socket);

private:
    http::Task<void> for_member(http::Exchange& exchange, http::Task<void> (ClusterFiles::*answer)(http::Exchange&));
    http::Task<void> manifest(http::Exchange& exchange);
    http::Task<void> blob(http::Exchange& exchange);
    // Other workers on which an instance of the source runs, and so all of its files are.
    std::vector<WorkerId> who_has(const std::string& source, const WorkerId& asks) const;

    ApiContext& api_;
    Sessions& sessions_;
    http::Router own_router_;
    std::unique_ptr<http::Server> own_server_;
};

}  // namespace gantry::control
