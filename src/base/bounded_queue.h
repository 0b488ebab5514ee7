#pragma once
// The one way threads hand work to each other: many producers, one consumer, a declared length.

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace gantry {

template <class T>
class BoundedQueue {
public:
    explicit BoundedQueue(size_t limit) : limit_(limit) {}

    // False when full or closed: the caller refuses its own caller. Never blocks.
    bool try_push(T item) {
        {
            std::lock_guard lock(mutex_);
            if (closed_ || items_.size() >= limit_) return false;
            items_.push_back(std::move(item));
        }
        arrived_.notify_one();
        return true;
    }

    // All that waits, without blocking.
    std::vector<T> drain() {
        std::lock_guard lock(mutex_);
        std::vector<T> out(std::make_move_iterator(items_.begin()), std::make_move_iterator(items_.end()));
        items_.clear();
        return out;
    }

    // Blocks until something arrives or the queue is closed; nullopt: closed and empty.
    std::optional<T> pop() {
        std::unique_lock lock(mutex_);
        arrived_.wait(lock, [this] { return closed_ || !items_.empty(); });
        if (items_.empty()) return std::nullopt;
        T item = std::move(items_.front());
        items_.pop_front();
        return item;
    }

    // Blocks until something is there, the queue is closed, or the time is over. True: something is there.
    template <class Rep, class Period>
    bool wait_for(std::chrono::duration<Rep, Period> timeout) {
        std::unique_lock lock(mutex_);
        arrived_.wait_for(lock, timeout, [this] { return closed_ || !items_.empty(); });
        return !items_.empty();
    }

    void close() {
        {
            std::lock_guard lock(mutex_);
            closed_ = true;
        }
        arrived_.notify_all();
    }
    size_t size() const { std::lock_guard lock(mutex_); return items_.size(); }

private:
    const size_t limit_;
    mutable std::mutex mutex_;
    std::condition_variable arrived_;
    std::deque<T> items_;
    bool closed_ = false;
};

}  // namespace gantry
