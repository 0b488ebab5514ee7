#pragma once
// What the request path needs, in memory and immutable: replaced as a whole when rows change (control/publish.cc), read
// without a lock on the io thread. No database on the request path. It fails closed: an empty table knows nobody.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/published.h"
#include "domain/deployment.h"
#include "domain/instance.h"
#include "domain/model.h"
#include "domain/route.h"
#include "domain/user.h"

namespace gantry::gateway {

struct AuthTable {
    std::unordered_map<std::string, ApiKey> keys;            // by public id; disabled and expired ones included
    std::unordered_map<std::string, Session> sessions;       // by token digest
    std::unordered_map<UserId, User> users;
};

struct Target {
    InstanceId instance_id;
    Endpoint endpoint;
    std::string api_key;
    WallTime since{};                   // it runs: another time is another process
};

// Of a model that an outside provider serves: its only target is the provider's API.
struct Outside {
    std::string provider;               // by name
    std::string base_path;              // what stands for /v1 there
    std::string model;                  // its name there
};

struct ModelEntry {
    std::string name;
    DeploymentId deployment_id;
    BackendKind backend = BackendKind::kEngine;   // of no meaning where it is outside
    std::optional<Outside> outside{};
    WallTime created_at{};
    uint32_t context_length = 0;        // of the model; 0: unknown
    std::string pooling;                // of the model: how it makes embeddings; empty: it generates text, or unknown
    std::string modality{};             // of the model, as ModelMeta has it; empty: unknown
    bool text_only = false;             // it is known to take neither pictures nor sounds
    bool stopped = false;
    // Without targets, and requests wait for them: it is asleep, or on its way. Only of deployments that sleep when idle.
    bool holds = false;
    std::vector<Target> targets;        // running instances; of an outside model its provider
    std::string not_ready_reason;       // when there are none: "loading (42 %)", "stopped", "asleep ...", "crash loop: ..."
};

struct RouteTable {
    std::unordered_map<std::string, ModelEntry> models;      // by public name
    std::unordered_map<std::string, Route> routes{};         // by public name, none of `models`; enabled ones
};

// The current tables. Threads: set and get from any (atomic shared_ptr: readers keep what they got while it is replaced).
class Tables {
public:
    void set(AuthTable auth) { auth_.store(std::make_shared<const AuthTable>(std::move(auth))); }
    void set(RouteTable routes) {
        routes_.store(std::make_shared<const RouteTable>(std::move(routes)));
        if (routes_changed_) routes_changed_();
    }
    // Called after each change of the routes, on the thread that made it. Set while no other thread has the tables.
    void on_routes(std::function<void()> listener) { routes_changed_ = std::move(listener); }
    std::shared_ptr<const AuthTable> auth() const { return auth_.load(); }
    std::shared_ptr<const RouteTable> routes() const { return routes_.load(); }

private:
    Published<AuthTable> auth_{AuthTable{}};
    Published<RouteTable> routes_{RouteTable{}};
    std::function<void()> routes_changed_;
};

}  // namespace gantry::gateway
