// /api/v1/backends: what backends there are, what each takes, and on which workers it works: by what these reported, in memory.
#include "backends/backends.h"

#include <fmt/format.h>

#include <algorithm>

#include "backends/flags.h"
#include "control/api/api.h"
#include "protocol/management/backends.h"

namespace gantry::control {
namespace {

using backends::FlagValue;
using protocol::management::BackendOnWorker;
using protocol::management::BackendOverview;

std::string_view takes(FlagValue value) {
    switch (value) {
        case FlagValue::kNone: return "";
        case FlagValue::kSwitch: return "";
        case FlagValue::kInteger: return "integer";
        case FlagValue::kNumber: return "number";
        case FlagValue::kWord: return "word";
        case FlagValue::kObject: return "JSON object";
        case FlagValue::kList: return "list";
        case FlagValue::kTemplate: return "template";
        case FlagValue::kNamedTemplate: return "template or its name";
        case FlagValue::kJinjaFile: return "path of a .jinja file";
        case FlagValue::kGgufFile: return "path of a .gguf file";
    }
    return "";
}

std::string_view spanning_of(const backends::Backend& backend) {
    const auto spanning = backend.spanning();
    if (!spanning) return "";
    switch (spanning->split) {
        case backends::Spanning::Split::kLayers: return "layers";
        case backends::Spanning::Split::kStages: return "stages";
        case backends::Spanning::Split::kTensors: return "tensors";
    }
    return "";
}

const BackendProgram* program_of(const Worker& worker, BackendKind kind) {
    const auto found = std::find_if(worker.programs.begin(), worker.programs.end(),
                                    [kind](const BackendProgram& one) { return one.backend == to_string(kind); });
    return found == worker.programs.end() ? nullptr : &*found;
}

// Why it does not work on a device: its product can't, the program that is there can't, or the device is ill. Empty: it does.
std::string device_refusal(const backends::Backend& backend, const Worker& worker, const BackendProgram* program, const Device& device) {
    if (const auto refusal = backend.refuses_device(worker.os, worker.arch, device)) return refusal->reason;
    if (program != nullptr) {
        for (const BackendProgram::Refusal& refusal : program->refusals) {
            if (refusal.vendor == device.vendor && refusal.index == device.index) return refusal.reason;
        }
    }
    return device.problem.empty() ? "" : "not healthy: " + device.problem;
}

bool works_somewhere(const BackendOnWorker& on) {
    return std::any_of(on.devices.begin(), on.devices.end(), [](const auto& device) { return device.reason.empty(); });
}

// `state`, `reason` and `next_step`, by what else is known.
void judge(BackendOnWorker& on, const backends::About& about, const Worker& worker, const BackendProgram* program, BackendKind kind) {
    if (worker.devices.empty()) {
        on.state = "unknown";
        on.reason = "the worker has not reported yet";
        on.next_step = "Start gantry worker on that machine";
    } else if (!works_somewhere(on)) {
        on.state = "refused";
        const auto first = std::find_if(on.devices.begin(), on.devices.end(), [](const auto& device) { return device.vendor != "cpu"; });
        on.reason = (first == on.devices.end() ? on.devices.front() : *first).reason;
        if (program != nullptr && !program->refusals.empty()) {
            on.next_step = "Install a build of it for these devices, or name one in a deployment (options.binary)";
        }
    } else if (kind == BackendKind::kCustom) {
        on.state = "by_command";
        on.reason = "which program it is each deployment says; it is looked for when an instance starts";
    } else if (kind == BackendKind::kEngine) {
        on.state = "ready";   // whatever the worker's gantry is, it brings it along
    } else if (worker.programs.empty()) {
        on.state = "unknown";
        on.reason = "the worker does not say which programs it has";
        on.next_step = "Upgrade the worker's gantry, which is older than the server's, or start it, where it is stopped";
    } else if (program == nullptr || program->path.empty()) {
        on.state = "missing";
        on.reason = fmt::format("no {} in the PATH of the worker", about.program);
        on.next_step = fmt::format("Install it there: {}; it is found within a minute. Or name its path in a deployment (options.binary)",
                                   about.install);
    } else {
        on.state = "ready";
    }
}

BackendOnWorker on_worker(BackendKind kind, const Worker& worker) {
    const backends::Backend& backend = backends::backend(kind);
    const BackendProgram* const program = program_of(worker, kind);
    BackendOnWorker on{.id = worker.id, .name = worker.name, .worker_state = worker.state};
    if (program != nullptr) {
        on.path = program->path;
        on.version = program->version;
    } else if (kind == BackendKind::kEngine) {
        on.version = worker.version;
    }
    for (const Device& device : worker.devices) {
        on.devices.push_back({device.vendor, device.name, device.index, device_refusal(backend, worker, program, device)});
    }
    judge(on, backend.about(), worker, program, kind);
    return on;
}

BackendOverview overview(BackendKind kind, const std::vector<Deployment>& deployments, const std::vector<Worker>& workers) {
    const backends::Backend& backend = backends::backend(kind);
    const backends::About about = backend.about();
    BackendOverview out{.kind = kind, .title = about.title, .summary = about.summary, .homepage = about.homepage};
    out.formats = about.formats;
    out.modalities = about.modalities;
    out.kv_types = backend.kv_types();
    out.can_offload = backend.can_offload();
    out.spanning = spanning_of(backend);
    if (const backends::FlagRules* const rules = backend.flag_rules()) {
        for (const backends::AllowedFlag& flag : rules->allowed) out.flags.push_back({flag.name, takes(flag.value)});
    }
    for (const Deployment& one : deployments) {
        if (one.backend == kind) out.deployments.push_back(&one);
    }
    for (const Worker& worker : workers) out.workers.push_back(on_worker(kind, worker));
    std::sort(out.deployments.begin(), out.deployments.end(), [](const auto* a, const auto* b) { return a->name < b->name; });
    std::sort(out.workers.begin(), out.workers.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    return out;
}

Result<Answer> list(ApiContext& api, const Call& call) {
    const auto view = api.publisher.view();
    std::vector<Worker> workers = view->workers;
    for (Worker& worker : workers) api.observed.overlay(worker);
    store::Page<BackendOverview> all;   // there are a few
    for (const BackendKind kind : kBackendKinds) all.items.push_back(overview(kind, view->deployments, workers));
    return list_answer(all, [&call](BackendOverview one) {
        if (!call.admin()) protocol::management::hide_from_users(one);
        return protocol::management::to_json(one);
    });
}

}  // namespace

void add_backend_routes(http::Router& router, ApiContext& api) {
    add_routes(router, api, {{"GET", "/api/v1/backends", gateway::kUser, list}});
}

}  // namespace gantry::control
