#pragma once
// Carries events from the engine's thread to the io thread. What happens to a sequence gathers in a
// mailbox of its own until the io thread looks, which is woken once for all of them. A mailbox holds
// tokens in a row and only the latest of everything else: while the io thread stands still it grows
// by four bytes a token (and by the log-probabilities, where a request wants them), so that it is
// bounded by the answer that it is part of.
//
// Threads: sender()'s functions any, they never wait for the io thread; the rest the io thread. Must
// outlive the engine whose events it carries.

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/engine.h"

namespace gantry::engine_server {

struct TokenLogprobs {
    engine::TokenLogprob token;
    std::vector<engine::TokenLogprob> top;
};

// What happened to a sequence since its sink was last called.
struct SequenceEvents {
    std::vector<engine::TokenId> tokens;
    std::vector<TokenLogprobs> logprobs;  // one a token where the request wants them, else none
    engine::TokenEvent latest;            // counts, timings, the end; its tokens stand above
};

class EventHub {
public:
    using Sink = std::function<void(SequenceEvents)>;
    explicit EventHub(boost::asio::io_context& io) : io_(io) {}

    uint64_t add(Sink sink);
    void remove(uint64_t key);  // events of that key still under way are dropped
    // For SequenceRequest::on_event; one sequence a key.
    std::function<void(engine::TokenEvent)> sender(uint64_t key);

    // Ends every sequence known here with kCancelled, without waiting for the engine.
    void cancel_all();

private:
    struct Mailbox {
        uint64_t key = 0;
        bool ready = false;  // stands in ready_
        SequenceEvents events;
    };

    void send(const std::shared_ptr<Mailbox>& mailbox, engine::TokenEvent event);
    void deliver();

    boost::asio::io_context& io_;
    std::unordered_map<uint64_t, Sink> sinks_;
    uint64_t last_key_ = 0;

    std::mutex mutex_;  // guards what follows, and every mailbox
    // Those with events. Shared with the senders, since either may be the last to know a mailbox.
    std::vector<std::shared_ptr<Mailbox>> ready_;
};

// While it lives, hears from the hub when the process stops: for work that is no sequence. The io thread.
class StopWatch {
public:
    StopWatch(EventHub& hub, std::function<void()> stopping)
        : hub_(hub), key_(hub.add([stopping = std::move(stopping)](const SequenceEvents&) { stopping(); })) {}
    ~StopWatch() { hub_.remove(key_); }
    StopWatch(const StopWatch&) = delete;
    StopWatch& operator=(const StopWatch&) = delete;

private:
    EventHub& hub_;
    uint64_t key_;
};

}  // namespace gantry::engine_server
