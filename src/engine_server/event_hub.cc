#include "engine_server/event_hub.h"

#include <boost/asio/post.hpp>

namespace gantry::engine_server {

uint64_t EventHub::add(Sink sink) {
    sinks_.emplace(++last_key_, std::move(sink));
    return last_key_;
}

void EventHub::remove(uint64_t key) { sinks_.erase(key); }

EventHub::Sink EventHub::sender(uint64_t key) {
    return [this, key](engine::TokenEvent event) {
        bool first = false;
        {
            std::lock_guard lock(mutex_);
            first = pending_.empty();
            pending_.emplace_back(key, std::move(event));
        }
        if (first) {
            boost::asio::post(io_, [this] { deliver(); });
        }
    };
}

void EventHub::cancel_all() {
    engine::TokenEvent event;
    event.finish = engine::FinishReason::kCancelled;
    const auto sinks = sinks_;  // a copy, because a sink may remove itself
    for (const auto& [key, sink] : sinks) {
        sink(event);
    }
}

void EventHub::deliver() {
    std::vector<std::pair<uint64_t, engine::TokenEvent>> events;
    {
        std::lock_guard lock(mutex_);
        events.swap(pending_);
    }
    for (auto& [key, event] : events) {
        if (const auto sink = sinks_.find(key); sink != sinks_.end()) {
            // A copy, because a sink may remove itself.
            const Sink call = sink->second;
            call(std::move(event));
        }
    }
}

}  // namespace gantry::engine_server
