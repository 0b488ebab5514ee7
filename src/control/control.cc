// The wiring of the control plane: who is made from what, and in which order it starts and stops.
#include "control/control.h"

#include <atomic>
#include <boost/asio/post.hpp>
#include <future>

#include "base/log.h"
#include "control/api/api.h"
#include "control/auth/first_admin.h"
#include "control/benchmarks/benchmarks.h"
#include "control/cluster/files.h"
#include "control/cluster/link.h"
#include "control/engine_metrics.h"

namespace gantry::control {
namespace {

constexpr char kEmbeddedWorkerSetting[] = "embedded_worker_id";

class ControlImpl final : public Control {
public:
    ControlImpl(http::asio::io_context& io, http::BlockingPool& pool, store::Store& store, gateway::Tables& tables,
                const Clock& clock, RandomSource& random, ControlOptions options)
        : store_(store),
          clock_(clock),
          random_(random),
          secrets_(options.data_dir),
          publisher_(store, tables, hub_, secrets_),
          knowledge_(store, {.files = options.model_files, .read = [this] { reconciler_.notify(); }}),
          api_{.io = io,
               .pool = pool,
               .store = store,
               .tables = tables,
               .clock = clock,
               .random = random,
               .options = std::move(options),
               .hub = hub_,
               .publisher = publisher_,
               .secrets = secrets_,
               .observed = observed_,
               .history = history_,
               .knowledge = knowledge_,
               .sleep = sleep_,
               .reconciler = reconciler_,
               .started_at = clock.wall()} {}

    ~ControlImpl() override {
        stop();
        if (api_.options.model_files != nullptr) api_.options.model_files->keep({});
    }

    // What there is once the authority is there.
    struct Cluster {
        Cluster(ControlImpl& c, Authority a)
            : authority(std::move(a)),
              joining(c.store_, c.publisher_, authority, c.alarms_, c.clock_, c.random_),
              sessions(c.store_, c.publisher_, c.heartbeat_, c.alarms_, c.clock_),
              link({c.api_.io, c.api_.pool, sessions, joining, c.alarms_, c.heartbeat_, [&c](const WorkerId& id) { c.attach_far(id); }}),
              far(c.api_.io, dialing(link, far_options())),
              engines(c.api_.io, dialing(link, engine_metrics_client())),
              files(c.api_, sessions) {}
        static http::ClientOptions dialing(Link& link, http::ClientOptions options) {
            options.dialed_prefix = kWorkerEndpoint;
            options.dialer = [&link](std::string endpoint, SteadyTime deadline) { return link.dial(std::move(endpoint), deadline); };
            return options;
        }
        static http::ClientOptions far_options() {
            http::ClientOptions options;
            options.header_timeout = std::chrono::seconds(10);
            options.idle_timeout = std::chrono::hours(24);   // a log may be silent
            return options;
        }
        const Authority authority;
        Joining joining;
        Sessions sessions;
        Link link;
        http::Client far;
        http::Client engines;
        ClusterFiles files;
    };

    Status load_cluster() {
        auto authority = Authority::load_or_make(api_.options.data_dir, clock_);
        if (!authority) return authority.error();
        if (authority->made_now() && !publisher_.rows()->memberships.empty()) {
            log::error("cluster: {} workers joined under an authority that is gone; they have to join anew, unless cluster/authority.* come "
                       "back from a backup",
                       publisher_.rows()->memberships.size());
        }
        cluster_ = std::make_unique<Cluster>(*this, *std::move(authority));
        api_.authority = &cluster_->authority;
        api_.far = &cluster_->far;
        api_.engines = &cluster_->engines;
        return api_.options.near_socket.empty() ? Status(Ok{}) : cluster_->files.listen(api_.options.near_socket);
    }

    void attach_far(const WorkerId& id) {
        attach_worker(id, {.poke = [this, id] { cluster_->link.poke(id); }, .endpoint = kWorkerEndpoint + id.text + "/" + kWorkerItself});
    }

