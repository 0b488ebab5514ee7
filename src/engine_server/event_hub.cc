#include "engine_server/event_hub.h"

#include <boost/asio/post.hpp>
#include <utility>

namespace gantry::engine_server {
namespace {

void append(SequenceEvents& events, engine::TokenEvent event) {
    if (event.token) {
        events.tokens.push_back(*event.token);
    }
    if (event.logprob) {
        events.logprobs.push_back({*event.logprob, std::move(event.top_logprobs)});
    }
    events.latest = std::move(event);
}

}  // namespace

uint64_t EventHub::add(Sink sink) {
    sinks_.emplace(++last_key_, std::move(sink));
    return last_key_;
}

void EventHub::remove(uint64_t key) { sinks_.erase(key); }

std::function<void(engine::TokenEvent)> EventHub::sender(uint64_t key) {
    auto mailbox = std::make_shared<Mailbox>();
    mailbox->key = key;
    return [this, mailbox](engine::TokenEvent event) { send(mailbox, std::move(event)); };
}

void EventHub::send(const std::shared_ptr<Mailbox>& mailbox, engine::TokenEvent event) {
    bool first = false;
    {
        const std::lock_guard lock(mutex_);
        append(mailbox->events, std::move(event));
        if (!std::exchange(mailbox->ready, true)) {
            first = ready_.empty();
            ready_.push_back(mailbox);
        }
    }
    if (first) {
        boost::asio::post(io_, [this] { deliver(); });
    }
}

void EventHub::cancel_all() {
    SequenceEvents events;
    events.latest.finish = engine::FinishReason::kCancelled;
    const auto sinks = sinks_;  // a copy, because a sink may remove itself
    for (const auto& [key, sink] : sinks) {
        sink(events);
    }
}

void EventHub::deliver() {
    std::vector<std::pair<uint64_t, SequenceEvents>> arrived;
    {
        const std::lock_guard lock(mutex_);
        arrived.reserve(ready_.size());
        for (const std::shared_ptr<Mailbox>& mailbox : ready_) {
            mailbox->ready = false;
            arrived.emplace_back(mailbox->key, std::exchange(mailbox->events, {}));
        }
        ready_.clear();
    }
    for (auto& [key, events] : arrived) {
        if (const auto sink = sinks_.find(key); sink != sinks_.end()) {
            // A copy, because a sink may remove itself.
            const Sink call = sink->second;
            call(std::move(events));
        }
    }
}

}  // namespace gantry::engine_server
