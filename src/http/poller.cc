#include "http/poller.h"

#include <sched.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <utility>

#include "base/assert.h"
#include "http/http.h"

namespace gantry::http {

boost::asio::execution_context::id Poller::id;

Poller::Poller(boost::asio::execution_context& owner)
    : service(owner), io_(static_cast<boost::asio::io_context&>(owner)), epoll_(::epoll_create1(EPOLL_CLOEXEC)), outer_(io_) {
    GANTRY_ASSERT(epoll_ >= 0, "no descriptor for the server's sockets");
    outer_.assign(epoll_);
}

Poller::~Poller() = default;

void Poller::shutdown() {
    // Whoever waits is destroyed with what it waits in, sockets too: over a copy.
    sends_.clear();
    flushes_.clear();
    before_sends_.clear();
    const std::vector<Watched*> all(all_.begin(), all_.end());
    for (Watched* watched : all) {
        if (all_.contains(watched)) watched->on_shutdown();
    }
    boost::system::error_code ignored;
    outer_.close(ignored);
}

int Poller::add(int fd, Watched& watched) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.ptr = &watched;
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) return errno;
    all_.insert(&watched);
    return 0;
}

void Poller::remove(int fd, Watched& watched) {
    all_.erase(&watched);
    std::replace(flushes_.begin(), flushes_.end(), &watched, static_cast<Watched*>(nullptr));
    if (outer_.is_open()) ::epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
    for (size_t i = at_; i < count_; ++i) {
        if (events_[i].data.ptr == &watched) events_[i].data.ptr = nullptr;
    }
}

void Poller::want() {
    ++wanted_;
    if (!armed_ && !turning_ && !looking_) arm();
}

// Waits end and begin again in one go, so that it is looked at later whether none is left.
void Poller::unwant() {
    if (--wanted_ > 0 || !armed_ || disarming_) return;
    disarming_ = true;
    boost::asio::post(io_, [this] {
        disarming_ = false;
        boost::system::error_code ignored;
        if (wanted_ == 0 && armed_) outer_.cancel(ignored);
    });
}

void Poller::arm() {
    if (!outer_.is_open()) return;
    armed_ = true;
    outer_.async_wait(boost::asio::posix::descriptor_base::wait_read, [this](const boost::system::error_code& failure) {
        armed_ = false;
        if (failure == boost::asio::error::operation_aborted && !outer_.is_open()) return;
        turn();
    });
}

void Poller::turn() {
    struct Turn {
        Poller& poller;
        const bool looked;
        bool at_once = false;
        explicit Turn(Poller& p) : poller(p), looked(std::exchange(p.looking_, false)) { poller.turning_ = true; }
        ~Turn() {
            poller.turning_ = false;
            if (poller.wanted_ > 0 && !poller.armed_) poller.rest(looked, at_once);
            poller.at_ = poller.count_ = 0;
        }
    } turn(*this);
    const int ready = ::epoll_wait(epoll_, events_.data(), static_cast<int>(kEventsMax), 0);
    count_ = ready > 0 ? static_cast<size_t>(ready) : 0;
    const SteadyTime now = count_ > 0 ? std::chrono::steady_clock::now() : SteadyTime();
    while (at_ < count_) {
        const epoll_event event = events_[at_++];
        if (auto* watched = static_cast<Watched*>(event.data.ptr)) {
            if ((event.events & EPOLLIN) != 0) turn.at_once |= now - std::exchange(watched->spoke_at, now) < kAtOnce;
            watched->on_ready(event.events);
        }
        if (sends_.size() + flushes_.size() >= kSendsMax) send_all();
    }
    send_all();
}

// After a turn that was a look or not, in which a peer spoke again at once or not.
void Poller::rest(bool looked, bool at_once) {
    const SteadyTime now = looked || at_once ? std::chrono::steady_clock::now() : SteadyTime();
    if (looked && count_ == 0) {
        looking_ = now - look_from_ < kLook;
        if (!looking_) vain_ += now - look_from_;   // more than kLook: others had the CPU
    } else if (at_once) {
        if (now - vain_from_ >= kVainEach) {
            vain_from_ = now;
            vain_ = {};
        }
        looking_ = vain_ < kVainMost;
        look_from_ = now;
    }
    if (!looking_) return arm();
    ::sched_yield();   // to who would be kept from speaking
    boost::asio::post(io_, [this] { turn(); });   // so that what else the loop has to do comes before
}

void Poller::send_later(std::unique_ptr<Send> send) {
    GANTRY_ASSERT(turning_, "a send that nobody would make");
    sends_.push_back(std::move(send));
}

void Poller::flush_later(Watched& watched) {
    GANTRY_ASSERT(turning_, "bytes that nobody would send");
    flushes_.push_back(&watched);
}

std::string Poller::take_buffer() {
    if (buffers_.empty()) return {};
    std::string buffer = std::move(buffers_.back());
    buffers_.pop_back();
    return buffer;
}

void Poller::give_buffer(std::string buffer) {
    if (buffers_.size() >= kSendsMax || buffer.capacity() > kBufferBytesMax) return;
    buffer.clear();
    buffers_.push_back(std::move(buffer));
}

void Poller::before_sends(std::function<void()> work) { before_sends_.push_back(std::move(work)); }

void Poller::send_all() {
    while (!before_sends_.empty() || !sends_.empty() || !flushes_.empty()) {   // who goes on may write more
        for (const auto& work : std::exchange(before_sends_, {})) work();
        for (size_t i = 0; i < flushes_.size(); ++i) {
            if (flushes_[i] != nullptr) flushes_[i]->on_turn_end();   // which sends, and nothing else
        }
        flushes_.clear();
        const auto sends = std::exchange(sends_, {});
        for (const auto& one : sends) one->send();
        for (const auto& one : sends) one->sent();
    }
}

bool before_sends(asio::io_context& io, std::function<void()> work) {
    Poller& poller = Poller::of(io);
    if (poller.turning()) poller.before_sends(std::move(work));
    return poller.turning();
}

}  // namespace gantry::http