    Result<std::shared_ptr<http::MutualTls>> link_tls() override {
        const auto own = cluster_->authority.make_server(clock_.wall());
        if (!own) return own.error();
        return http::MutualTls::server(*own, cluster_->authority.certificate(), kClusterProtocol);
    }
    http::Task<Result<http::Stream>> dial(std::string endpoint, SteadyTime deadline) override {
        return cluster_->link.dial(std::move(endpoint), deadline);
    }

    Status load() {
        GANTRY_TRY(ensure_first_admin(store_, api_.options.data_dir, api_.options.bootstrap_password, clock_, random_));
        GANTRY_TRY(publisher_.refresh_auth());
        GANTRY_TRY(publisher_.refresh());
        observed_.restore(*publisher_.rows(), clock_.steady());
        publisher_.set_observed(&observed_);
        publisher_.refresh_observed();
        api_.benchmarks = &benchmarks_;
        GANTRY_TRY(benchmarks_.recover());
        if (api_.options.model_files != nullptr) {
            api_.options.model_files->keep([this](const std::string& source) {
                const auto rows = publisher_.rows();
                return std::any_of(rows->deployments.begin(), rows->deployments.end(), [&](const Deployment& d) { return d.source == source; });
            });
        }
        heartbeat_.set_poke([this](const WorkerId& id) { api_.poke_worker(id); });
        return load_cluster();
    }

    Result<WorkerId> embedded_worker(const std::string& name) override {
        const auto known = store_.setting(kEmbeddedWorkerSetting);
        if (!known) return known.error();
        if (known->has_value()) {
            const auto row = store_.worker(WorkerId(**known));
            if (row) return row->id;
            if (row.error().code != ErrorCode::kNotFound) return row.error();
        }
        Worker worker;
        worker.id = new_id<WorkerId>(random_, "wrk");
        worker.name = name;
        worker.address = "embedded";
        worker.created_at = clock_.wall();
        // The row first: a crash between leaves a worker that never reports, which an admin can delete.
        GANTRY_TRY(store_.create_worker(worker));
        GANTRY_TRY(store_.set_setting(kEmbeddedWorkerSetting, worker.id.text));
        GANTRY_TRY(publisher_.refresh());
        return worker.id;
    }

    void attach_worker(const WorkerId& id, WorkerAccess access) override {
        api_.workers.with([&](auto& workers) { workers[id] = std::move(access); });
    }

    void add_routes(http::Router& router) override {
        add_deployment_routes(router, api_);
        add_instance_routes(router, api_);
        add_deployment_metric_routes(router, api_);
        add_log_routes(router, api_);
        add_worker_routes(router, api_);
        add_join_token_routes(router, api_);
        cluster_->link.add_routes(router);
        cluster_->files.add_routes(router);
        add_device_routes(router, api_);
        add_backend_routes(router, api_);
        add_evaluation_routes(router, api_);
        add_model_routes(router, api_);
        add_model_file_routes(router, api_);
        add_catalogue_routes(router, api_);
        add_route_routes(router, api_);
        add_provider_routes(router, api_);
        add_user_routes(router, api_);
        add_key_routes(router, api_);
        add_usage_routes(router, api_);
        add_request_routes(router, api_);
        add_audit_routes(router, api_);
        add_auth_routes(router, api_);
        add_oidc_routes(router, api_);
        add_server_routes(router, api_);
        add_backup_routes(router, api_);
        add_watch_routes(router, api_);
        add_health_routes(router, api_);
        add_benchmark_routes(router, api_);
        add_compare_routes(router, api_);
        add_console(router, api_);
        add_join_script(router, api_);
        add_openapi_route(router, api_);
    }

    void wake(const DeploymentId& deployment, const gateway::WokenBy& by) override {
        sleep_.ask(deployment, by);
        reconciler_.notify();
    }

