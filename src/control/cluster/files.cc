#include "control/cluster/files.h"

#include <algorithm>

#include "base/log.h"
#include "control/cluster/link.h"
#include "http/file_answer.h"

namespace gantry::control {
namespace {

http::Task<void> refuse(http::Exchange& exchange, Error error) {
    http::Response response = to_response(error_answer(error));
    co_await exchange.respond(std::move(response));
}

}  // namespace

std::vector<WorkerId> ClusterFiles::who_has(const std::string& source, const WorkerId& asks) const {
    const auto view = api_.publisher.view();
    std::set<DeploymentId> deployments;
    for (const Deployment& d : view->deployments) {
        if (d.source == source) deployments.insert(d.id);
    }
    std::vector<WorkerId> found;
    for (const Instance& i : view->instances) {
        const bool runs = i.state == InstanceState::kRunning && deployments.contains(i.deployment_id);
        if (runs && i.worker_id != asks && std::find(found.begin(), found.end(), i.worker_id) == found.end()) found.push_back(i.worker_id);
    }
    return found;
}

http::Task<void> ClusterFiles::for_member(http::Exchange& exchange, http::Task<void> (ClusterFiles::*answer)(http::Exchange&)) {
    if (sessions_.is_member(WorkerId(exchange.request().peer_certificate))) return (this->*answer)(exchange);
    return refuse(exchange, Error{ErrorCode::kPermissionDenied, "this worker was removed", {}, "worker_removed"});
}

http::Task<void> ClusterFiles::manifest(http::Exchange& exchange) {
    const std::string source(exchange.request().query_value("source"));
    ApiContext& api = api_;
    const auto text = co_await api_.pool.run([&api, &source]() -> std::optional<std::string> {
        const auto parsed = parse_source(source);
        return parsed && parsed->from_hub() && api.options.model_files != nullptr ? api.options.model_files->manifest_of(*parsed) : std::nullopt;
    });
    if (!text) {
        co_await refuse(exchange, not_found("this server has no files of that source"));
        co_return;
    }
    http::Response response = http::json_response(200, *text);
    co_await exchange.respond(std::move(response));
}

http::Task<void> ClusterFiles::blob(http::Exchange& exchange) {
    const WorkerId asks(exchange.request().peer_certificate);
    const std::string digest = exchange.request().params.at("digest");
    const std::string source(exchange.request().query_value("source"));
    ApiContext& api = api_;
    const auto path = co_await api_.pool.run([&api, &digest] {
        return api.options.model_files == nullptr ? std::nullopt : api.options.model_files->blob_path(digest);
    });
    if (path) {
        co_await http::answer_with_file(exchange, api_.pool, *path);
        co_return;
    }
    std::vector<WorkerId> others = who_has(source, asks);
    if (others.size() > kAskedMax) others.resize(kAskedMax);
    for (const WorkerId& other : others) {
        std::string endpoint = kWorkerEndpoint + other.text + "/" + kWorkerItself;
        http::Client::Call call = http::call_for(exchange, "/blobs/" + digest);
        http::Canceller reading;
        exchange.on_client_gone([reading]() mutable { reading.cancel(); });
        const auto answer = co_await api_.far->send(std::move(endpoint), std::move(call), reading);
        if (answer && ((*answer)->status() == 200 || (*answer)->status() == 206)) {
            co_await http::pass_on(exchange, **answer);
            exchange.on_client_gone({});
            co_return;
        }
        exchange.on_client_gone({});
        if (exchange.client_gone()) co_return;
    }
    co_await refuse(exchange, not_found("neither this server nor a worker that runs the model has that file"));
}

void ClusterFiles::add_routes(http::Router& router) {
    router.add({"GET", "/cluster/v1/manifest", gateway::kLink,
                [this](http::Exchange& exchange) { return for_member(exchange, &ClusterFiles::manifest); }});
    router.add({"GET", "/cluster/v1/blobs/{digest}", gateway::kLink,
                [this](http::Exchange& exchange) { return for_member(exchange, &ClusterFiles::blob); }});
}

Status ClusterFiles::listen(const std::string& socket) {
    own_router_.add({"GET", "/manifest", "own", [this](http::Exchange& exchange) { return manifest(exchange); }});
    own_router_.add({"GET", "/blobs/{digest}", "own", [this](http::Exchange& exchange) { return blob(exchange); }});
    own_server_ = std::make_unique<http::Server>(api_.io, own_router_, http::ServerOptions{});
    return own_server_->listen_unix(socket, "near");
}

}  // namespace gantry::control
