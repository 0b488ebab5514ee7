#include "sockets.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace gantry::load {
namespace {

sockaddr_in loopback(uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

void at_once(int fd) {
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

}  // namespace

void die(const char* what) {
    std::fprintf(stderr, "gateway_load: %s: %s\n", what, std::strerror(errno));
    std::exit(1);
}

int64_t now_ns() {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

void raise_handle_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

int listen_on(uint16_t port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket");
    const int on = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    const sockaddr_in address = loopback(port);
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) die("bind");
    if (::listen(fd, 4096) != 0) die("listen");
    return fd;
}

int connect_to(uint16_t port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket");
    at_once(fd);
    const sockaddr_in address = loopback(port);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 || errno == EINPROGRESS) return fd;
    ::close(fd);
    return -1;
}

int accept_one(int listener) {
    const int fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) at_once(fd);
    return fd;
}

struct Poll::Events {
    std::array<epoll_event, 512> list;
};

Poll::Poll() : epoll_(::epoll_create1(EPOLL_CLOEXEC)), events_(new Events) {
    if (epoll_ < 0) die("epoll_create1");
}
Poll::~Poll() {
    ::close(epoll_);
    delete events_;
}

void Poll::add(int fd, void* owner, bool writable) {
    epoll_event event{};
    event.events = EPOLLIN | (writable ? EPOLLOUT : 0u);
    event.data.ptr = owner;
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
}

void Poll::change(int fd, void* owner, bool writable) {
    epoll_event event{};
    event.events = EPOLLIN | (writable ? EPOLLOUT : 0u);
    event.data.ptr = owner;
    if (::epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event) != 0) die("epoll_ctl");
}

int Poll::collect(int timeout_ms) {
    const int ready = ::epoll_wait(epoll_, events_->list.data(), static_cast<int>(events_->list.size()), timeout_ms);
    if (ready < 0 && errno != EINTR) die("epoll_wait");
    return ready < 0 ? 0 : ready;
}

void* Poll::owner_of(int index) const { return events_->list[static_cast<size_t>(index)].data.ptr; }

Got receive(int fd, std::string& into) {
    static char area[64 * 1024];
    const ssize_t got = ::recv(fd, area, sizeof(area), 0);
    if (got > 0) {
        into.append(area, static_cast<size_t>(got));
        return Got::kBytes;
    }
    return got < 0 && (errno == EAGAIN || errno == EINTR) ? Got::kNothing : Got::kEnd;
}

long send_some(int fd, std::string_view bytes) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) return sent;
    return errno == EAGAIN || errno == EINTR || errno == ENOTCONN ? 0 : -1;
}

}  // namespace gantry::load
