#include "worker/supervisor.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "backends/backends.h"
#include "backends/progress.h"
#include "base/log.h"
#include "base/platform/file_lock.h"
#include "base/platform/memory.h"
#include "worker/peer_trouble.h"

namespace gantry::worker {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kSettle{5};               // before a try at once: the report of the failure goes first
constexpr milliseconds kClearingInterval{20};
constexpr milliseconds kClearingMax{10'000};
constexpr milliseconds kLogCheckInterval{10'000};
constexpr size_t kLastWordsMax = 200;
constexpr size_t kLogTail = 16384;      // of a failed engine's log: what runtimes say at their end stands there
constexpr size_t kProgressTail = 32 * 1024;   // of the log: engines that tell their progress there do it in its last lines
constexpr char kUnixPrefix[] = "unix:";

// Nothing holds the lock: no process of the instance is left.
bool lock_is_free(const InstanceFolder& folder) {
    const Result<platform::FileLock> lock = platform::FileLock::try_lock(folder.lock_path());
    return lock.ok() || lock.error().code != ErrorCode::kConflict;
}

std::string seconds_text(milliseconds time) { return fmt::format("{:g} s", static_cast<double>(time.count()) / 1000.0); }

}  // namespace

Supervisor::Supervisor(const SupervisorContext& context, InstanceId id, InstanceFolder folder)
    : context_(context),
      policy_(context.launch.policy),
      id_(std::move(id)),
      folder_(std::move(folder)),
      restarts_policy_(policy_),
      state_since_(context.clock.wall()) {}

void Supervisor::adopt(Adoption adoption) {
    GANTRY_ASSERT(adoption.record && adoption.watch.valid(), "only a live engine with a record is adopted");
    log::info("instance {} ({}): adopting its engine, process {}", id_.text, adoption.record->deployment_name,
              adoption.record->process.pid);
    restarts_ = adoption.record->restarts;
    begin_run(std::move(*adoption.record), std::move(adoption.watch), true);
}

void Supervisor::want(const protocol::InstanceSpec& spec) {
    if (stopping_) {
        return;  // what is wanted again comes again, once this one is gone
    }
    const std::string hash = spec_hash(spec);
    if (spec_ && hash == wanted_hash_) {
        take_news(spec);
        return;
    }
    const bool first = !spec_;
    spec_ = spec;
    wanted_hash_ = hash;
    if (first && spec.attempt != 0 && !has_process()) {
        const Result<InstanceRecord> former = folder_.read_record();
        last_attempt_ = former.ok() ? former->attempt : 0;
    }
    if (phase_ == Phase::kEnding) {
        return;  // the next start takes the new spec
    }
    if (has_process()) {
        if (record_.spec_hash != hash) {
            end_process("its settings changed", false, policy_.stop_grace);
        } else {
            take_news(spec);
        }
        return;
    }
    if (!first) {
        restarts_policy_.reset();
    }
    begin_check();
}

// What the server says of the other parts, of an instance that several workers run.
void Supervisor::take_news(const protocol::InstanceSpec& spec) {
    if (spec.attempt == 0) {
        return;
    }
    spec_ = spec;
    if (phase_ == Phase::kHeld) {
        start();
    } else if (has_process() && phase_ != Phase::kEnding && record_.attempt < spec.attempt) {
        end_process("another part of it has ended: all start again", false, policy_.stop_grace);
    }
}

// Why it may not start now, of a part; empty: it may.
std::string Supervisor::held_by() const {
    if (spec_->attempt == 0) {
        return {};
    }
    return spec_->attempt <= last_attempt_ ? "waits until its other parts have ended" : spec_->waits_for;
}

void Supervisor::start() {
    std::string held = held_by();
    if (held.empty()) {
        clearing_since_ = context_.clock.steady();
        launch();
        return;
    }
    if (!last_failure_.empty()) {
        held += "; before: " + last_failure_;
    }
    const bool newly = phase_ != Phase::kHeld;
    enter(Phase::kHeld, InstanceState::kScheduled, std::move(held));
    if (newly) {
        context_.host.changed();   // that it is prepared
    }
}

void Supervisor::stop(bool keep_folder, SteadyTime kill_at) {
    if (gone()) {
        return;
    }
    if (!stopping_) {
        stopping_ = true;
        keep_folder_ = keep_folder;
        if (!has_process()) {
            clearing_since_ = context_.clock.steady();
            finish_stop();
            return;
        }
        if (phase_ != Phase::kEnding) {
            end_process({}, false, policy_.stop_grace);
        }
        enter(Phase::kEnding, InstanceState::kStopping, {});
    }
    kill_at_ = std::min(kill_at_, kill_at);
}

SteadyTime Supervisor::next_wake() const {
    const SteadyTime probe = probing_ ? SteadyTime::max() : next_probe_;
    switch (phase_) {
        case Phase::kWaiting:
        case Phase::kRefused:
        case Phase::kClearing: return wake_;
        case Phase::kStarting: return std::min(probe, started_at_ + policy_.start_deadline);
        case Phase::kRunning: return std::min(probe, next_log_check_);
        case Phase::kEnding: return killed_ ? SteadyTime::max() : kill_at_;
        case Phase::kIdle:
        case Phase::kFetching:
        case Phase::kChecking:
        case Phase::kHeld:
        case Phase::kGone: return SteadyTime::max();
    }
    return SteadyTime::max();
}

void Supervisor::on_time() {
    const SteadyTime now = context_.clock.steady();
    if (now < next_wake()) {
        return;
    }
    switch (phase_) {
        case Phase::kWaiting:
            if (spec_) {
                begin_check();
            } else {
                phase_ = Phase::kIdle;  // adopted, ended, and not yet assigned: want() starts it
            }
            return;
        case Phase::kRefused:
            if (platform::file_identity(model_path_) != file_identity_) {
                begin_check();
            } else {
                wake_ = now + policy_.model_poll;
            }
            return;
        case Phase::kClearing: return stopping_ ? finish_stop() : held_by().empty() ? launch() : start();
        case Phase::kStarting:
            if (now >= started_at_ + policy_.start_deadline) {
                end_process("did not become ready within " + seconds_text(policy_.start_deadline) +
                                (last_answer_.empty() ? "" : ": " + last_answer_),
                            true, milliseconds(0));
                return;
            }
            break;
        case Phase::kRunning: check_log_size(now); break;
        case Phase::kEnding:
            killed_ = true;
            context_.launch.processes.signal_group(record_.process.pid, platform::ProcessSignal::kKill);
            return;
        default: return;
    }
    if (!probing_ && now >= next_probe_) {
        probing_ = true;
        next_probe_ = now + policy_.liveness_interval;
        context_.host.probe(id_, record_.endpoint, record_.health == backends::HealthCheck::kAnswers ? record_.health_path : std::string(), run_);
    }
}

void Supervisor::enter(Phase phase, InstanceState state, std::string reason) {
    phase_ = phase;
    if (state == state_ && reason == reason_) {
        return;
    }
    if (state != state_) {
        state_since_ = context_.clock.wall();
    }
    state_ = state;
    reason_ = std::move(reason);
    context_.host.changed();
}

void Supervisor::begin_check() {
    ++run_;
    const auto spanning = backends::backend(spec_->backend).spanning();
    if (spec_->part > 0 && spanning && spanning->leader_has_files) {
        start();
        return;
    }
    const Result<Source> source = parse_source(spec_->source);
    if (source.ok() && source->from_hub()) {
        model_path_.clear();
        phase_ = Phase::kFetching;
        context_.host.fetch(id_, *source, run_);
        return;
    }
    phase_ = Phase::kChecking;
    model_path_ = source.ok() ? source->path : std::string();
    context_.host.check(id_, *spec_, model_path_, run_);
}

void Supervisor::on_fetching(uint64_t run, const sources::Progress& progress) {
    if (run != run_ || phase_ != Phase::kFetching) {
        return;
    }
    switch (progress.state) {
        case sources::Progress::State::kReady:
            phase_ = Phase::kChecking;
            model_path_ = progress.path;
            context_.host.check(id_, *spec_, model_path_, run_);
            return;
        case sources::Progress::State::kFailed: return fetch_failed(progress.error.value_or(internal_error("the download failed")));
        case sources::Progress::State::kWaiting:
        case sources::Progress::State::kPaused:
        case sources::Progress::State::kDownloading: break;
    }
    progress_ = progress.fraction();
    if (state_ != InstanceState::kDownloading) {
        enter(Phase::kFetching, InstanceState::kDownloading, sources::describe(progress));
        return;
    }
    reason_ = sources::describe(progress);
    context_.host.progressed();
}

// A hub that is down or busy is waited for; what it will say again tomorrow is an error.
void Supervisor::fetch_failed(const Error& error) {
    progress_ = 0;
    const bool passes = error.code == ErrorCode::kUnavailable || error.code == ErrorCode::kRateLimited || error.code == ErrorCode::kDeadlineExceeded;
    if (!passes || error.reason == "offline") {
        fail(error.message, false);
        return;
    }
    const milliseconds delay = restarts_policy_.on_failure(context_.clock.steady(), context_.launch.random.uniform());
    wake_ = context_.clock.steady() + std::max(delay, policy_.restart_base);
    enter(Phase::kWaiting, InstanceState::kDownloading, fmt::format("{}; it is tried again", error.message));
}

void Supervisor::on_checked(uint64_t run, const Status& outcome, const std::string& identity) {
    if (run != run_ || phase_ != Phase::kChecking) {
        return;
    }
    if (outcome.ok()) {
        start();
        return;
    }
    const ErrorCode code = outcome.error().code;
    if (code != ErrorCode::kInvalidArgument && code != ErrorCode::kNotFound && code != ErrorCode::kPermissionDenied) {
        fail(outcome.error().message, false);  // our own trouble, e.g. no more handles
        return;
    }
    file_identity_ = identity;
    wake_ = context_.clock.steady() + policy_.model_poll;
    log::warn("instance {} ({}): {}", id_.text, spec_->deployment_name, outcome.error().message);
    enter(Phase::kRefused, InstanceState::kError, outcome.error().message);
}

void Supervisor::launch() {
    const SteadyTime now = context_.clock.steady();
    const uint32_t restarts = restarts_ + (started_before_ ? 1 : 0);
    Result<Launched> launched = launch_engine(context_.launch, *spec_, model_path_, folder_, restarts);
    if (launched.ok()) {
        restarts_ = restarts;
        log::info("instance {} ({}): engine started, process {}", id_.text, spec_->deployment_name,
                  launched->record.process.pid);
        begin_run(std::move(launched->record), std::move(launched->watch), false);
        return;
    }
    if (launched.error().code == ErrorCode::kConflict && now < clearing_since_ + kClearingMax) {
        phase_ = Phase::kClearing;
        wait_for_clearing(now);
        return;
    }
    fail(launched.error().code == ErrorCode::kConflict ? "processes of its former run cannot be ended"
                                                       : launched.error().message,
         false);
}

void Supervisor::wait_for_clearing(SteadyTime now) {
    context_.launch.processes.kill_holders(folder_.lock_path());
    wake_ = now + kClearingInterval;
}

void Supervisor::begin_run(InstanceRecord record, platform::UniqueFd watch, bool adopted) {
    const SteadyTime now = context_.clock.steady();
    ++run_;
    record_ = std::move(record);
    blanker_ = LogBlanker({record_.api_key});
    adopted_ = adopted;
    started_before_ = true;
    last_attempt_ = record_.attempt;
    started_at_ = now;
    kill_at_ = SteadyTime::max();
    killed_ = ended_by_us_ = end_is_failure_ = false;
    end_reason_.clear();
    last_answer_.clear();
    probing_ = false;
    probes_answered_ = 0;
    misses_ = 0;
    progress_ = 0;
    memory_peak_bytes_ = 0;
    next_probe_ = adopted ? now : now + policy_.start_probe_interval;
    enter(Phase::kStarting, InstanceState::kStarting,
          last_failure_.empty() ? (adopted ? "found again after a restart of the worker" : "") : "after: " + last_failure_);
    if (!context_.host.watch(id_, std::move(watch), run_)) {
        if (adopted) {
            context_.launch.processes.signal_group(record_.process.pid, platform::ProcessSignal::kKill);
        } else {
            context_.launch.processes.end_child_now(record_.process.pid);
        }
        fail("its process cannot be watched: this machine is out of handles or memory", false);
        return;
    }
    const bool found_listening = record_.ready && record_.health == backends::HealthCheck::kListens;
    if (record_.health == backends::HealthCheck::kLives || found_listening) {
        became_ready();
    }
}

void Supervisor::end_process(std::string why, bool failure, milliseconds grace) {
    phase_ = Phase::kEnding;
    ended_by_us_ = true;
    end_reason_ = std::move(why);
    end_is_failure_ = failure;
    killed_ = grace.count() == 0;
    kill_at_ = context_.clock.steady() + grace;
    context_.launch.processes.signal_group(record_.process.pid,
                                            killed_ ? platform::ProcessSignal::kKill : platform::ProcessSignal::kTerminate);
    if (!stopping_ && !end_reason_.empty()) {
        enter(Phase::kEnding, failure ? InstanceState::kError : InstanceState::kStopping, end_reason_);
    }
}

void Supervisor::on_ended(uint64_t run) {
    if (run != run_ || !has_process()) {
        return;
    }
    // What the engine started must not outlive it. While the ended leader holds its pid, its group's number is its own; an
    // adopted one may have been waited for already, and then the lock tells whom to end, before the next spawn.
    if (context_.launch.processes.holds_pid(record_.process)) {
        context_.launch.processes.signal_group(record_.process.pid, platform::ProcessSignal::kKill);
    }
    const std::string why = why_ended();
    memory_bytes_ = memory_private_bytes_ = 0;   // the peak stays to be told
    progress_ = 0;
    if (stopping_) {
        clearing_since_ = context_.clock.steady();
        finish_stop();
        return;
    }
    log::warn("instance {} ({}): {}", id_.text, record_.deployment_name, why);
    if (ended_by_us_ && !end_is_failure_) {
        restarts_policy_.reset();
        last_failure_.clear();
        begin_check();
        return;
    }
    fail(why, true);
}

void Supervisor::fail(const std::string& why, bool crashed) {
    const SteadyTime now = context_.clock.steady();
    const milliseconds delay = restarts_policy_.on_failure(now, context_.launch.random.uniform());
    last_failure_ = why;
    wake_ = now + std::max(delay, kSettle);
    const std::string& name = spec_ ? spec_->deployment_name : record_.deployment_name;
    enter(Phase::kWaiting, InstanceState::kError, restarts_policy_.describe(why, delay, name, crashed));
}

void Supervisor::finish_stop() {
    const SteadyTime now = context_.clock.steady();
    if (!lock_is_free(folder_) && now < clearing_since_ + kClearingMax) {
        enter(Phase::kClearing, InstanceState::kStopping, {});
        wait_for_clearing(now);
        return;
    }
    if (record_.endpoint.starts_with(kUnixPrefix)) {
        ::unlink(record_.endpoint.c_str() + sizeof kUnixPrefix - 1);
    }
    if (!keep_folder_) {
        if (const Status removed = folder_.remove(); !removed.ok()) {
            log::warn("instance {}: {}", id_.text, removed.error().message);
        }
    }
    log::info("instance {}: stopped", id_.text);
    phase_ = Phase::kGone;
    context_.host.changed();
}

void Supervisor::on_probed(uint64_t run, const HealthAnswer& answer) {
    if (run != run_ || (phase_ != Phase::kStarting && phase_ != Phase::kRunning)) {
        return;
    }
    probing_ = false;
    ++probes_answered_;
    if (answer.kind == HealthAnswer::Kind::kUnknown) {
        next_probe_ = context_.clock.steady() + policy_.liveness_interval;
        return;
    }
    last_answer_ = answer.text;
    if (answer.kind == HealthAnswer::Kind::kReady) {
        misses_ = 0;
    }
    if (phase_ == Phase::kStarting) {
        answered_starting(answer);
    } else if (answer.kind != HealthAnswer::Kind::kReady) {
        missed(answer);
    }
}

void Supervisor::answered_starting(const HealthAnswer& answer) {
    const SteadyTime now = context_.clock.steady();
    blanker_.look(folder_.log_path());
    if (answer.kind == HealthAnswer::Kind::kReady) {
        became_ready();
        return;
    }
    const double told = answer.kind == HealthAnswer::Kind::kLoading ? answer.progress : 0;
    const double logged = spec_ ? backends::progress_of(spec_->backend, platform::read_tail(folder_.log_path(), kProgressTail)) : 0;
    if (const double progress = std::max(told, logged); progress > progress_) {
        progress_ = progress;
        context_.host.progressed();
    }
    next_probe_ = now + start_probe_delay();
    if (record_.ready) {
        missed(answer);  // adopted: it had answered before, so this is no start
    }
}

void Supervisor::became_ready() {
    const SteadyTime now = context_.clock.steady();
    log::info("instance {} ({}): ready after {} ms", id_.text, record_.deployment_name,
              std::chrono::duration_cast<milliseconds>(now - started_at_).count());
    progress_ = 1;
    const bool asked = record_.health == backends::HealthCheck::kAnswers;   // else it lives, or has ended
    next_probe_ = asked ? now + policy_.liveness_interval : SteadyTime::max();
    next_log_check_ = now + kLogCheckInterval;
    restarts_policy_.on_ready(now);
    enter(Phase::kRunning, InstanceState::kRunning, {});
    if (!record_.ready) {
        record_.ready = true;
        if (const Status written = folder_.write_record(record_); !written.ok()) {
            log::warn("instance {}: {}", id_.text, written.error().message);
        }
    }
}

void Supervisor::missed(const HealthAnswer& answer) {
    if (++misses_ >= policy_.liveness_misses) {
        end_process("stopped answering: " + answer.text, true, milliseconds(0));
    }
}

milliseconds Supervisor::start_probe_delay() const {
    // Often while most engines become ready, so that little of a quick start is lost; then seldom.
    const auto age = context_.clock.steady() - started_at_;
    if (record_.ready) {
        return policy_.liveness_interval;
    }
    return age < policy_.start_probe_interval * 100 ? policy_.start_probe_interval : policy_.start_probe_interval * 10;
}

void Supervisor::set_memory(const platform::GroupMemory& memory) {
    memory_bytes_ = memory.resident_bytes;
    memory_private_bytes_ = memory.private_bytes;
    memory_peak_bytes_ = std::max(memory_peak_bytes_, memory.peak_bytes);
}

void Supervisor::check_log_size(SteadyTime now) {
    if (now < next_log_check_) {
        return;
    }
    next_log_check_ = now + kLogCheckInterval;
    struct stat info {};
    if (::stat(folder_.log_path().c_str(), &info) == 0 && static_cast<uint64_t>(info.st_size) > policy_.log_bytes_max) {
        context_.host.rotate_log(folder_);
    }
}

std::string Supervisor::why_ended() {
    if (!record_.ready) blanker_.look(folder_.log_path());
    const std::optional<platform::ProcessExit> exit = context_.launch.processes.reap(record_.process.pid);
    if (ended_by_us_) {
        return end_reason_.empty() ? "stopped" : end_reason_;
    }
    const std::string said = record_.writes_exit_file ? folder_.read_exit_reason() : std::string();
    if (!exit) {
        return said.empty() ? "ended while adopted; exit status unknown" : "ended: " + said;
    }
    constexpr int kKillSignal = 9;
    if (exit->signal == kKillSignal &&
        context_.out_of_memory.rose(context_.clock.steady(), context_.launch.processes.out_of_memory_kills())) {
        return "out of memory (host): the system ended the engine; use a smaller context, fewer sequences, or a smaller model";
    }
    // Of one that never served: the log of one that did may hold such words of somebody else's.
    if (!record_.ready && says_out_of_memory(platform::read_tail(folder_.log_path(), kLogTail))) {
        return fmt::format("out of memory (device): the engine found too little and {}; use a smaller context, fewer sequences, a "
                           "smaller type of the KV cache, more devices, or a smaller model",
                           exit->text());
    }
    if (const std::string trouble = record_.attempt != 0 ? peer_trouble(platform::read_tail(folder_.log_path(), kLogTail)) : ""; !trouble.empty()) {
        return trouble;
    }
    const std::string words = said.empty() && !record_.ready ? last_words() : said;
    return exit->text() + (words.empty() ? "" : ": " + words);
}

std::string Supervisor::last_words() const {
    // Only of engines that never served: the log of one that did may hold what people wrote to it.
    std::string text = platform::read_tail(folder_.log_path(), 4096);
    const size_t end = text.find_last_not_of(" \t\r\n");
    if (end == std::string::npos) {
        return {};
    }
    text.resize(end + 1);
    const size_t line = text.rfind('\n');
    text = line == std::string::npos ? text : text.substr(line + 1);
    const auto hide = [&text](const std::string& secret) {
        for (size_t at = 0; secret.size() >= 6 && (at = text.find(secret, at)) != std::string::npos;) {
            text.replace(at, secret.size(), "***");
        }
    };
    hide(record_.api_key);
    if (spec_) {
        for (const auto& [name, value] : spec_->options.env) {
            hide(value);
        }
    }
    return log::escape(text, kLastWordsMax);
}

protocol::InstanceReport Supervisor::report() const {
    protocol::InstanceReport report;
    report.id = id_;
    report.state = state_;
    report.reason = reason_;
    report.state_since = state_since_;
    report.progress = progress_;
    report.restarts = restarts_;
    if (has_process()) {
        report.endpoint = record_.endpoint;
        report.api_key = record_.api_key;
        report.pid = record_.process.pid;
        report.memory_bytes = memory_bytes_;
        report.memory_private_bytes = memory_private_bytes_;
    }
    report.memory_peak_bytes = memory_peak_bytes_;
    if (spec_ ? spec_->attempt != 0 : record_.attempt != 0) {
        const bool serves = phase_ == Phase::kRunning || (phase_ == Phase::kStarting && spec_ && spec_->part == 0);
        report.attempt = has_process() ? record_.attempt : last_attempt_ + 1;
        report.prepared = phase_ == Phase::kHeld || phase_ == Phase::kStarting || phase_ == Phase::kRunning;
        report.peer_port = serves ? record_.peer_port : 0;
    }
    return report;
}

}  // namespace gantry::worker
