#include "control/cluster/sessions.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "base/platform/process.h"
#include "protocol/worker/versions.h"

namespace gantry::control {

namespace {

Error refused(ErrorCode code, std::string message, std::string reason) { return Error{code, std::move(message), {}, std::move(reason)}; }

// Whether other machines reach a worker at the address that it found by itself. Where it seems to come from elsewhere a NAT is between. One
// that comes by loopback runs beside the server, and offers another address of this machine; or a tunnel ends here, and its address is none
// of this machine.
bool others_reach(const std::string& address, const std::string& peer) {
    if (platform::is_loopback(address)) return false;
    return platform::is_loopback(peer) ? platform::free_port(address).ok() : address == peer;
}

}  // namespace

Endpoint remote_endpoint(const WorkerId& worker, const std::string& instance) { return fmt::format("worker:{}/{}", worker.text, instance); }

std::optional<Membership> Sessions::member(const WorkerId& worker) const {
    const auto rows = publisher_.rows();
    const auto found = std::find_if(rows->memberships.begin(), rows->memberships.end(),
                                    [&worker](const Membership& m) { return m.worker_id == worker; });
    return found == rows->memberships.end() ? std::nullopt : std::optional(*found);
}

std::string Sessions::name_of(const WorkerId& worker) const {
    const auto rows = publisher_.rows();
    for (const Worker& w : rows->workers) {
        if (w.id == worker) return w.name;
    }
    return worker.text;
}

Result<Membership> Sessions::check_member(const Caller& caller) const {
    const auto found = member(caller.worker);
    if (found) return *found;
    return refused(ErrorCode::kPermissionDenied,
                   "this worker was removed from the server; to join again, move its data folder away and give it a new token",
                   "worker_removed");
}

Status Sessions::take_over(const Caller& caller, const std::string& incarnation) {
    {
        const std::lock_guard lock(mutex_);
        Session& session = sessions_[caller.worker];
        const SteadyTime now = clock_.steady();
        const bool speaks = session.streams > 0 && now - session.heard_at <= kUnreachableAfter;
        if (session.incarnation == incarnation || !speaks) {
            if (session.incarnation != incarnation) session = Session{.incarnation = incarnation};
            session.heard_at = now;
            return Ok{};
        }
    }
    const std::string why = "another process speaks for this worker, with a copy of its data folder; each machine needs a folder and a "
                            "token of its own";
    alarms_.raise({"refuse_clone", caller.worker, name_of(caller.worker), caller.peer, why, 409});
    return refused(ErrorCode::kConflict, why, "worker_cloned");
}

Status Sessions::check_version(const Caller& caller, int64_t link_version) {
    const Status fits = protocol::check_link_versions(link_version, protocol::kLinkVersion);
    {
        const std::lock_guard lock(mutex_);
        if (fits) refused_.erase(caller.worker);
        else refused_.insert(caller.worker);
    }
    if (!fits) alarms_.raise({"refuse_version", caller.worker, name_of(caller.worker), caller.peer, fits.error().message, 409});
    return fits;
}

// No honest worker was ever told of another's instances: an instance stays where it was placed.
Status Sessions::check_report(const Caller& caller, const protocol::WorkerReport& report) {
    if (report.worker_id != caller.worker) {
        const std::string why = "it reports as another worker than its certificate's";
        alarms_.raise({"refuse_report", caller.worker, name_of(caller.worker), caller.peer, why, 400});
        return invalid_argument(why, "report.worker_id");
    }
    const auto rows = publisher_.rows();
    for (const protocol::InstanceReport& one : report.instances) {
        const auto row = std::find_if(rows->instances.begin(), rows->instances.end(), [&one](const Instance& i) { return i.id == one.id; });
        if (row == rows->instances.end() || row->is_on(caller.worker)) continue;
        const std::string why = fmt::format("it reports the instance {}, which is another worker's", one.id.text);
        alarms_.raise({"refuse_report", caller.worker, name_of(caller.worker), caller.peer, why, 403});
        return refused(ErrorCode::kPermissionDenied, why, "foreign_instance");
    }
    return Ok{};
}

Status Sessions::note_place(const Caller& caller, const Membership& membership, const std::string& machine_id) {
    if (membership.machine_id == machine_id && membership.address == caller.peer) return Ok{};
    if (membership.machine_id != machine_id) {
        alarms_.raise({"move", caller.worker, name_of(caller.worker), caller.peer, "its data folder is on another machine now", 0});
    }
    Membership moved = membership;
    moved.machine_id = machine_id;
    moved.address = caller.peer;
    GANTRY_TRY(store_.observe_membership(moved));
    return publisher_.refresh();
}

Result<protocol::ExchangeAnswer> Sessions::exchange(const Caller& caller, protocol::ExchangeRequest request) {
    const auto membership = check_member(caller);
    if (!membership) return membership.error();
    GANTRY_TRY(check_version(caller, request.link_version));
    GANTRY_TRY(take_over(caller, request.incarnation));
    protocol::ExchangeAnswer answer{.link_version = protocol::kLinkVersion, .epoch = membership->epoch};
    answer.report_every_ms = std::max<int64_t>(1'000, static_cast<int64_t>(publisher_.rows()->memberships.size()) * 1'000 / kReportsPerSecond);
    if (request.same) {
        const std::lock_guard lock(mutex_);
        const Session& session = sessions_[caller.worker];
        answer.resend = !session.has_report || session.hash != request.hash;
        if (!answer.resend) {
            request.report = session.report;
            request.report.applied = request.applied;
        }
    } else {
        GANTRY_TRY(check_report(caller, request.report));
        const std::lock_guard lock(mutex_);
        Session& session = sessions_[caller.worker];
        session.report = request.report;
        session.hash = request.hash;
        session.has_report = true;
    }
    if (answer.resend) {
        heartbeat_.sign_of_life(caller.worker);
        return answer;
    }
    if (Status noted = note_place(caller, *membership, request.machine_id); !noted) {
        log::warn("cluster: where worker {} is can't be stored: {}", caller.worker.text, noted.error().message);
    }
    if (request.epoch != 0 && request.epoch != membership->epoch) {
        log::info("worker {} is back after its lease had ended; what it still runs of before is stopped", caller.worker.text);
    }
    protocol::WorkerReport report = std::move(request.report);
    report.address = caller.peer;
    if (!report.data_address_given && !others_reach(report.data_address, caller.peer)) report.data_address.clear();
    // "": as from the embedded worker, whose report follows its assignment. This one has to say what it acted on.
    if (report.applied.empty()) report.applied = "none";
    for (protocol::InstanceReport& one : report.instances) {
        if (!one.endpoint.empty()) one.endpoint = remote_endpoint(caller.worker, one.id.text);
    }
    answer.assignment = heartbeat_.exchange(report);
    answer.unchanged = answer.assignment.revision == request.held;
    return answer;
}

bool Sessions::may_link(const WorkerId& worker) {
    if (!is_member(worker)) return false;
    const std::lock_guard lock(mutex_);
    return !refused_.contains(worker);
}

Status Sessions::opened(const Caller& caller, const std::string& incarnation) {
    const auto membership = check_member(caller);
    if (!membership) return membership.error();
    if (!may_link(caller.worker)) {
        return refused(ErrorCode::kConflict, "this worker's version is not one that this server works with", "worker_refused");
    }
    GANTRY_TRY(take_over(caller, incarnation));
    const std::lock_guard lock(mutex_);
    ++sessions_[caller.worker].streams;
    return Ok{};
}

void Sessions::closed(const WorkerId& worker, const std::string& incarnation) {
    const std::lock_guard lock(mutex_);
    Session& session = sessions_[worker];
    if (session.incarnation == incarnation && session.streams > 0) --session.streams;
}

}  // namespace gantry::control
