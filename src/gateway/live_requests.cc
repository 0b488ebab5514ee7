#include "gateway/live_requests.h"

#include <algorithm>

#include "gateway/gateway.h"

namespace gantry::gateway {

LiveRequests::Entry::Entry(LiveRequests& all, const http::Exchange& exchange, SteadyTime begun, const char* operation)
    : all_(all), before_(all.newest_), number_(++all.begun_), exchange_(exchange), begun_(begun), operation_(operation) {
    (before_ != nullptr ? before_->behind_ : all_.oldest_) = this;
    all_.newest_ = this;
}

LiveRequests::Entry::~Entry() {
    (before_ != nullptr ? before_->behind_ : all_.oldest_) = behind_;
    (behind_ != nullptr ? behind_->before_ : all_.newest_) = before_;
}

void LiveRequests::Entry::set_asked(const std::string& model, bool stream, size_t body_bytes) {
    model_ = model;
    stream_ = stream;
    body_bytes_ = body_bytes;
}

void LiveRequests::Entry::set_attempt(const InstanceId& instance, const http::Canceller& stop) {
    instance_ = instance;
    stop_ = stop;
    if (cancelled_) stop_->cancel();
}

LiveRequest LiveRequests::shown(const Entry& entry, SteadyTime now) {
    const http::Request& request = entry.exchange_.request();
    const Principal& who = principal(entry.exchange_);
    LiveRequest out;
    out.id = request.id;
    out.age_ms = static_cast<uint64_t>(std::max<int64_t>(0, std::chrono::duration_cast<std::chrono::milliseconds>(now - entry.begun_).count()));
    out.user_id = who.user_id;
    out.user_name = who.user_name;
    out.key_id = who.key_id;
    out.peer = request.peer;
    out.model = entry.model_;
    out.instance_id = entry.instance_;
    out.operation = entry.operation_;
    out.stream = entry.stream_;
    out.state = entry.completion_tokens_ > 0 ? RequestState::kStreaming
                : entry.stop_.has_value()    ? RequestState::kWaiting
                                             : RequestState::kQueued;
    out.body_bytes = entry.body_bytes_;
    out.prompt_tokens = entry.prompt_tokens_;
    out.completion_tokens = entry.completion_tokens_;
    return out;
}

std::set<InstanceId> LiveRequests::instances_in_use() const {
    std::set<InstanceId> out;
    for (const Entry* entry = oldest_; entry != nullptr; entry = entry->behind_) {
        if (!entry->instance_.empty()) out.insert(entry->instance_);
    }
    return out;
}

LiveRequests::Page LiveRequests::list(const Filter& filter, SteadyTime now) const {
    Page page;
    const Entry* last = nullptr;
    for (const Entry* entry = filter.newest_first ? newest_ : oldest_; entry != nullptr;
         entry = filter.newest_first ? entry->before_ : entry->behind_) {
        const bool beyond = filter.beyond == 0 || (filter.newest_first ? entry->number_ < filter.beyond : entry->number_ > filter.beyond);
        const bool users = filter.user.empty() || principal(entry->exchange_).user_id == filter.user;
        const bool models = filter.model.empty() || entry->model_ == filter.model;
        if (!beyond || !users || !models) continue;
        if (page.items.size() == filter.limit) {
            page.next = last->number_;
            break;
        }
        page.items.push_back(shown(*entry, now));
        last = entry;
    }
    return page;
}

std::optional<LiveRequest> LiveRequests::cancel(const std::string& request_id, const UserId& user, Error why, SteadyTime now) {
    for (Entry* entry = oldest_; entry != nullptr; entry = entry->behind_) {
        if (entry->exchange_.request().id != request_id) continue;
        if (!user.empty() && principal(entry->exchange_).user_id != user) return std::nullopt;
        LiveRequest cancelled = shown(*entry, now);
        if (!entry->cancelled_) entry->cancelled_ = std::move(why);
        if (entry->held_) entry->held_();
        if (entry->stop_) entry->stop_->cancel();
        return cancelled;
    }
    return std::nullopt;
}

}  // namespace gantry::gateway
