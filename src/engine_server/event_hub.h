#pragma once
// Carries events from the engine's thread to the io thread. The engine sends one event a sequence
// in each step; they gather here, and the io thread is woken once for all that came since it last
// looked.
//
// Threads: sender()'s functions any; the rest the io thread. Must outlive the engine whose events
// it carries.

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/engine.h"

namespace gantry::engine_server {

class EventHub {
public:
    using Sink = std::function<void(engine::TokenEvent)>;
    explicit EventHub(boost::asio::io_context& io) : io_(io) {}

    uint64_t add(Sink sink);
    void remove(uint64_t key);  // events of that key still under way are dropped
    Sink sender(uint64_t key);  // for SequenceRequest::on_event

    // Ends every sequence known here with kCancelled, without waiting for the engine.
    void cancel_all();

private:
    void deliver();

    boost::asio::io_context& io_;
    std::unordered_map<uint64_t, Sink> sinks_;
    uint64_t last_key_ = 0;

    std::mutex mutex_;  // guards what follows
    std::vector<std::pair<uint64_t, engine::TokenEvent>> pending_;
};

}  // namespace gantry::engine_server
