#pragma once
// Fleets, models and deployments for the tests and the benchmark of placement.

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "placement/scheduler.h"

namespace gantry::placement {

inline constexpr uint64_t kGiB = 1ull << 30;

inline Device memory_device(uint64_t gib, uint64_t free_gib = UINT64_MAX) {
    Device d;
    d.vendor = "cpu";
    d.name = "AMD EPYC 9755";
    d.memory_total_bytes = gib * kGiB;
    d.memory_free_bytes = std::min(gib, free_gib) * kGiB;
    d.cores = 64;
    return d;
}

inline Device card(const std::string& vendor, uint32_t index, uint64_t gib, const std::string& chip = "", const std::string& name = "") {
    Device d;
    d.vendor = vendor;
    d.index = index;
    d.name = name.empty() ? vendor + " " + chip : name;
    d.chip = chip;
    d.memory_total_bytes = d.memory_free_bytes = gib * kGiB;
    return d;
}

inline Worker machine(const std::string& name, std::vector<Device> devices) {
    Worker w;
    w.id = WorkerId("wrk_" + name);
    w.name = name;
    w.state = WorkerState::kReady;
    w.os = "linux";
    w.arch = "x86_64";
    w.data_address = "10.0.0." + std::to_string(name.back());
    w.devices = std::move(devices);
    return w;
}

// With cards of so many GiB.
inline Worker gpu_machine(const std::string& name, std::vector<uint64_t> gib, uint64_t memory = 256) {
    std::vector<Device> devices{memory_device(memory)};
    for (size_t i = 0; i < gib.size(); ++i) {
        devices.push_back(card("nvidia", static_cast<uint32_t>(i), gib[i], "sm_80", fmt::format("NVIDIA A100 {} GiB", gib[i])));
    }
    return machine(name, std::move(devices));
}

// Takes memory of a device, and is none of ours.
inline void add_foreign(Device& device, int64_t pid, const std::string& name, uint64_t gib) {
    device.memory_free_bytes -= std::min(device.memory_free_bytes, gib * kGiB);
    device.processes.push_back({.pid = pid, .name = name, .memory_bytes = gib * kGiB, .instance_id = {}});
}

// A decoder of that many billion parameters and bits a weight, shaped as Qwen2.5's are.
inline ModelMeta decoder(const std::string& format, double billions, double bits, uint32_t layers = 28, uint32_t context = 32768) {
    ModelMeta m;
    m.format = format;
    m.architecture = format == "gguf" ? "qwen2" : "Qwen2ForCausalLM";
    m.quantization = format == "gguf" ? "Q4_K_M" : "";
    m.dtype = "bfloat16";
    m.modality = "text";
    m.parameter_count = static_cast<uint64_t>(billions * 1e9);
    m.file_bytes = static_cast<uint64_t>(billions * 1e9 * bits / 8);
    m.layers = layers;
    m.context_length = context;
    m.embedding_length = 3584;
    m.feed_forward_length = 18944;
    m.heads = 28;
    m.heads_kv = 4;
    m.key_length = m.value_length = 128;
    m.vocabulary = 152064;
    m.weights.embedding = m.weights.output = m.file_bytes / 20;
    m.weights.layers.assign(layers, (m.file_bytes - 2 * m.weights.embedding) / layers);
    if (format == "gguf") m.bytes_of_type = {{"Q4_K", m.file_bytes * 9 / 10}, {"F32", m.file_bytes / 10}};
    return m;
}

// A fleet with one deployment that is asked about.
struct World {
    Snapshot snapshot;
    Knowledge knowledge;
    Deployment deployment;

    explicit World(BackendKind backend = BackendKind::kVllm, ModelMeta meta = decoder("safetensors", 7.6, 16)) {
        deployment.id = DeploymentId("dep_new");
        deployment.name = "new";
        deployment.source = "file:/models/new";
        deployment.backend = backend;
        knowledge.metas[deployment.source] = std::move(meta);
        snapshot.deployments.push_back(deployment);
    }
    ModelMeta& meta() { return knowledge.metas[deployment.source]; }
    Decision decide(Detail detail = Detail::kExplained) const {
        return placement::decide(deployment, snapshot, knowledge, Room(snapshot), detail);
    }

    // Another deployment's instance that is there already, with so much booked and so much used of each device.
    Instance& add(const std::string& name, const Placement& placement, double used = 1) {
        Deployment d;
        d.id = DeploymentId("dep_" + name);
        d.name = name;
        d.source = "file:/models/" + name;
        snapshot.deployments.push_back(d);
        Instance i;
        i.id = InstanceId("ins_" + name);
        i.deployment_id = d.id;
        i.worker_id = placement.leader();
        i.placement = placement;
        i.state = InstanceState::kRunning;
        i.pid = used > 0 ? 4711 : 0;
        for (const DeviceClaim& claim : placement.claims) use(i, claim, static_cast<uint64_t>(static_cast<double>(claim.bytes) * used));
        snapshot.instances.push_back(std::move(i));
        return snapshot.instances.back();
    }
    void use(Instance& instance, const DeviceClaim& claim, uint64_t bytes) {
        for (Worker& w : snapshot.workers) {
            for (Device& d : w.devices) {
                if (w.id != claim.worker_id || DeviceName{d.vendor, d.index} != claim.device) continue;
                d.memory_free_bytes -= std::min(d.memory_free_bytes, bytes);
                if (d.vendor == "cpu") {
                    instance.memory_private_bytes += bytes;
                } else if (bytes > 0) {
                    d.processes.push_back({.pid = 4711, .name = "engine", .memory_bytes = bytes, .instance_id = instance.id});
                }
            }
        }
    }
};

inline DeviceClaim claim(const std::string& machine, const std::string& vendor, uint32_t index, uint64_t gib) {
    return {.worker_id = WorkerId("wrk_" + machine), .device = {vendor, index}, .bytes = gib * kGiB};
}

// "w1: ascend/0 ascend/1 cpu/0"
inline std::string where(const std::optional<Placement>& placement) {
    if (!placement) return "nowhere";
    std::string text;
    WorkerId last;
    for (const DeviceClaim& c : placement->claims) {
        if (c.worker_id != last) text += (text.empty() ? "" : "; ") + c.worker_id.text.substr(4) + ":";
        last = c.worker_id;
        text += " " + to_string(c.device);
    }
    return text;
}

}  // namespace gantry::placement
