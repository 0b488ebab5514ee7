#include "played_worker.h"

#include <fmt/format.h>

#include <set>

#include "base/platform/files.h"
#include "base/version.h"

namespace gantry::load {
namespace {

constexpr std::chrono::milliseconds kReportEvery{1'000};
constexpr uint64_t kGiB = 1ull << 30;
constexpr int64_t kPid = 4'000'000;   // nobody's: the kernel counts to 2^22

}  // namespace

Result<std::unique_ptr<PlayedWorker>> PlayedWorker::start(const Played& played) {
    GANTRY_TRY(platform::make_folders(played.folder, 0700));
    auto known = worker::load_identity(played.folder);
    if (!known) return known.error();
    worker::Identity identity;
    if (*known && !(*known)->worker_id.empty()) {
        identity = **known;
    } else {
        auto joined = worker::join(played.folder, {played.server, played.token, played.name});
        if (!joined) return joined.error();
        identity = *std::move(joined);
    }
    std::unique_ptr<PlayedWorker> made(new PlayedWorker(played, std::move(identity)));
    worker::RemoteOptions options;
    options.server = played.server;
    options.data_dir = played.folder;
    options.identity = made->identity_;
    auto link = worker::RemoteLink::make(std::move(options), system_clock(), system_random());
    if (!link) return link.error();
    made->link_ = *std::move(link);
    made->link_->start(*made);
    return made;
}

void PlayedWorker::stop(bool, Deadline) {
    if (link_) link_->stop();
}

void PlayedWorker::turn(SteadyTime now) {
    const bool poked = poked_.exchange(false);
    if (now < next_ && !poked) return;
    if (now >= next_) next_ += kReportEvery;
    ++reports_;
    const protocol::Assignment assignment = link_->reports().exchange(report());
    if (assignment.unknown) return;
    std::set<InstanceId> wanted;
    for (const protocol::InstanceSpec& spec : assignment.run) wanted.insert(spec.id);
    std::erase_if(instances_, [&wanted](const auto& one) { return !wanted.contains(one.first); });
    bool more = false;
    for (auto& [id, one] : instances_) {
        if (one.state == InstanceState::kRunning) continue;
        one.state = InstanceState::kRunning;
        one.endpoint = played_.engine;
        one.state_since = system_clock().wall();
        more = true;
    }
    for (const InstanceId& id : wanted) {
        if (instances_.contains(id)) continue;
        protocol::InstanceReport one;
        one.id = id;
        one.state = InstanceState::kStarting;
        one.state_since = system_clock().wall();
        one.pid = kPid;
        one.memory_bytes = one.memory_peak_bytes = kGiB;
        instances_.emplace(id, std::move(one));
        more = true;
    }
    if (more) poked_ = true;
}

protocol::WorkerReport PlayedWorker::report() {
    protocol::WorkerReport report;
    report.worker_id = identity_.worker_id;
    report.name = played_.name;
    report.version = kVersion;
    report.os = "linux";
    report.arch = "x86_64";
    report.devices = devices();
    for (const auto& [id, one] : instances_) report.instances.push_back(one);
    return report;
}

std::vector<Device> PlayedWorker::devices() {
    const auto change = [this](uint64_t of) { return (reports_ * 2'654'435'761u) % of; };
    std::vector<Device> out;
    Device cpu;
    cpu.vendor = "cpu";
    cpu.name = "AMD EPYC 9755 128-Core Processor";
    cpu.memory_total_bytes = 1'024 * kGiB;
    cpu.memory_free_bytes = 700 * kGiB + change(kGiB);
    cpu.cores = 128;
    cpu.utilization = static_cast<double>(change(1'000)) / 1'000;
    cpu.details = "avx2 avx512f avx512_vnni avx512_bf16 amx";
    out.push_back(std::move(cpu));
    for (uint32_t i = 0; i < played_.accelerators; ++i) {
        Device card;
        card.vendor = "nvidia";
        card.index = i;
        card.name = "NVIDIA H100 80GB HBM3";
        card.uuid = fmt::format("GPU-{}-{:04}", played_.name, i);
        card.chip = "sm_90";
        card.memory_total_bytes = 80 * kGiB;
        card.memory_free_bytes = 70 * kGiB + change(kGiB + i);
        card.utilization = static_cast<double>(change(997 + i)) / 1'100;
        card.temperature_celsius = 40.0 + static_cast<double>(change(20 + i));
        card.driver_version = "550.54.15";
        card.runtime_version = "CUDA 12.4";
        card.bus_address = fmt::format("0000:{:02x}:00.0", 0x10 + i);
        card.numa_node = i / 4;
        for (uint32_t to = 0; to < played_.accelerators; ++to) {
            if (to != i) card.links.push_back({to, "NV18"});
        }
        out.push_back(std::move(card));
    }
    return out;
}

}  // namespace gantry::load
