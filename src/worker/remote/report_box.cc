#include "worker/remote/report_box.h"

namespace gantry::worker {

ReportBox::ReportBox(std::string incarnation, std::string machine_id, std::function<void()> reported)
    : incarnation_(std::move(incarnation)), machine_id_(std::move(machine_id)), reported_(std::move(reported)) {}

protocol::Assignment ReportBox::exchange(const protocol::WorkerReport& report) {
    protocol::Assignment out;
    {
        const std::lock_guard lock(mutex_);
        report_ = report;
        report_->applied = given_;
        if (assignment_) {
            out = *assignment_;
            given_ = out.revision;
        } else {
            out.unknown = true;
        }
    }
    reported_();
    return out;
}

std::optional<protocol::ExchangeRequest> ReportBox::next() {
    const std::lock_guard lock(mutex_);
    if (!report_) {
        return std::nullopt;
    }
    protocol::ExchangeRequest request;
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
