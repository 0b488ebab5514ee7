#pragma once
// Makes what is in the database, and what was observed, visible: the gateway's tables (no request reads the database), the
// view that the reconciler and the API decide and show by, the events of those who watch, the gauges.
// Called after every change, before the call that caused it answers: a revoked key is refused from that moment on.
// Threads: any that may block on the disk; never the io thread, except view() and the rows it holds.

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "base/published.h"
#include "control/control_metrics.h"
#include "control/observed.h"
#include "control/secrets.h"
#include "control/watch_hub.h"
#include "gateway/tables.h"
#include "store/store.h"

namespace gantry::control {

inline constexpr const char* kWatchKinds[] = {"deployments", "instances", "workers", "models", "routes", "benchmarks"};

class Publisher {
public:
    Publisher(store::Store& store, gateway::Tables& tables, WatchHub& hub, Secrets& secrets)
        : store_(store), tables_(tables), hub_(hub), secrets_(secrets) {}

    // Rows changed: reads them all, then publishes. On an error the former stay, and stale() says so until one succeeds.
    Status refresh();
    // Only what was observed changed: no database. Of many at once, one publication does for all.
    void refresh_observed();
    // It is being woken: requests to it are held, idle timeout or not, until it serves or fails to. From the next publication on.
    void hold_until_up(const DeploymentId& deployment);
    // Users, keys or sessions changed.
    Status refresh_auth();
    // Brings the gauges up to date, for who reads the metrics.
    void show_metrics();
    bool stale() const { return rows_stale_ || auth_stale_; }

    // Whose overlay is used; set once, before the other threads start. Null: none yet.
    void set_observed(const Observed* observed) { observed_ = observed; }

    // The rows as the database has them; the same with what was observed. Never null after the first refresh().
    std::shared_ptr<const Snapshot> rows() const { return rows_.load(); }
    std::shared_ptr<const Snapshot> view() const { return view_.load(); }

    // Benchmarks are no part of the snapshot: all there are, by id; and one that went on.
    void publish_benchmarks(std::map<std::string, std::shared_ptr<const WatchedObject>> all);
    void publish_benchmark(const std::string& id, std::shared_ptr<const WatchedObject> object);

    // Everything there is now, followed by each change after that, with no gap. Null: too many watch.
    std::shared_ptr<Subscription> subscribe(std::set<std::string> kinds, std::function<void()> wake);

private:
    using Objects = std::map<std::string, std::map<std::string, std::shared_ptr<const WatchedObject>>>;  // kind, id
    void publish_locked();
    static Objects objects_of(const Snapshot& view);

    store::Store& store_;
    gateway::Tables& tables_;
    WatchHub& hub_;
    Secrets& secrets_;
    const Observed* observed_ = nullptr;

    std::atomic<uint64_t> asked_{0};   // calls of refresh_observed()
    std::mutex mutex_;        // one publication at a time; protects the two below, and woken_, published_ and benchmarks_
    uint64_t answered_ = 0;   // so many of those the last publication has seen
    std::mutex auth_mutex_;   // the same for the AuthTable
    std::set<DeploymentId> woken_;   // what hold_until_up() named and does not serve yet
    Objects published_;       // what those who watch know; empty while nobody does
    std::map<std::string, std::shared_ptr<const WatchedObject>> benchmarks_;   // the same of these, kept while nobody watches, too
    ControlMetrics metrics_;
    // Immutable once set: readers keep what they got while it is replaced.
    Published<Snapshot> rows_;
    Published<Snapshot> view_;
    std::atomic<bool> rows_stale_{true};
    std::atomic<bool> auth_stale_{true};
};

// What the gateway routes by. `secrets` opens the keys of providers. `woken`: as of Publisher::hold_until_up().
gateway::RouteTable make_routes(const Snapshot& view, Secrets& secrets, const std::set<DeploymentId>& woken = {});
gateway::AuthTable make_auth(store::Store::AuthRows rows);

}  // namespace gantry::control
