#pragma once
// The body of BlockingPool::run, a template.

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace gantry::http {

template <class Work>
auto BlockingPool::run(Work work) -> Task<decltype(work())> {
    using R = decltype(work());
    auto job = [](Work inner) -> Task<R> { co_return inner(); };
    co_return co_await asio::co_spawn(pool_->get_executor(), job(std::move(work)), asio::use_awaitable);
}

}  // namespace gantry::http
