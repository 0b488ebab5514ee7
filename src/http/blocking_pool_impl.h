#pragma once
// The body of BlockingPool::run, a template.

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace gantry::http {

template <class Work>
auto BlockingPool::run(Work work) -> Task<decltype(work())> {
    using R = decltype(work());
    // co_spawn makes an empty result where the job threw, and a Result<T> can't be empty: hence the optional.
    auto job = [](Work inner) -> Task<std::optional<R>> { co_return std::optional<R>(inner()); };
    auto running = asio::co_spawn(pool_->get_executor(), job(std::move(work)), asio::use_awaitable);
    auto done = co_await std::move(running);
    co_return std::move(*done);
}

}  // namespace gantry::http
