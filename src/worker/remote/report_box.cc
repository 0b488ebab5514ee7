#include "worker/remote/report_box.h"

#include <algorithm>

#include "protocol/worker/versions.h"

namespace gantry::worker {
namespace {

// Between two looks at one engine, other than what it takes.
bool same_state(const protocol::InstanceReport& a, const protocol::InstanceReport& b) {
    return a.id == b.id && a.state == b.state && a.reason == b.reason && a.progress == b.progress && a.endpoint == b.endpoint &&
           a.api_key == b.api_key && a.pid == b.pid && a.restarts == b.restarts;
}

bool only_figures_differ(const protocol::WorkerReport& a, const protocol::WorkerReport& b) {
    return a.applied == b.applied && a.devices.size() == b.devices.size() && a.device_notes == b.device_notes && a.programs == b.programs &&
           std::equal(a.instances.begin(), a.instances.end(), b.instances.begin(), b.instances.end(), same_state);
}

}  // namespace

ReportBox::ReportBox(std::string incarnation, std::string machine_id, std::function<void()> reported)
    : incarnation_(std::move(incarnation)), machine_id_(std::move(machine_id)), reported_(std::move(reported)) {}

protocol::Assignment ReportBox::exchange(const protocol::WorkerReport& report) {
    protocol::Assignment out;
    bool news = false;
    {
        const std::lock_guard lock(mutex_);
        protocol::WorkerReport now = report;
        now.applied = given_;
        news = !report_ || !only_figures_differ(*report_, now);
        report_ = std::move(now);
        if (assignment_) {
            out = *assignment_;
            given_ = out.revision;
        } else {
            out.unknown = true;
        }
    }
    if (news) {
        reported_();
    }
    return out;
}

std::optional<protocol::ExchangeRequest> ReportBox::next() {
    const std::lock_guard lock(mutex_);
    if (!report_) {
        return std::nullopt;
    }
    protocol::ExchangeRequest request;
    request.link_version = protocol::kLinkVersion;
    request.incarnation = incarnation_;
    request.machine_id = machine_id_;
    request.epoch = epoch_;
    request.held = assignment_ ? assignment_->revision : "";
    request.hash = sent_hash_ = protocol::hash_of(*report_);
    request.same = request.hash == known_hash_;
    request.applied = report_->applied;
    if (!request.same) {
        request.report = *report_;
    }
    return request;
}

bool ReportBox::take(protocol::ExchangeAnswer answer) {
    const std::lock_guard lock(mutex_);
    epoch_ = answer.epoch;
    const auto told = std::chrono::milliseconds(answer.report_every_ms);
    report_every_ = told.count() <= 0 ? kReportEvery : std::clamp(told, kReportEvery, kReportEveryMax);
    if (answer.resend) {
        known_hash_.clear();
        return false;
    }
    known_hash_ = sent_hash_;
    if (answer.unchanged) {
        return false;
    }
    const bool other = !assignment_ || assignment_->revision != answer.assignment.revision;
    assignment_ = std::move(answer.assignment);
    return other;
}

void ReportBox::forget_sent() {
    const std::lock_guard lock(mutex_);
    known_hash_.clear();
}

std::chrono::milliseconds ReportBox::report_every() const {
    const std::lock_guard lock(mutex_);
    return report_every_;
}

Endpoint ReportBox::endpoint_of(const std::string& instance) const {
    const std::lock_guard lock(mutex_);
    if (report_) {
        for (const protocol::InstanceReport& one : report_->instances) {
            if (one.id.text == instance) {
                return one.endpoint;
            }
        }
    }
    return {};
}

}  // namespace gantry::worker
