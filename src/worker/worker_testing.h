#pragma once
// For the tests of this folder: a server that assigns what it is told and keeps every report, folders that go away, and
// waiting for what is to happen instead of for time.

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "protocol/worker/messages.h"
#include "worker/worker.h"

namespace gantry::worker {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

class TempFolder {
public:
    TempFolder() {
        char name[] = "/tmp/gantry_worker_XXXXXX";
        path_ = ::mkdtemp(name);
    }
    ~TempFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    const std::string& path() const { return path_; }
    std::string operator/(const std::string& name) const { return path_ + "/" + name; }

private:
    std::string path_;
};

inline void write_text(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }
inline std::string read_text(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

// Looks again every millisecond until `met` holds. False: it did not within the time.
template <class Condition>
bool eventually(Condition met, milliseconds limit = 15s) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!met()) {
        if (std::chrono::steady_clock::now() > end) {
            return false;
        }
        std::this_thread::sleep_for(1ms);
    }
    return true;
}

// The pids an engine wrote with --pids that still run.
inline std::vector<pid_t> living(const std::string& pids_file) {
    std::vector<pid_t> found;
    std::ifstream file(pids_file);
    for (pid_t pid = 0; file >> pid;) {
        const std::string stat = read_text("/proc/" + std::to_string(pid) + "/stat");
        const size_t name_end = stat.rfind(')');
        if (name_end != std::string::npos && stat[name_end + 2] != 'Z' && stat[name_end + 2] != 'X') {
            found.push_back(pid);
        }
    }
    return found;
}

class FakeLink final : public protocol::ServerLink {
public:
    protocol::Assignment exchange(const protocol::WorkerReport& report) override {
        std::lock_guard lock(mutex_);
        last_ = report;
        last_at_ = std::chrono::steady_clock::now();
        ++reports_;
        for (const protocol::InstanceReport& instance : report.instances) {
            if (history_.empty() || history_.back().state != instance.state || history_.back().reason != instance.reason ||
                history_.back().id != instance.id) {
                history_.push_back(instance);
            }
        }
        arrived_.notify_all();
        return assignment_;
    }
    void assign(std::vector<protocol::InstanceSpec> run) {
        std::lock_guard lock(mutex_);
        assignment_.run = std::move(run);
    }
    // Waits until the instance's report meets the condition; the report, or nothing when it did not come.
    template <class Condition>
    std::optional<protocol::InstanceReport> wait(const std::string& id, Condition met, milliseconds limit = 15s) {
        std::unique_lock lock(mutex_);
        std::optional<protocol::InstanceReport> found;
        arrived_.wait_for(lock, limit, [&] {
            found.reset();
            for (const protocol::InstanceReport& instance : last_.instances) {
                if (instance.id.text == id && met(instance)) {
                    found = instance;
                }
            }
            return found.has_value();
        });
        return found;
    }
    std::optional<protocol::InstanceReport> wait_state(const std::string& id, InstanceState state, milliseconds limit = 15s) {
        return wait(id, [state](const protocol::InstanceReport& report) { return report.state == state; }, limit);
    }
    bool wait_absent(const std::string& id, milliseconds limit = 15s) {
        std::unique_lock lock(mutex_);
        return arrived_.wait_for(lock, limit, [&] {
            for (const protocol::InstanceReport& instance : last_.instances) {
                if (instance.id.text == id) {
                    return false;
                }
            }
            return reports_ > 0;
        });
    }
    protocol::WorkerReport last() const { std::lock_guard lock(mutex_); return last_; }
    std::chrono::steady_clock::time_point last_at() const { std::lock_guard lock(mutex_); return last_at_; }
    size_t reports() const { std::lock_guard lock(mutex_); return reports_; }
    std::vector<protocol::InstanceReport> history() const { std::lock_guard lock(mutex_); return history_; }
    void clear() {
        std::lock_guard lock(mutex_);
        history_.clear();
        last_ = {};
        reports_ = 0;
    }

private:
    mutable std::mutex mutex_;
    std::condition_variable arrived_;
    protocol::Assignment assignment_;
    protocol::WorkerReport last_;
    std::chrono::steady_clock::time_point last_at_{};
    size_t reports_ = 0;
    std::vector<protocol::InstanceReport> history_;
};

// The smallest file that our reader takes for a model.
inline std::string tiny_gguf() {
    std::string bytes;
    const auto put = [&bytes](auto value) { bytes.append(reinterpret_cast<const char*>(&value), sizeof value); };
    const auto text = [&](const std::string& value) {
        put(static_cast<uint64_t>(value.size()));
        bytes += value;
    };
    const auto u32 = [&](const std::string& key, uint32_t value) {
        text(key);
        put(uint32_t{4});
        put(value);
    };
    bytes += "GGUF";
    put(uint32_t{3});
    put(uint64_t{1});   // tensors
    put(uint64_t{5});   // pairs
    text("general.architecture");
    put(uint32_t{8});
    text("llama");
    u32("llama.block_count", 2);
    u32("llama.context_length", 512);
    u32("llama.embedding_length", 64);
    u32("llama.attention.head_count", 4);
    text("token_embd.weight");
    put(uint32_t{1});
    put(uint64_t{64});
    put(uint32_t{0});
    put(uint64_t{0});
    bytes.resize((bytes.size() + 31) / 32 * 32 + 256);
    return bytes;
}

// Short times, so that a test of minutes takes milliseconds.
inline SupervisionPolicy quick_policy() {
    SupervisionPolicy policy;
    policy.start_deadline = 10s;
    policy.start_probe_interval = 5ms;
    policy.liveness_interval = 30ms;
    policy.liveness_timeout = 300ms;
    policy.stop_grace = 5s;
    policy.restart_base = 20ms;
    policy.restart_cap = 100ms;
    policy.model_poll = 20ms;
    policy.report_interval = 50ms;
    policy.memory_interval = 50ms;
    return policy;
}

inline WorkerOptions quick_options(const TempFolder& folder) {
    WorkerOptions options;
    options.data_dir = folder / "worker";
    options.gantry_binary = GANTRY_FAKE_ENGINE;
    options.id = WorkerId("wrk_test");
    options.policy = quick_policy();
    return options;
}

// An instance on the embedded engine's place, which the fake engine takes; `extra` are its knobs.
inline protocol::InstanceSpec engine_spec(const TempFolder& folder, std::vector<std::string> extra = {},
                                          const std::string& id = "ins_one") {
    const std::string model = folder / "model.gguf";
    if (!std::filesystem::exists(model)) {
        write_text(model, tiny_gguf());
    }
    protocol::InstanceSpec spec;
    spec.id = InstanceId(id);
    spec.deployment_id = DeploymentId("dep_one");
    spec.deployment_name = "tiny";
    spec.source = "file:" + model;
    spec.backend = BackendKind::kEngine;
    extra.insert(extra.end(), {"--pids", folder / (id + ".pids")});
    for (const std::string& word : extra) spec.options.env["FAKE_ENGINE_KNOBS"] += word + "\n";
    return spec;
}

inline protocol::InstanceSpec custom_spec(const TempFolder& folder, std::vector<std::string> extra = {},
                                          const std::string& id = "ins_one") {
    protocol::InstanceSpec spec = engine_spec(folder, {}, id);
    spec.backend = BackendKind::kCustom;
    spec.source = "anything at all";
    spec.options.env.clear();
    spec.options.command = {GANTRY_FAKE_ENGINE, "--port", "{{port}}", "--pids", folder / (id + ".pids")};
    spec.options.command.insert(spec.options.command.end(), extra.begin(), extra.end());
    return spec;
}

}  // namespace gantry::worker
