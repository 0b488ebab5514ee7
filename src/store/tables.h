#pragma once
// How each table's rows are read, for the functions that read several tables at once (snapshot, auth_rows).

#include <vector>

#include "base/result.h"
#include "store/statement.h"
#include "store/store.h"

namespace gantry::store {

Result<std::vector<Deployment>> all_deployments(Connection& db);
Result<std::vector<Instance>> all_instances(Connection& db);
Result<std::vector<Worker>> all_workers(Connection& db);
Result<std::vector<Membership>> all_memberships(Connection& db);
Result<std::vector<Model>> all_models(Connection& db);
Result<std::vector<Route>> all_routes(Connection& db);
Result<std::vector<Provider>> all_providers(Connection& db);
Result<std::vector<Revision>> all_revisions(Connection& db);
Result<std::vector<User>> all_users(Connection& db);
Result<std::vector<ApiKey>> all_keys(Connection& db);
Result<std::vector<Session>> all_sessions(Connection& db);

// For who inserts a worker together with something else.
Status insert_worker(Connection& db, const Worker& worker);

// A public name means one thing. kConflict where `sql`, of the parameter `key`, finds a row: there is such a `what` already.
Status check_free(Connection& db, const char* sql, const std::string& key, const std::string& what);
Status check_no_route(Connection& db, const std::string& name);      // that has this name
Status check_no_provider(Connection& db, const std::string& name);   // among whose models' names this one would be
// Keeps what the deployment wants now as a revision, unless it has it; forgets the oldest. REQUIRES: in its transaction
Status keep_revision(Connection& db, const Deployment& deployment);

}  // namespace gantry::store
