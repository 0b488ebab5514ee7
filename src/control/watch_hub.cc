#include "control/watch_hub.h"

#include <algorithm>

namespace gantry::control {

const char* to_string(WatchEvent::Type type) {
    switch (type) {
        case WatchEvent::Type::kAdded: return "added";
        case WatchEvent::Type::kModified: return "modified";
        case WatchEvent::Type::kDeleted: return "deleted";
        case WatchEvent::Type::kSynced: return "synced";
    }
    return "synced";
}

Subscription::Subscription(std::set<std::string> kinds, std::vector<WatchEvent> first, std::function<void()> wake)
    : kinds_(std::move(kinds)), wake_(std::move(wake)), waiting_(std::move(first)), free_of_charge_(waiting_.size()) {}

Subscription::Batch Subscription::take() {
    std::lock_guard lock(mutex_);
    Batch batch{std::move(waiting_), lost_, closed_};
    waiting_.clear();
    free_of_charge_ = 0;
    return batch;
}

void Subscription::offer(const std::vector<WatchEvent>& events) {
    bool arrived = false;
    {
        std::lock_guard lock(mutex_);
        for (const WatchEvent& event : events) {
            if (lost_ || closed_ || !kinds_.contains(event.kind)) continue;
            arrived = true;
            if (waiting_.size() - free_of_charge_ >= kQueueMax) {
                // What waits is worthless now: the watcher lists again. Its memory goes back at once.
                lost_ = true;
                waiting_.clear();
                waiting_.shrink_to_fit();
                free_of_charge_ = 0;
            } else {
                waiting_.push_back(event);
            }
        }
    }
    if (arrived) wake_();
}

void Subscription::close() {
    {
        std::lock_guard lock(mutex_);
        closed_ = true;
    }
    wake_();
}

std::shared_ptr<Subscription> WatchHub::add(std::set<std::string> kinds, std::vector<WatchEvent> first,
                                            std::function<void()> wake) {
    auto subscription = std::make_shared<Subscription>(std::move(kinds), std::move(first), std::move(wake));
    bool closed = false;
    const bool added = state_.with([&](State& state) {
        std::erase_if(state.subscriptions, [](const auto& s) { return s.expired(); });
        if (state.subscriptions.size() >= kSubscribersMax) return false;
        closed = state.closed;
        state.subscriptions.push_back(subscription);
        return true;
    });
    if (!added) return nullptr;
    if (closed) subscription->close();
    return subscription;
}

void WatchHub::publish(const std::vector<WatchEvent>& events) {
    if (events.empty()) return;
    std::vector<std::shared_ptr<Subscription>> live;
    state_.with([&](State& state) {
        std::erase_if(state.subscriptions, [](const auto& s) { return s.expired(); });
        for (const auto& weak : state.subscriptions) {
            if (auto subscription = weak.lock()) live.push_back(std::move(subscription));
        }
    });
    for (const auto& subscription : live) subscription->offer(events);
}

void WatchHub::close() {
    std::vector<std::shared_ptr<Subscription>> live;
    state_.with([&](State& state) {
        state.closed = true;
        for (const auto& weak : state.subscriptions) {
            if (auto subscription = weak.lock()) live.push_back(std::move(subscription));
        }
    });
    for (const auto& subscription : live) subscription->close();
}

size_t WatchHub::size() const {
    return state_.with([](const State& state) {
        return static_cast<size_t>(std::count_if(state.subscriptions.begin(), state.subscriptions.end(),
                                                 [](const auto& s) { return !s.expired(); }));
    });
}

}  // namespace gantry::control
