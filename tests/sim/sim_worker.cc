#include "sim/sim_worker.h"

#include <filesystem>

#include "base/platform/files.h"

namespace gantry::sim {
namespace {

constexpr milliseconds kReportEvery{1'000};
constexpr milliseconds kAnswerTimeout{10'000};
constexpr milliseconds kBackoffFirst{200}, kBackoffMax{5'000};

// The product's, but for probes and starts, of which a simulation sees many thousand.
worker::SupervisionPolicy policy() {
    worker::SupervisionPolicy policy;
    policy.start_deadline = 90s;
    policy.start_probe_interval = 200ms;
    return policy;
}

}  // namespace

// One process of `gantry worker`, from its start to its end.
class SimWorker::Process final : public worker::WorkerHost {
public:
    Process(SimWorker& of, uint64_t run)
        : of_(of),
          world_(of.world_),
          run_(run),
          incarnation_(world_.ids().token(16)),
          data_dir_(fmt::format("{}/{}", of.folder_, of.identity_)),
          box_(incarnation_, of.name(), [this] { reported(); }) {
        options_.data_dir = data_dir_;
        options_.gantry_binary = "/usr/bin/gantry";
        options_.id = of.id_;
        options_.name = of.name();
        options_.address = "";
        options_.policy = policy();
        core_ = std::make_unique<worker::WorkerCore>(
            worker::WorkerCore::Parts{options_, "/run/gantry", *this, of.machine_, link_, of.clock_, world_.ids()});
    }

    void begin() {
        if (of_.bug_ == Bug::kWorkerForgetsEngines) std::filesystem::remove_all(data_dir_ + "/instances");
        (void)platform::make_folders(data_dir_ + "/instances", 0700);
        core_->adopt_all();
        later(world_.between(5ms, 200ms), [this] { step([this] { core_->exchange(); }); });
        send_soon(5ms);
        open_stream();
    }

    uint64_t run() const { return run_; }
    const std::string& incarnation() const { return incarnation_; }
    std::optional<uint64_t> stream_of() const { return stream_; }

    void on_end(int64_t pid) {
        later(1ms, [this, pid] {
            const auto found = watches_.find(pid);
            if (found == watches_.end()) return;
            const auto [id, run] = found->second;
            watches_.erase(found);
            step([&, id = id, run = run] { core_->on_ended(id, run); });
        });
    }
    void poked() { reported(); }

    // WorkerHost
    bool watch(const InstanceId& id, platform::UniqueFd handle, uint64_t run) override {
        watches_[of_.machine_.watched(handle.get())] = {id, run};
        return true;
    }
    void unwatch(const InstanceId& id) override {
        std::erase_if(watches_, [&id](const auto& entry) { return entry.second.first == id; });
    }
    void probe(const InstanceId& id, const std::string& endpoint, const std::string&, uint64_t run) override {
        const worker::HealthAnswer answer = of_.machine_.answer_of(id, endpoint);
        const bool silent = answer.kind == worker::HealthAnswer::Kind::kSilent;
        later(silent ? options_.policy.liveness_timeout : world_.between(1ms, 4ms), [this, id, answer, run] {
            step([&] { core_->on_probed(id, run, answer); });
        });
    }
    void fetch(const InstanceId&, const Source&, uint64_t) override {}   // no model is at a hub
    void check(const InstanceId& id, const protocol::InstanceSpec& spec, const std::string&, uint64_t run) override {
        of_.machine_.expect(spec);
        const Status outcome = is_refused(spec.source) ? Status(invalid_argument("invalid model file: bad magic")) : Status(Ok{});
        later(world_.between(1ms, 100ms), [this, id, outcome, run] {
            step([&] { core_->on_checked(id, run, outcome, "as it was"); });
        });
    }
    void rotate_log(const worker::InstanceFolder&) override {}
    void exchange_soon() override {
        if (std::exchange(exchange_posted_, true)) return;
        later(0ms, [this] {
            exchange_posted_ = false;
            step([this] { core_->exchange(); });
        });
    }
    devices::ProbeOutcome devices() override { return {of_.machine_.devices(), {}}; }
    void look_at_devices() override {}
    std::vector<BackendProgram> programs() override { return {}; }

private:
    // What the worker's thread asks; a bug may stand between.
    struct Link final : protocol::ServerLink {
        explicit Link(Process& whose) : of(whose) {}
        protocol::Assignment exchange(const protocol::WorkerReport& report) override {
            protocol::Assignment given = of.box_.exchange(report);
            if (of.of_.bug_ != Bug::kWorkerIgnoresFencing || given.unknown) return given;
            for (const protocol::InstanceSpec& spec : given.run) ever.insert_or_assign(spec.id, spec);
            given.run.clear();
            for (const auto& [id, spec] : ever) given.run.push_back(spec);
            return given;
        }
        Process& of;
        std::map<InstanceId, protocol::InstanceSpec> ever;
    };

    // Later, if this process still lives then.
    void later(milliseconds delay, std::function<void()> act) {
        world_.after(delay, [&of = of_, run = run_, act = std::move(act)] {
            if (of.process_ != nullptr && of.process_->run_ == run) act();
        });
    }
    template <class Act>
    void step(const Act& act) {
        act();
        if (core_->ended()) {
            SimWorker& of = of_;
            of.process_.reset();   // this object is gone
            of.machine_.worker_died();
            return;
        }
        const SteadyTime wake = core_->next_wake();
        if (wake >= wake_at_) return;
        wake_at_ = wake;
        arm();
    }
    void arm() {
        if (wake_at_ == SteadyTime::max()) return;
        const auto delay = std::chrono::ceil<milliseconds>(std::max(wake_at_ - world_.steady(), SteadyTime::duration(0)));
        later(delay, [this, at = wake_at_] {
            if (at != wake_at_) return;
            wake_at_ = SteadyTime::max();
            step([this] { core_->on_time(); });
        });
    }

    // The loop of the link (remote_link.cc: report_loop), with the wire in place of HTTP.
    void reported() {
        pending_ = true;
        if (!sending_) send_soon(0ms);
    }
    void send_soon(milliseconds delay) {
        const uint64_t turn = ++turn_;
        later(delay, [this, turn] {
            if (turn == turn_ && !sending_) send();
        });
    }
    void send() {
        pending_ = false;
        const auto request = box_.next();
        if (!request) return send_soon(kReportEvery);
        sending_ = true;
        const uint64_t attempt = ++attempts_;
        const milliseconds way = world_.between(1ms, of_.wire_.latency);
        if (!of_.server_.up()) {
            later(way, [this, attempt] { failed(attempt); });
            return;
        }
        later(kAnswerTimeout, [this, attempt] { failed(attempt); });
        const bool late = world_.chance(of_.wire_.late);
        if (!late && (of_.wire_.cut || world_.chance(of_.wire_.loss))) return;
        // A message that is under way arrives whatever becomes of the process that sent it.
        world_.after(late ? world_.between(8s, 40s) : way,
                     [&of = of_, run = run_, attempt, to = of_.server_.run(), id = of_.id_, body = protocol::encode(*request)] {
                         arrive(of, run, attempt, to, id, body);
                     });
    }
    static void arrive(SimWorker& of, uint64_t run, uint64_t attempt, uint64_t to, const WorkerId& id, const std::string& body) {
        if (!of.server_.up() || of.server_.run() != to) return;   // the connection broke with its process
        const Result<std::string> answer = of.server_.exchange(id, body);
        if (of.wire_.cut || of.wire_.deaf || of.world_.chance(of.wire_.loss)) return;
        of.world_.after(of.world_.between(1ms, of.wire_.latency), [&of, run, attempt, answer] {
            if (of.process_ != nullptr && of.process_->run_ == run) of.process_->answered(attempt, answer);
        });
    }
    void answered(uint64_t attempt, const Result<std::string>& body) {
        if (attempt != attempts_ || !sending_) return;   // it had given up
        if (!body) {
            if (body.error().reason == "worker_removed") return removed();
            return failed(attempt);
        }
        auto answer = protocol::decode_exchange_answer(*body);
        if (!answer) return failed(attempt);
        sending_ = false;
        failures_ = 0;
        if (!stream_) open_stream();
        const bool other = box_.take(*std::move(answer));
        send_soon(pending_ ? 0ms : kReportEvery);
        if (other) step([this] { core_->exchange(); });
    }
    void failed(uint64_t attempt) {
        if (attempt != attempts_ || !sending_) return;
        sending_ = false;
        box_.forget_sent();
        const auto whole = std::min(kBackoffMax, kBackoffFirst * (1u << std::min(failures_++, 6u)));
        send_soon(world_.between(whole / 2, whole));
    }
    // As cli/worker.cc: the process ends, and its engines before it.
    void removed() {
        of_.removed_ = true;
        world_.note("{} hears that it was removed", of_.name());
        step([this] { core_->end_engines(world_.steady() + 9s, SteadyTime::max()); });
    }

    void open_stream() {
        later(world_.between(1ms, 50ms), [this] {
            if (stream_ || !of_.server_.up() || of_.wire_.cut) return;
            if (of_.server_.stream_opened(of_.id_, incarnation_)) stream_ = of_.server_.run();
        });
        // The stream breaks with the server's process, and when pings stay away; then it is opened anew.
        if (std::exchange(looks_after_stream_, true)) return;
        look_after_stream();
    }
    void look_after_stream() {
        later(5s, [this] {
            const bool broken = stream_ && (!of_.server_.up() || of_.server_.run() != *stream_ || of_.wire_.cut);
            if (broken) {
                of_.server_.stream_closed(of_.id_, incarnation_, *stream_);
                stream_.reset();
            }
            if (!stream_) open_stream();
            look_after_stream();
        });
    }

    SimWorker& of_;
    World& world_;
    const uint64_t run_;
    const std::string incarnation_;
    const std::string data_dir_;
    worker::WorkerOptions options_;
    worker::ReportBox box_;
    Link link_{*this};
    std::map<int64_t, std::pair<InstanceId, uint64_t>> watches_;   // by pid
    SteadyTime wake_at_ = SteadyTime::max();
    bool exchange_posted_ = false, pending_ = false, sending_ = false, looks_after_stream_ = false;
    uint64_t turn_ = 0, attempts_ = 0;
    unsigned failures_ = 0;
    std::optional<uint64_t> stream_;      // of events, open to that process of the server
    std::unique_ptr<worker::WorkerCore> core_;
};

SimWorker::SimWorker(World& world, ServerEnd& server, const EngineFaults& faults, Bug bug, std::string name, std::string folder,
                     std::vector<Device> devices)
    : world_(world),
      server_(server),
      bug_(bug),
      machine_(world, faults, std::move(name), std::move(devices)),
      clock_(world.clock()),
      folder_(std::move(folder)) {
    machine_.set_on_end([this](int64_t pid) {
        if (process_) process_->on_end(pid);
    });
}
SimWorker::~SimWorker() = default;

void SimWorker::join(const WorkerId& id) {
    id_ = id;
    ++identity_;
    removed_ = false;
}

void SimWorker::start() {
    if (process_ || removed_ || id_.empty()) return;
    process_ = std::make_unique<Process>(*this, ++run_);
    process_->begin();
}

void SimWorker::kill() {
    if (!process_) return;
    removed_ = false;   // it is started again, and hears it again
    // The kernel closes its connections; the server hears of it when that gets through, or when pings fail.
    if (const auto stream = process_->stream_of()) {
        world_.after(wire_.cut ? world_.between(5s, 20s) : world_.between(1ms, 50ms),
                     [this, id = id_, incarnation = process_->incarnation(), run = *stream] { server_.stream_closed(id, incarnation, run); });
    }
    process_.reset();
    machine_.worker_died();
}

void SimWorker::power_off() {
    kill();
    machine_.reboot();
}

void SimWorker::poke() {
    if (!process_ || !process_->stream_of() || wire_.cut || wire_.deaf) return;
    world_.after(world_.between(1ms, wire_.latency), [this, run = process_->run()] {
        if (process_ && process_->run() == run) process_->poked();
    });
}

}  // namespace gantry::sim
