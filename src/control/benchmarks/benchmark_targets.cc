#include "control/benchmarks/benchmark_targets.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "base/version.h"
#include "bench/workload.h"
#include "control/status.h"
#include "gateway/gateway.h"
#include "protocol/openai/utf8.h"

namespace gantry::control {
namespace {

constexpr size_t kErrorBytesMax = 300;

const Deployment* find(const Snapshot& view, const std::string& name) {
    const auto found = std::find_if(view.deployments.begin(), view.deployments.end(), [&](const Deployment& d) { return d.name == name; });
    return found == view.deployments.end() ? nullptr : &*found;
}

const Worker* worker_of(const Snapshot& view, const WorkerId& id) {
    const auto found = std::find_if(view.workers.begin(), view.workers.end(), [&](const Worker& w) { return w.id == id; });
    return found == view.workers.end() ? nullptr : &*found;
}

std::string device_name(const Worker& worker, const DeviceName& name) {
    for (const Device& device : worker.devices) {
        if (device.vendor == name.vendor && device.index == name.index && !device.name.empty()) return device.name;
    }
    return to_string(name);
}

// Accelerators where it has some, else the machine: "2 x A100 on host-1, 2 x A100 on host-2".
std::string devices_of(const Snapshot& view, const Placement& placement) {
    struct Group {
        std::string name, worker;
        uint32_t count = 0;
    };
    std::vector<Group> groups;
    const bool accelerated = std::any_of(placement.claims.begin(), placement.claims.end(), [](const auto& c) { return c.device.vendor != "cpu"; });
    for (const DeviceClaim& claim : placement.claims) {
        if (accelerated && claim.device.vendor == "cpu") continue;
        const Worker* worker = worker_of(view, claim.worker_id);
        const std::string name = worker != nullptr ? device_name(*worker, claim.device) : to_string(claim.device);
        const std::string on = worker != nullptr ? worker->name : "";
        const auto group = std::find_if(groups.begin(), groups.end(), [&](const Group& g) { return g.name == name && g.worker == on; });
        if (group != groups.end()) ++group->count;
        else groups.push_back({name, on, 1});
    }
    std::string text;
    for (const Group& group : groups) {
        text += fmt::format("{}{}{}{}{}", text.empty() ? "" : ", ", group.count > 1 ? fmt::format("{} x ", group.count) : "", group.name,
                            group.worker.empty() ? "" : " on ", group.worker);
    }
    return text;
}

uint32_t cards_of(const Placement& placement) {
    return static_cast<uint32_t>(
        std::count_if(placement.claims.begin(), placement.claims.end(), [](const DeviceClaim& c) { return c.device.vendor != "cpu"; }));
}

std::vector<const Instance*> instances_of(const Snapshot& view, const DeploymentId& id) {
    std::vector<const Instance*> own;
    for (const Instance& i : view.instances) {
        if (i.deployment_id == id) own.push_back(&i);
    }
    return own;
}

}  // namespace

void describe_deployment(const Snapshot& view, bool for_admin, BenchmarkTarget& target) {
    const Deployment* const found = find(view, target.deployment);
    if (found == nullptr) return;
    Deployment d = *found;
    if (!for_admin) protocol::management::hide_from_users(d);
    target.backend = to_string(d.backend);
    target.version = fmt::format("gantry {} ({})", kVersion, commit());
    const json::object shown = protocol::management::to_json(d, {});
    target.flags = fmt::format("source={} replicas={} {}", d.source, d.replicas, bench::flags_of(shown.at("options").as_object()));
    for (const Instance* i : instances_of(view, d.id)) {
        if (i->stopping || i->placement.empty()) continue;
        target.devices = devices_of(view, i->placement);
        target.cards = cards_of(i->placement);
        break;
    }
}

void take_description(const BenchmarkTarget& from, bench::Target& to) {
    to.backend = from.backend;
    to.devices = from.devices;
    to.cards = from.cards;
    to.version = from.version;
    to.flags = from.flags;
}

Readiness readiness_of(const Snapshot& view, const std::string& deployment) {
    using State = Readiness::State;
    const Deployment* const found = find(view, deployment);
    if (found == nullptr) return {State::kNever, fmt::format("there is no deployment named {}", deployment)};
    const auto status = deployment_status(*found, instances_of(view, found->id));
    // One that sleeps is woken by the first request.
    if (status.ready_replicas > 0 || status.state == "asleep") return {State::kReady, {}};
    const std::string reason = protocol::management::public_reason(status.reason);
    const std::string why = fmt::format("{} is {}{}", deployment, status.state, reason.empty() ? "" : ": " + reason);
    if (status.state == "stopped") return {State::kNever, why + "; `gantry start " + deployment + "` starts it"};
    return {status.state == "error" ? State::kNever : State::kComing, why};
}

Result<bench::Target> reach(const Benchmark& benchmark, const BenchmarkTarget& target, const std::string& own_endpoint, const std::string& key) {
    bench::Target out;
    out.name = target.name;
    out.model = target.model;
    take_description(target, out);
    if (target.deployment.empty()) {
        out.api_key = key;
        GANTRY_TRY(bench::set_url(out, target.url));
        return out;
    }
    out.endpoint = own_endpoint;
    out.base_path = "/v1";
    out.url = "/v1";
    const std::string who = benchmark.user_id.text + (benchmark.key_id.empty() ? "" : "/" + benchmark.key_id.text);
    out.headers.emplace_back(gateway::kActsFor, who);
    return out;
}

std::string shown_error(const std::string& error, const std::string& key) {
    std::string text = protocol::openai::to_utf8(error);
    for (size_t at = key.empty() ? std::string::npos : text.find(key); at != std::string::npos; at = text.find(key, at + 3)) {
        text.replace(at, key.size(), "***");
    }
    return log::escape(protocol::openai::beginning(text, kErrorBytesMax));
}

}  // namespace gantry::control
