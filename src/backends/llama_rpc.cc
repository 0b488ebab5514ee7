#include "backends/llama_rpc.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "backends/visible_devices.h"
#include "base/platform/process.h"

namespace gantry::backends {
namespace {

constexpr const char* kNames[] = {"ggml-rpc-server", "rpc-server"};

uint32_t threads_of(const LaunchInput& input) {
    if (input.options.threads != 0) return input.options.threads;
    for (const Device& device : input.devices) {
        if (device.vendor == "cpu") return device.cores;
    }
    return 0;
}

}  // namespace

Result<std::string> rpc_server_beside(const std::string& llama_server) {
    namespace fs = std::filesystem;
    std::error_code error;
    const fs::path real = fs::canonical(llama_server, error);
    for (const char* name : kNames) {
        if (error) break;
        if (auto found = platform::find_program((real.parent_path() / name).string()); found.ok()) return found;
    }
    for (const char* name : kNames) {
        if (auto found = platform::find_program(name); found.ok()) return found;
    }
    return invalid_argument("one instance on several workers needs ggml-rpc-server, beside " + llama_server +
                                " or in PATH on each of them: build llama.cpp with -DGGML_RPC=ON",
                            "options.binary", "backend_missing");
}

Result<LaunchPlan> rpc_follower(const LaunchInput& input, const std::string& llama_server) {
    const Result<std::string> program = rpc_server_beside(llama_server);
    if (!program.ok()) return program.error();
    const SpanInput::Peer& own = input.span->own();
    LaunchPlan plan;
    plan.argv = {*program, "-H", own.address, "-p", std::to_string(own.port)};
    if (const uint32_t threads = threads_of(input); threads != 0) plan.argv.insert(plan.argv.end(), {"-t", std::to_string(threads)});
    if (accelerator_claims(input.placement).empty()) plan.argv.insert(plan.argv.end(), {"-d", "CPU"});
    plan.env = input.options.env;
    plan.env.merge(visible_devices(input.placement, input.devices));
    plan.endpoint = "tcp:" + own.address + ":" + std::to_string(own.port);
    plan.health = HealthCheck::kListens;
    plan.peer_port = own.port;
    return plan;
}

std::string rpc_servers(const SpanInput& span) {
    std::string list;
    for (size_t part = 1; part < span.peers.size(); ++part) {
        list.append(list.empty() ? "" : ",").append(span.peers[part].address).append(":").append(std::to_string(span.peers[part].port));
    }
    return list;
}

std::vector<DeviceClaim> devices_of_all(const SpanInput& span) {
    std::vector<DeviceClaim> devices;
    const auto add = [&devices](const SpanInput::Peer& peer, bool memory) {
        for (const DeviceClaim& claim : peer.claims) {
            if (claim.layers > 0 && (memory || claim.device.vendor != "cpu")) devices.push_back(claim);
        }
    };
    for (size_t part = 1; part < span.peers.size(); ++part) add(span.peers[part], true);
    add(span.leader(), false);
    return devices;
}

}  // namespace gantry::backends
