#include "sim/users.h"

#include <algorithm>

#include "control/edits.h"
#include "placement/fleet_for_test.h"

namespace gantry::sim {
namespace {

struct Sort {
    const char* file;
    double billions;
};
constexpr Sort kModels[] = {{"good-small", 0.5}, {"good-middle", 4}, {"good-large", 14}, {"good-huge", 400}, {"bad", 1}, {"refused", 1}};
constexpr char kToken[] = "simulation00";

std::string source_of(const char* file) { return std::string("file:/models/") + file + ".gguf"; }

bool certainly_not_done(ErrorCode code) {
    return code == ErrorCode::kConflict || code == ErrorCode::kNotFound || code == ErrorCode::kInvalidArgument;
}

}  // namespace

Users::Users(World& world, SimServer& server, std::vector<std::unique_ptr<SimWorker>>& workers, Ledger& ledger, Bug bug,
             std::string program, Most most)
    : world_(world),
      server_(server),
      workers_(workers),
      ledger_(ledger),
      bug_(bug),
      program_(std::move(program)),
      most_(most) {}

void Users::prepare() {
    for (const Sort& sort : kModels) {
        Model m;
        m.id = ModelId(std::string("mdl_") + sort.file);
        m.name = sort.file;
        m.source = source_of(sort.file);
        m.path = m.source.substr(5);
        m.meta = placement::decoder("gguf", sort.billions, 4.8, 28, 4096);
        m.created_at = m.updated_at = world_.clock().wall();
        if (Status made = server_.store().create_model(m); !made) world_.violated("the_simulation_is_set_up", made.error().message);
    }
    JoinToken token;
    token.id = JoinTokenId(kToken);
    token.uses = token.uses_left = kJoinTokenUsesMax;
    token.created_at = world_.clock().wall();
    token.expires_at = token.created_at + std::chrono::hours(24 * 365);
    if (Status made = server_.store().create_join_token(token); !made) world_.violated("the_simulation_is_set_up", made.error().message);
}

bool Users::join(SimWorker& worker) {
    Worker w;
    w.id = new_id<WorkerId>(server_.ids(), "wrk");
    w.name = fmt::format("{}.{}", worker.name(), ++names_);
    w.address = "10.0.0.1";
    w.labels["rack"] = world_.chance(0.5) ? "a" : "b";
    w.created_at = world_.clock().wall();
    Membership m;
    m.worker_id = w.id;
    m.token_id = JoinTokenId(kToken);
    m.key_digest = fmt::format("key {}", ++keys_);
    m.machine_id = worker.name();
    m.address = w.address;
    m.joined_at = w.created_at;
    const auto joined = server_.store().join_worker(w, m);
    if (!joined) return false;
    ledger_.told(w);
    worker.join(*joined);
    return true;
}

std::vector<Deployment> Users::deployments() const { return server_.publisher().rows()->deployments; }

std::string Users::some_model() {
    const uint64_t dice = world_.below(20);
    if (dice < 10) return source_of("good-small");
    if (dice < 14) return source_of("good-middle");
    if (dice < 17) return source_of("good-large");
    return source_of(dice == 17 ? "good-huge" : dice == 18 ? "bad" : "refused");
}

bool Users::acknowledge(const Status& status, const char* what, const std::string& name) {
    // Killed after the commit and before the answer: nobody was told.
    const bool cut = bug_ == Bug::kNone && world_.chance(0.02);
    if (cut) {
        server_.kill();
        world_.after(world_.between(200ms, 5s), [this] { server_.start(); });
    }
    const bool told = status.ok() && !cut;
    world_.note("{} {}: {}", what, name, status.ok() ? (cut ? "no answer" : "ok") : status.error().message);
    acknowledged_ += told ? 1 : 0;
    return told;
}

void Users::deploy() {
    if (deployments().size() >= most_.deployments) return;
    Deployment d;
    d.id = new_id<DeploymentId>(server_.ids(), "dep");
    d.name = fmt::format("model-{}", ++names_);
    d.source = some_model();
    if (world_.chance(0.5)) {
        d.backend = BackendKind::kLlamaServer;
        d.options.binary = program_;
    }
    d.replicas = static_cast<uint32_t>(world_.below(most_.replicas + 1));
    d.rollout.ready_seconds = static_cast<uint32_t>(30 + world_.below(90));
    d.rollout.drain_seconds = static_cast<uint32_t>(world_.below(20));
    d.rollout.max_surge = static_cast<uint32_t>(world_.below(3));
    d.rollout.max_unavailable = static_cast<uint32_t>(d.rollout.max_surge == 0 ? 1 + world_.below(2) : world_.below(2));
    if (world_.chance(0.15)) d.rollout.strategy = UpdateStrategy::kRecreate;
    if (world_.chance(0.2)) d.placement.worker_labels["rack"] = "a";
    if (world_.chance(0.3)) d.placement.strategy = PlacementStrategy::kBinpack;
    d.created_at = d.updated_at = world_.clock().wall();
    const Status status = server_.store().create_deployment(d);
    if (acknowledge(status, "deploy", fmt::format("{} ({}, {} replicas)", d.name, d.source.substr(13), d.replicas))) ledger_.told(d);
    else if (status.ok() || !certainly_not_done(status.error().code)) ledger_.maybe(d);
    if (server_.up()) server_.changed();
}

void Users::edit(const Change& change) {
    change_some([&](Deployment& d) {
        const Deployment before = d;
        change(d);
        control::finish_edit(before, d, world_.clock().wall());
    });
}

void Users::roll_back() {
    change_some([this](Deployment& d) {
        auto revisions = server_.store().revisions(d.id);
        if (revisions && !revisions->empty()) control::roll_back(d, world_.pick(*revisions), world_.clock().wall());
    });
}

void Users::change_some(const Change& whole) {
    const auto all = deployments();
    if (all.empty()) return;
    const auto row = server_.store().deployment(all[world_.below(all.size())].id);
    if (!row) return;
    Deployment d = *row;
    whole(d);
    const Status status = server_.store().update_deployment(d, row->version);
    const std::string what = fmt::format("{} ({}, {} replicas{}, revision {})", d.name, d.source.substr(13), d.replicas,
                                         d.stopped ? ", stopped" : "", d.generation);
    if (acknowledge(status, "edit", what)) ledger_.told(d);
    else if (status.ok() || !certainly_not_done(status.error().code)) ledger_.maybe(d);
    if (server_.up()) server_.changed();
}

void Users::remove() {
    const auto all = deployments();
    if (all.empty()) return;
    const Deployment& d = all[world_.below(all.size())];
    const Status status = server_.store().delete_deployment(d.id);
    if (acknowledge(status, "delete", d.name)) ledger_.told_deleted(d.id);
    else if (status.ok() || !certainly_not_done(status.error().code)) ledger_.maybe_deleted(d.id);
    if (server_.up()) server_.changed();
}

void Users::edit_worker(const std::function<void(Worker&)>& change) {
    const auto rows = server_.publisher().rows();
    if (rows->workers.empty()) return;
    const auto row = server_.store().worker(rows->workers[world_.below(rows->workers.size())].id);
    if (!row) return;
    Worker w = *row;
    change(w);
    if (!w.cordoned) w.drain_by.reset();
    ++w.version_number;
    const Status status = server_.store().update_worker(w, row->version_number);
    if (acknowledge(status, w.drain_by ? "drain" : w.cordoned ? "cordon" : "uncordon", w.name)) ledger_.told(w);
    else if (status.ok() || !certainly_not_done(status.error().code)) ledger_.maybe(w);
    if (server_.up()) server_.changed();
}

void Users::remove_worker() {
    const auto view = server_.publisher().view();
    if (view->workers.size() < 3) return;
    const Worker& w = view->workers[world_.below(view->workers.size())];
    if (!control::check_removable(w, *server_.publisher().rows())) return;
    const Status status = server_.store().delete_worker(w.id);
    world_.note("remove worker {}: {}", w.name, status.ok() ? "ok" : status.error().message);
    if (status.ok()) ledger_.told_deleted(w.id);
    else if (!certainly_not_done(status.error().code)) ledger_.maybe_deleted(w.id);
    server_.changed();
}

void Users::join_again() {
    for (const auto& worker : workers_) {
        if (!worker->removed() || worker->machine().some_engine(world_) != 0) continue;
        if (!join(*worker)) return;
        world_.note("{} joins again", worker->name());
        worker->start();
        server_.changed();
        return;
    }
}

void Users::act() {
    if (!server_.up() || server_.publisher().stale()) return;
    const uint64_t dice = world_.below(100);
    if (dice < 22) return deploy();
    if (dice < 42) return edit([this](Deployment& d) { d.replicas = static_cast<uint32_t>(world_.below(most_.replicas + 1)); });
    if (dice < 56) return edit([this](Deployment& d) { d.options.env["RELEASE"] = fmt::format("{}", world_.below(1000)); });
    if (dice < 60) return edit([this](Deployment& d) { d.source = some_model(); });
    if (dice < 64) return roll_back();
    if (dice < 69) return edit([](Deployment& d) { d.stopped = true; });
    if (dice < 77) return edit([](Deployment& d) { d.stopped = false; });
    if (dice < 83) return remove();
    if (dice < 86) return edit_worker([](Worker& w) { w.cordoned = true; });
    if (dice < 89) return edit_worker([this](Worker& w) { control::drain(w, world_.between(1s, 90s) / 1s * 1s, world_.clock().wall()); });
    if (dice < 95) return edit_worker([](Worker& w) { w.cordoned = false; });
    if (dice < 98) return remove_worker();
    return join_again();
}

}  // namespace gantry::sim
