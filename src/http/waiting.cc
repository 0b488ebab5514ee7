// What a coroutine can wait for besides bytes: time, a signal, a blocking call elsewhere.

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "http/http.h"

namespace gantry::http {

Task<void> sleep_for(std::chrono::milliseconds duration) {
    const auto executor = co_await asio::this_coro::executor;
    asio::steady_timer timer(executor);
    timer.expires_after(duration);
    boost::system::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

// Shared with every wait in progress, so that destroying the Signal under a waiter is safe.
struct Signal::State {
    struct Waiter {
        explicit Waiter(asio::io_context& io) : timer(io) {}
        asio::steady_timer timer;
        bool notified = false;
    };
    explicit State(asio::io_context& context) : io(context) {}

    void wake_all() {
        for (Waiter* waiter : std::exchange(waiters, {})) {
            waiter->notified = true;
            waiter->timer.cancel();
        }
    }

    asio::io_context& io;
    std::vector<Waiter*> waiters;  // each lives in the frame of its wait()
};

Signal::Signal(asio::io_context& io) : state_(std::make_shared<State>(io)) {}
Signal::~Signal() { state_->wake_all(); }
void Signal::notify() { state_->wake_all(); }

Task<bool> Signal::wait(std::chrono::milliseconds timeout) {
    // Held by the frame: `this` may be gone when the wait ends.
    const std::shared_ptr<State> state = state_;
    State::Waiter waiter(state->io);
    // A frame destroyed while it waits (the io_context ends) must leave the list too.
    struct Leave {
        State& state;
        State::Waiter* waiter;
        ~Leave() { std::erase(state.waiters, waiter); }
    } leave{*state, &waiter};
    waiter.timer.expires_after(timeout);
    state->waiters.push_back(&waiter);
    boost::system::error_code ignored;
    co_await waiter.timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    co_return waiter.notified;
}

BlockingPool::BlockingPool(size_t threads) : pool_(std::make_unique<asio::thread_pool>(std::max<size_t>(threads, 1))) {}
BlockingPool::~BlockingPool() { pool_->join(); }

}  // namespace gantry::http
