#pragma once
// An immutable view of the control state for one decision: what the reconciler and placement see.

#include <vector>

#include "domain/cluster.h"
#include "domain/deployment.h"
#include "domain/instance.h"
#include "domain/model.h"
#include "domain/provider.h"
#include "domain/route.h"
#include "domain/worker.h"

namespace gantry {

struct Snapshot {
    std::vector<Deployment> deployments;
    std::vector<Instance> instances;
    std::vector<Worker> workers;
    std::vector<Model> models;
    std::vector<Route> routes{};
    std::vector<Provider> providers{};
    std::vector<Membership> memberships{};   // of the workers that joined over the network
    std::vector<Revision> revisions{};
};

}  // namespace gantry
