#pragma once
// The control plane of a server: desired state in, reconciled; reports in, observed; /api/v1; logins. One class a server.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "control/auth/oidc_options.h"
#include "gateway/gateway.h"
#include "http/http.h"
#include "http/mutual_tls.h"
#include "protocol/worker/messages.h"
#include "sources/catalogue.h"
#include "sources/model_files.h"
#include "store/store.h"

namespace gantry::control {

// How endpoints of instances on machines elsewhere begin: "worker:<worker id>/<instance id>".
inline constexpr char kWorkerEndpoint[] = "worker:";

struct ControlOptions {
    std::string data_dir;
    std::string bootstrap_password;                 // empty: a random one, written to initial_admin_password
    std::string public_url{};                       // how browsers reach the server: "https://gantry.example.org"; empty: as each says
    OidcOptions oidc{};                             // logins at an outside provider
    std::string url_hint;                           // how other machines reach it, for /api/v1/server; empty: not told
    sources::ModelFiles* model_files = nullptr;     // of this machine; null: no hub is asked. Outlives the control plane
    sources::Catalogue catalogue{};                 // for /api/v1/catalogue
    gateway::LiveRequests* live = nullptr;          // the gateway's, for /api/v1/requests; outlives the control plane
    gateway::Activity* activity = nullptr;          // the same, to put deployments to sleep by; null: none is
    std::function<std::string()> shortage{};        // why load is shed now (gateway/memory_guard.h), empty: it is not; null: it never is
    http::Handler chat{};                           // the gateway's, for the panels of /api/v1/compare
    std::string near_socket{};                      // where model_files asks before a hub (sources/near.h); empty: nowhere
    std::string admin_endpoint{};                   // the admin socket, "unix:/path": where benchmarks send their requests
};

// What a worker offers the API: the embedded one its files, one elsewhere its own HTTP.
struct WorkerAccess {
    std::function<void()> poke{};                                                     // a new assignment may be there
    std::function<std::vector<std::string>(const InstanceId&)> log_files{};           // paths, oldest first
    std::string endpoint{};                                                           // of its HTTP; empty: it is here
};

class Control : public protocol::ServerLink {
public:
    // Creates the first admin (argon2id; password in <data_dir>/initial_admin_password, 0600), loads the tables.
    static Result<std::unique_ptr<Control>> create(http::asio::io_context& io, http::BlockingPool& pool, store::Store& store,
                                                   gateway::Tables& tables, const Clock& clock, RandomSource& random,
                                                   ControlOptions options);
    // The row of the embedded worker; made at the first start.
    virtual Result<WorkerId> embedded_worker(const std::string& name) = 0;
    virtual void attach_worker(const WorkerId& id, WorkerAccess access) = 0;
    virtual void add_routes(http::Router& router) = 0;      // /api/v1/*, /cluster/v1/*, /healthz, /readyz, /metrics, / (the console)
    // For http::Server::accept_mutual, so that workers elsewhere find /cluster/v1.
    virtual Result<std::shared_ptr<http::MutualTls>> link_tls() = 0;
    // For clients of endpoints that begin with kWorkerEndpoint (cluster/link.h). Io thread.
    virtual http::Task<Result<http::Stream>> dial(std::string endpoint, SteadyTime deadline) = 0;
    // A request waits for a deployment that is asleep. Threads: any; doesn't block.
    virtual void wake(const DeploymentId& deployment, const gateway::WokenBy& by) = 0;
    virtual void start() = 0;                               // the reconciler's thread
    virtual void stop() = 0;
    // ServerLink: applies a report (heartbeat.cc, the only writer of observed columns), returns the worker's assignment.
    // Threads: the worker's thread. Publishes gateway tables and watch events when something changed.
    protocol::Assignment exchange(const protocol::WorkerReport& report) override = 0;
};

// For `gantry reset-password`: works on the store directly (server stopped) - or the CLI uses the admin socket (running).
Result<std::string> reset_password(store::Store& store, const std::string& user_name, const Clock& clock, RandomSource& random);

}  // namespace gantry::control
