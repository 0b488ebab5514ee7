#include "control/publish.h"

#include <algorithm>

#include "backends/backends.h"
#include "base/log.h"
#include "control/status.h"

namespace gantry::control {
namespace {

using protocol::management::hide_from_users;
using protocol::management::to_json;

std::unordered_map<DeploymentId, std::vector<const Instance*>> by_deployment(const Snapshot& view) {
    std::unordered_map<DeploymentId, std::vector<const Instance*>> out;
    for (const Instance& i : view.instances) out[i.deployment_id].push_back(&i);
    return out;
}

std::shared_ptr<const WatchedObject> watched(json::object for_admins, json::object for_users) {
    return std::make_shared<const WatchedObject>(
        WatchedObject{json::serialize(for_admins), json::serialize(for_users)});
}

std::shared_ptr<const WatchedObject> watched_by_all(const json::object& object) {
    const std::string text = json::serialize(object);
    return std::make_shared<const WatchedObject>(WatchedObject{text, text});
}

using KindObjects = std::map<std::string, std::shared_ptr<const WatchedObject>>;

// What changed in one kind between two publications.
void compare(const std::string& kind, const KindObjects& before, const KindObjects& after, std::vector<WatchEvent>& events) {
    for (const auto& [id, object] : after) {
        const auto old = before.find(id);
        if (old == before.end()) {
            events.push_back({WatchEvent::Type::kAdded, kind, object});
        } else if (!(*old->second == *object)) {
            events.push_back({WatchEvent::Type::kModified, kind, object});
        }
    }
    for (const auto& [id, object] : before) {
        if (!after.contains(id)) events.push_back({WatchEvent::Type::kDeleted, kind, object});
    }
}

KindObjects deployment_objects(const Snapshot& view) {
    const auto instances = by_deployment(view);
    KindObjects out;
    for (const Deployment& d : view.deployments) {
        const auto found = instances.find(d.id);
        const auto status =
            deployment_status(d, found == instances.end() ? std::vector<const Instance*>{} : found->second);
        Deployment hidden = d;
        auto hidden_status = status;
        hide_from_users(hidden);
        hide_from_users(hidden_status);
        out[d.id.text] = watched(to_json(d, status), to_json(hidden, hidden_status));
    }
    return out;
}

KindObjects instance_objects(const Snapshot& view) {
    std::unordered_map<DeploymentId, std::string> deployments;
    protocol::management::WorkerNames workers;
    for (const Deployment& d : view.deployments) deployments[d.id] = d.name;
    for (const Worker& w : view.workers) workers[w.id] = w.name;
    KindObjects out;
    for (const Instance& i : view.instances) {
        const std::string& deployment = deployments[i.deployment_id];
        Instance hidden = i;
        hide_from_users(hidden);
        out[i.id.text] = watched(to_json(i, deployment, workers), to_json(hidden, deployment, workers));
    }
    return out;
}

KindObjects worker_objects(const Snapshot& view) {
    KindObjects out;
    for (const Worker& w : view.workers) out[w.id.text] = watched_by_all(to_json(w));
    return out;
}

KindObjects model_objects(const Snapshot& view) {
    KindObjects out;
    for (const Model& m : view.models) {
        Model hidden = m;
        hide_from_users(hidden);
        out[m.id.text] = watched(to_json(m), to_json(hidden));
    }
    return out;
}

KindObjects route_objects(const Snapshot& view) {
    KindObjects out;
    for (const Route& r : view.routes) out[r.id.text] = watched_by_all(to_json(r));
    return out;
}

void add_models_of(const Provider& provider, Secrets& secrets, gateway::RouteTable& routes) {
    const Result<BaseUrl> url = parse_base_url(provider.base_url);
    Result<std::string> key = std::string();
    if (!provider.sealed_key.empty()) key = secrets.open(provider.sealed_key, provider.id.text);
    for (const std::string& model : provider.models) {
        gateway::ModelEntry entry;
        entry.name = model_name(provider, model);
        entry.created_at = provider.created_at;
        entry.outside = gateway::Outside{provider.name, url ? url->path : "", model};
        if (!url) entry.not_ready_reason = "its base_url can't be read: " + url.error().message;
        else if (!key) entry.not_ready_reason = "its key can't be read: " + key.error().message;
        else entry.targets = {{InstanceId(provider.id.text), url->endpoint(), *key, provider.updated_at}};
        routes.models[entry.name] = std::move(entry);
    }
}

BackendKind backend_of(const Snapshot& view, const Instance& i, const Deployment& d) {
    if (i.generation == d.generation) return d.backend;
    const Revision* const own = find_revision(view.revisions, i.deployment_id, i.generation);
    return own == nullptr ? d.backend : own->backend;
}

}  // namespace

gateway::RouteTable make_routes(const Snapshot& view, Secrets& secrets, const std::set<DeploymentId>& woken) {
    const auto instances = by_deployment(view);
    std::unordered_map<std::string, const Model*> models;
    for (const Model& m : view.models) models[m.source] = &m;
    const bool room_to_come = std::any_of(view.instances.begin(), view.instances.end(), [](const Instance& i) {
        return i.stopping && !i.worker_id.empty() && i.state != InstanceState::kUnreachable;
    });
    gateway::RouteTable routes;
    for (const Deployment& d : view.deployments) {
        gateway::ModelEntry entry;
        entry.name = d.name;
        entry.deployment_id = d.id;
        entry.backend = d.backend;
        entry.created_at = d.created_at;
        const auto model = models.find(d.source);
        const ModelMeta meta = model == models.end() ? ModelMeta{} : model->second->meta;
        entry.context_length = meta.context_length;
        entry.pooling = meta.pooling;
        entry.modality = meta.modality;
        entry.text_only = !backends::takes_pictures(d.backend, d.options, meta);
        if (d.options.context_tokens > 0) entry.context_length = d.options.context_tokens;
        entry.stopped = d.stopped || d.replicas == 0;
        const bool sleeps = instances_wanted(d) == 0;
        const auto found = instances.find(d.id);
        const std::vector<const Instance*> none;
        const std::vector<const Instance*>& own = found == instances.end() ? none : found->second;
        for (const Instance* i : own) {
            if (i->stopping || i->state != InstanceState::kRunning || i->endpoint.empty() || sleeps) continue;
            entry.targets.push_back({i->id, i->endpoint, i->api_key, i->state_since});
            // While another backend takes over: as the one whose answers need more care.
            if (const BackendKind backend = backend_of(view, *i, d); backend != BackendKind::kEngine) entry.backend = backend;
            if (d.options.context_tokens == 0 && i->placement.context_tokens > 0) {
                entry.context_length = i->placement.context_tokens;   // the model's, cut to what fits
            }
        }
        if (entry.targets.empty()) {
            entry.not_ready_reason = not_ready_reason(deployment_status(d, own));
            const bool held = d.idle_timeout_seconds > 0 || woken.contains(d.id);
            entry.holds = !entry.stopped && (d.asleep_since || (held && is_on_its_way(own, room_to_come)));
        }
        routes.models[d.name] = std::move(entry);
    }
    for (const Provider& p : view.providers) {
        if (!p.disabled) add_models_of(p, secrets, routes);
    }
    for (const Route& r : view.routes) {
        if (!r.disabled) routes.routes[r.name] = r;
    }
    return routes;
}

gateway::AuthTable make_auth(store::Store::AuthRows rows) {
    gateway::AuthTable table;
    for (User& user : rows.users) {
        user.password_hash.clear();  // the request path has no use for it
        const UserId id = user.id;
        table.users[id] = std::move(user);
    }
    for (ApiKey& key : rows.keys) table.keys[key.public_id] = key;
    for (Session& session : rows.sessions) table.sessions[session.token_digest] = session;
    return table;
}

Status Publisher::refresh() {
    std::lock_guard lock(mutex_);
    rows_stale_ = true;
    Result<Snapshot> rows = store_.snapshot();
    if (!rows) return rows.error();
    rows_.store(std::make_shared<const Snapshot>(*std::move(rows)));
    rows_stale_ = false;
    publish_locked();
    return Ok{};
}

void Publisher::hold_until_up(const DeploymentId& deployment) {
    std::lock_guard lock(mutex_);
    woken_.insert(deployment);
}

void Publisher::refresh_observed() {
    const uint64_t mine = ++asked_;
    std::lock_guard lock(mutex_);
    if (rows_.load() != nullptr && answered_ < mine) publish_locked();
}

Status Publisher::refresh_auth() {
    std::lock_guard lock(auth_mutex_);
    auth_stale_ = true;
    auto rows = store_.auth_rows();
    if (!rows) return rows.error();
    tables_.set(make_auth(*std::move(rows)));
    auth_stale_ = false;
    return Ok{};
}

void Publisher::show_metrics() {
    std::lock_guard lock(mutex_);
    if (const auto now = view(); now != nullptr) metrics_.show(*now);
}

Publisher::Objects Publisher::objects_of(const Snapshot& view) {
    return {{"deployments", deployment_objects(view)},
            {"instances", instance_objects(view)},
            {"workers", worker_objects(view)},
            {"models", model_objects(view)},
            {"routes", route_objects(view)}};
}

void Publisher::publish_locked() {
    answered_ = asked_;
    auto view = std::make_shared<Snapshot>(*rows_.load());
    if (observed_ != nullptr) observed_->overlay(*view);
    gateway::RouteTable routes = make_routes(*view, secrets_, woken_);
    std::erase_if(woken_, [&routes](const DeploymentId& id) {
        return std::none_of(routes.models.begin(), routes.models.end(),
                            [&id](const auto& model) { return model.second.deployment_id == id && model.second.holds; });
    });
    tables_.set(std::move(routes));
    view_.store(view);
    if (hub_.size() == 0) {
        published_.clear();
        return;
    }
    Objects objects = objects_of(*view);
    std::vector<WatchEvent> events;
    for (const char* kind : kWatchKinds) compare(kind, published_[kind], objects[kind], events);
    published_ = std::move(objects);
    hub_.publish(events);
}

void Publisher::publish_benchmarks(std::map<std::string, std::shared_ptr<const WatchedObject>> all) {
    std::lock_guard lock(mutex_);
    std::vector<WatchEvent> events;
    compare("benchmarks", benchmarks_, all, events);
    benchmarks_ = std::move(all);
    hub_.publish(events);
}

void Publisher::publish_benchmark(const std::string& id, std::shared_ptr<const WatchedObject> object) {
    std::lock_guard lock(mutex_);
    const auto known = benchmarks_.find(id);
    if (known == benchmarks_.end() || *known->second == *object) return;   // deleted meanwhile, or nothing new
    known->second = object;
    hub_.publish({{WatchEvent::Type::kModified, "benchmarks", std::move(object)}});
}

std::shared_ptr<Subscription> Publisher::subscribe(std::set<std::string> kinds, std::function<void()> wake) {
    std::lock_guard lock(mutex_);  // no publication between the list and the first event after it
    if (published_.empty() && view() != nullptr) published_ = objects_of(*view());
    std::vector<WatchEvent> first;
    for (const char* kind : kWatchKinds) {
        if (!kinds.contains(kind)) continue;
        const KindObjects& objects = std::string_view(kind) == "benchmarks" ? benchmarks_ : published_[kind];
        for (const auto& [id, object] : objects) first.push_back({WatchEvent::Type::kAdded, kind, object});
    }
    first.push_back({WatchEvent::Type::kSynced, {}, nullptr});
    return hub_.add(std::move(kinds), std::move(first), std::move(wake));
}

}  // namespace gantry::control