    void start() override {
        reconciler_.start();
        benchmarks_.start();
    }

    void stop() override {
        const bool stopped_before = api_.stopping.exchange(true);
        benchmarks_.stop();
        if (cluster_) cluster_->link.stop();
        hub_.close();
        reconciler_.stop();
        if (!stopped_before) history_.store_rest();
        knowledge_.stop();
        // A worker that goes on for a moment must not be called any more.
        api_.workers.with([](auto& workers) { workers.clear(); });
    }

    protocol::Assignment exchange(const protocol::WorkerReport& report) override { return heartbeat_.exchange(report); }

private:
    // Work() on the io thread, and what it gives. nullopt: that thread doesn't get to it now, and will not do it.
    template <class Work>
    auto on_io(Work work) -> std::optional<decltype(work())> {
        using Given = decltype(work());
        constexpr std::chrono::seconds kLongest{1};
        struct Shared {   // by the two threads
            std::promise<Given> given;
            std::atomic<bool> taken{false};
        };
        const auto shared = std::make_shared<Shared>();
        auto found = shared->given.get_future();
        http::asio::post(api_.io, [shared, work = std::move(work)] {
            if (!shared->taken.exchange(true)) shared->given.set_value(work());
        });
        if (found.wait_for(kLongest) != std::future_status::ready && !shared->taken.exchange(true)) return std::nullopt;
        return found.get();
    }

    // Where they live: whatever took the tables before the last publication is among them.
    std::optional<std::set<InstanceId>> instances_in_use() {
        if (api_.options.live == nullptr) return std::set<InstanceId>();
        return on_io([live = api_.options.live] { return live->instances_in_use(); });
    }

    Doors doors() {
        using Deployments = std::vector<DeploymentId>;
        return {.close_idle = [this](std::vector<gateway::IdleCandidate> candidates) -> std::optional<Deployments> {
                    gateway::Activity* const activity = api_.options.activity;
                    if (activity == nullptr) return std::nullopt;
                    return on_io([activity, candidates = std::move(candidates)] { return activity->close_idle(candidates); });
                },
                .open = [this](Deployments deployments) {
                    http::asio::post(api_.io, [activity = api_.options.activity, deployments = std::move(deployments)] {
                        activity->open(deployments);
                    });
                }};
    }

    store::Store& store_;
    const Clock& clock_;
    RandomSource& random_;
    WatchHub hub_;
    Secrets secrets_;
    Publisher publisher_;
    Observed observed_;
    DeviceHistory history_{store_, clock_};
    Heartbeat heartbeat_{store_, publisher_, observed_, history_, clock_, [this] { reconciler_.notify(); }};
    KnowledgeSource knowledge_;
    Sleep sleep_{store_, publisher_, clock_, random_, doors()};
    Reconciler reconciler_{{.store = store_,
                            .publisher = publisher_,
                            .observed = observed_,
                            .heartbeat = heartbeat_,
                            .knowledge = knowledge_,
                            .sleep = sleep_,
                            .clock = clock_,
                            .random = random_,
                            .poke_workers = [this] { api_.poke_workers(); },
                            .in_use = [this] { return instances_in_use(); }}};
    Alarms alarms_{store_, clock_, random_};
    ApiContext api_;
    Benchmarks benchmarks_{store_, publisher_, secrets_, clock_, api_.options.admin_endpoint};
    std::unique_ptr<Cluster> cluster_;   // null until load()
};

}  // namespace

Result<std::unique_ptr<Control>> Control::create(http::asio::io_context& io, http::BlockingPool& pool, store::Store& store,
                                                 gateway::Tables& tables, const Clock& clock, RandomSource& random,
                                                 ControlOptions options) {
    auto control = std::make_unique<ControlImpl>(io, pool, store, tables, clock, random, std::move(options));
    if (Status loaded = control->load(); !loaded) return loaded.error();
    return std::unique_ptr<Control>(std::move(control));
}

}  // namespace gantry::control
