#include "sim/machine.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>

namespace gantry::sim {
namespace {

using platform::ProcessExit;

constexpr milliseconds kKillTakes{50};

std::string last_part(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

bool is_bad(const std::string& source) { return last_part(source).starts_with("bad"); }
bool is_refused(const std::string& source) { return last_part(source).starts_with("refused"); }

Machine::Machine(World& world, const EngineFaults& faults, std::string name, std::vector<Device> devices)
    : world_(world), faults_(faults), name_(std::move(name)), devices_(std::move(devices)) {}

Engine* Machine::find(int64_t pid) {
    const auto found = engines_.find(pid);
    return found == engines_.end() ? nullptr : &found->second;
}

// What it has taken of a claim by now: more and more while it loads.
uint64_t Machine::taken(const Engine& engine, const DeviceClaim& claim) const {
    const double whole = static_cast<double>(claim.bytes) * engine.share;
    const SteadyTime now = world_.steady();
    if (now >= engine.ready_at || engine.ready_at == SteadyTime::max()) return static_cast<uint64_t>(whole);
    const auto part = std::chrono::duration<double>(now - engine.loading_since) / (engine.ready_at - engine.loading_since);
    return static_cast<uint64_t>(whole * part);
}

uint64_t Machine::claimed(const DeviceName& device) const {
    uint64_t sum = 0;
    for (const auto& [pid, engine] : engines_) {
        if (!engine.lives()) continue;
        for (const DeviceClaim& claim : engine.spec.placement.claims) {
            if (claim.device == device) sum += claim.bytes;
        }
    }
    return sum;
}

std::vector<Device> Machine::devices() const {
    std::vector<Device> shown = devices_;
    for (Device& device : shown) {
        for (const auto& [pid, engine] : engines_) {
            if (!engine.lives()) continue;
            for (const DeviceClaim& claim : engine.spec.placement.claims) {
                if (claim.device != DeviceName{device.vendor, device.index}) continue;
                const uint64_t bytes = taken(engine, claim);
                device.memory_free_bytes -= std::min(device.memory_free_bytes, bytes);
                if (device.vendor != "cpu" && bytes > 0) {
                    device.processes.push_back({.pid = pid, .name = "engine", .memory_bytes = bytes, .instance_id = {}});
                }
            }
        }
    }
    return shown;
}

worker::HealthAnswer Machine::answer_of(const InstanceId& id, const std::string&) const {
    using Kind = worker::HealthAnswer::Kind;
    for (const auto& [pid, engine] : engines_) {
        if (engine.instance != id || !engine.lives()) continue;
        if (engine.hangs) return {Kind::kSilent, 0, "no answer within 5 s"};
        if (world_.steady() >= engine.ready_at) return {Kind::kReady, 1, "answered 200"};
        const auto part = std::chrono::duration<double>(world_.steady() - engine.loading_since) / (engine.ready_at - engine.loading_since);
        return {Kind::kLoading, part, "loading"};
    }
    return {Kind::kSilent, 0, "nothing listens"};
}

platform::UniqueFd Machine::watch_handle(int64_t pid) {
    platform::UniqueFd handle(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    watches_[handle.get()] = pid;
    return handle;
}

int64_t Machine::watched(int fd) const {
    const auto found = watches_.find(fd);
    return found == watches_.end() ? 0 : found->second;
}

Result<platform::Spawned> Machine::spawn(const platform::SpawnRequest& request) {
    if (world_.chance(faults_.spawn_fails)) return unavailable("the engine can't be started: no more processes");
    Engine engine;
    engine.instance = InstanceId(last_part(request.working_folder));
    engine.spec = expected_[engine.instance];
    engine.nonce = request.env.at("GANTRY_INSTANCE_NONCE");
    engine.lock_path = request.working_folder + "/lock";
    engine.lock.reset(::fcntl(request.inherited_handle, F_DUPFD_CLOEXEC, 3));
    if (!engine.lock.valid()) return unavailable("this process is out of handles: raise ulimit -n");
    const int64_t pid = ++last_pid_;
    engine.process = {pid, static_cast<uint64_t>(world_.now().count()) + 1, fmt::format("{}-{}", name_, boots_)};
    engine.loading_since = world_.steady();
    const milliseconds load = faults_.slow && world_.chance(0.2) ? world_.between(5s, 60s) : world_.between(300ms, 8s);
    engine.ready_at = world_.steady() + load;
    engine.share = 0.5 + static_cast<double>(world_.below(50)) / 100;
    engine.ignores_terminate = world_.chance(faults_.ignores_terminate);
    if (world_.chance(faults_.hangs_loading)) {
        engine.hangs = true;
        engine.ready_at = SteadyTime::max();
    } else if (is_bad(engine.spec.source) || world_.chance(faults_.dies_loading)) {
        end_after(world_.between(50ms, load), pid, {1, 0});
    }
    const platform::ProcessId id = engine.process;
    engines_.emplace(pid, std::move(engine));
    return platform::Spawned{id, watch_handle(pid)};
}

Result<platform::UniqueFd> Machine::watch(const platform::ProcessId& id) {
    const Engine* engine = find(id.pid);
    if (engine == nullptr || !engine->lives() || !(engine->process == id)) return not_found("it has ended");
    return watch_handle(id.pid);
}

void Machine::end_after(milliseconds delay, int64_t pid, ProcessExit exit) {
    world_.after(delay, [this, pid, exit] { end(pid, exit); });
}

void Machine::end(int64_t pid, ProcessExit exit) {
    Engine* engine = find(pid);
    if (engine == nullptr || !engine->lives()) return;
    engine->ended = exit;
    engine->lock.reset();
    if (!engine->is_child) engines_.erase(pid);   // the system waits for it
    if (on_end_) on_end_(pid);
}

std::optional<ProcessExit> Machine::reap(int64_t pid) {
    const Engine* engine = find(pid);
    if (engine == nullptr || engine->lives() || !engine->is_child) return std::nullopt;
    const ProcessExit exit = *engine->ended;
    engines_.erase(pid);
    return exit;
}

bool Machine::holds_pid(const platform::ProcessId& id) {
    const Engine* engine = find(id.pid);
    return engine != nullptr && engine->process == id;
}

void Machine::signal_group(int64_t pid, platform::ProcessSignal signal) {
    Engine* engine = find(pid);
    if (engine == nullptr || !engine->lives()) return;
    if (signal == platform::ProcessSignal::kKill) {
        // A process that waits for a driver takes its time.
        end_after(faults_.ignores_terminate > 0 && world_.chance(0.05) ? world_.between(1s, 15s) : kKillTakes, pid, {0, SIGKILL});
    } else if (!engine->ignores_terminate && !engine->hangs && !engine->ending) {
        end_after(world_.between(10ms, 4s), pid, {0, 0});
    }
    engine->ending = true;
}

void Machine::end_child_now(int64_t pid) {
    end(pid, {0, SIGKILL});
    (void)reap(pid);
}

std::vector<platform::ProcessId> Machine::leaders_with_nonce(const std::string& nonce) {
    std::vector<platform::ProcessId> found;
    for (const auto& [pid, engine] : engines_) {
        if (engine.nonce == nonce && engine.lives()) found.push_back(engine.process);
    }
    return found;
}

void Machine::kill_holders(const std::string& path) {
    for (const auto& [pid, engine] : engines_) {
        if (engine.lock_path == path && engine.lives()) end_after(kKillTakes, pid, {0, SIGKILL});
    }
}

std::vector<platform::GroupMemory> Machine::group_memory(const std::vector<int64_t>& groups) {
    std::vector<platform::GroupMemory> all;
    for (const int64_t pid : groups) {
        platform::GroupMemory one;
        if (const Engine* engine = find(pid); engine != nullptr && engine->lives()) {
            one.pids = {pid};
            for (const DeviceClaim& claim : engine->spec.placement.claims) {
                if (claim.device.vendor == "cpu") one.private_bytes += taken(*engine, claim);
            }
            one.resident_bytes = one.peak_bytes = one.private_bytes;
        }
        all.push_back(std::move(one));
    }
    return all;
}

void Machine::kill(int64_t pid, bool out_of_memory) {
    if (out_of_memory) ++out_of_memory_kills_;
    end(pid, {0, SIGKILL});
}

void Machine::hang(int64_t pid) {
    if (Engine* engine = find(pid)) engine->hangs = true;
}

void Machine::worker_died() {
    std::erase_if(engines_, [](const auto& entry) { return !entry.second.lives(); });
    for (auto& [pid, engine] : engines_) engine.is_child = false;
    watches_.clear();
}

void Machine::reboot() {
    engines_.clear();
    watches_.clear();
    ++boots_;
}

int64_t Machine::some_engine(World& world) const {
    std::vector<int64_t> living;
    for (const auto& [pid, engine] : engines_) {
        if (engine.lives()) living.push_back(pid);
    }
    return living.empty() ? 0 : world.pick(living);
}

}  // namespace gantry::sim
