#include "protocol/management/backends.h"

#include <fmt/format.h>

namespace gantry::protocol::management {
namespace {

json::object to_json(const BackendOnWorker::OnDevice& device, const WorkerId& worker) {
    return {{"id", fmt::format("{}/{}/{}", worker.text, device.vendor, device.index)},
            {"vendor", device.vendor},
            {"index", device.index},
            {"name", device.name},
            {"works", device.reason.empty()},
            {"reason", device.reason}};
}

json::object to_json(const BackendOnWorker& worker) {
    json::array devices;
    for (const BackendOnWorker::OnDevice& device : worker.devices) devices.emplace_back(to_json(device, worker.id));
    return {{"worker_id", worker.id.text},
            {"worker_name", worker.name},
            {"worker_state", gantry::to_string(worker.worker_state)},
            {"state", worker.state},
            {"path", worker.path},
            {"version", worker.version},
            {"reason", worker.reason},
            {"next_step", worker.next_step},
            {"devices", std::move(devices)}};
}

json::array words(const std::vector<std::string_view>& texts) { return json::array(texts.begin(), texts.end()); }

}  // namespace

json::object to_json(const BackendOverview& backend) {
    json::array flags, deployments, workers;
    for (const BackendOverview::Flag& flag : backend.flags) flags.emplace_back(json::object{{"name", flag.name}, {"takes", flag.takes}});
    for (const Deployment* one : backend.deployments) deployments.emplace_back(json::object{{"id", one->id.text}, {"name", one->name}});
    for (const BackendOnWorker& worker : backend.workers) workers.emplace_back(to_json(worker));
    return {{"name", gantry::to_string(backend.kind)},
            {"title", backend.title},
            {"summary", backend.summary},
            {"homepage", backend.homepage},
            {"formats", words(backend.formats)},
            {"modalities", words(backend.modalities)},
            {"can_offload", backend.can_offload},
            {"spanning", backend.spanning.empty() ? json::value() : json::value(backend.spanning)},
            {"kv_types", words(backend.kv_types)},
            {"flags", std::move(flags)},
            {"deployments", std::move(deployments)},
            {"workers", std::move(workers)}};
}

void hide_from_users(BackendOverview& backend) {
    for (BackendOnWorker& worker : backend.workers) worker.path.clear();
}

}  // namespace gantry::protocol::management
