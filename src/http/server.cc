// Listeners, the accept loop and the stop of a server; a connection's own life is in server_connection.cc.

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>
#include <list>

#include "base/log.h"
#include "http/server_connection.h"

namespace gantry::http {
namespace {

using boost::system::error_code;
using Acceptor = asio::basic_socket_acceptor<asio::generic::stream_protocol>;

constexpr int kBacklog = 4096;
constexpr int kAcceptsPerTurn = 32;
constexpr size_t kLocalConnections = 64;                    // that only Unix sockets get
constexpr std::chrono::milliseconds kAcceptPause{100};      // without file descriptors or memory: try again after
constexpr std::chrono::milliseconds kCutGrace{5'000};       // for handlers to come back after the cut
constexpr int kUnsentBytesMax = 256 * 1024;                 // of one connection, in the kernel
constexpr rlim_t kFilesKeptFree = 64;                       // for database, logs, engines

class Fd {
public:
    explicit Fd(int fd) : fd_(fd) {}
    ~Fd() {
        if (fd_ >= 0) ::close(fd_);
    }
    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;
    int get() const { return fd_; }
    int release() { return std::exchange(fd_, -1); }

private:
    int fd_;
};

// "127.0.0.1", "unix"; what the other end of an accepted socket is called.
std::string peer_name(int fd) {
    sockaddr_storage address{};
    socklen_t length = sizeof(address);
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return {};
    char text[INET6_ADDRSTRLEN] = {};
    if (address.ss_family == AF_INET) {
        ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(address).sin_addr, text, sizeof(text));
    } else if (address.ss_family == AF_INET6) {
        const in6_addr& ip = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
        // An IPv4 client of a dual-stack listener is shown as what it is.
        if (IN6_IS_ADDR_V4MAPPED(&ip)) {
            ::inet_ntop(AF_INET, ip.s6_addr + 12, text, sizeof(text));
        } else {
            ::inet_ntop(AF_INET6, &ip, text, sizeof(text));
        }
    } else {
        return "unix";
    }
    return text;
}

bool is_shortage(int error) { return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM; }

void tune(int fd) {
    // Both fail on a Unix socket, which needs neither. Tokens must not wait for each other, and a slow reader must not have
    // megabytes of a stream lying in the kernel.
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    ::setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &kUnsentBytesMax, sizeof(kUnsentBytesMax));
}

// A connection more than there are file descriptors for is not accepted: the rest of the process needs some too.
size_t connection_limit(const ServerLimits& limits) {
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY) return limits.connections;
    const rlim_t usable = files.rlim_cur > 2 * kFilesKeptFree ? files.rlim_cur - kFilesKeptFree : files.rlim_cur / 2;
    return std::min<size_t>(limits.connections, usable);
}

// Whether a server answers at this socket file.
bool somebody_listens(const sockaddr_un& address) {
    const Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (probe.get() < 0) return true;  // doubt: leave the file alone
    const int connected = ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    return connected == 0 || errno == EAGAIN || errno == EINPROGRESS;
}

}  // namespace

struct Server::State : ServerCore {
    using ServerCore::ServerCore;

    struct Listener {
        Listener(asio::io_context& io, std::string n) : acceptor(io), name(std::move(n)) {}
        Acceptor acceptor;
        std::string name;
        std::string socket_file;  // ours to remove, as long as it still is this one
        ino_t socket_inode = 0;
        bool local = false;       // a Unix socket
        std::shared_ptr<TlsIdentity> tls;   // shared with whoever renews it
    };
    std::list<Listener> listeners;  // a list: connections refer to the names
    size_t connections_max = 0;

    Status start(const std::shared_ptr<State>& self, int fd, int family, const std::string& name,
                 std::shared_ptr<TlsIdentity> tls = nullptr);
    static Task<void> accept_loop(std::shared_ptr<State> self, Listener& listener);
    static void begin(const std::shared_ptr<State>& self, int fd, Listener& listener);
    void close_listeners();
    void cut_all() {
        const std::vector<ServerConnection*> all(connections.begin(), connections.end());
        for (ServerConnection* connection : all) connection->cut();
    }
};

Status Server::State::start(const std::shared_ptr<State>& self, int fd, int family, const std::string& name,
                            std::shared_ptr<TlsIdentity> tls) {
    if (::listen(fd, kBacklog) != 0) {
        ::close(fd);
        return error_from_errno("cannot listen", errno);
    }
    Listener& listener = listeners.emplace_back(io, name);
    listener.local = family == AF_UNIX;
    listener.tls = std::move(tls);
    error_code ec;
    listener.acceptor.assign(asio::generic::stream_protocol(family, 0), fd, ec);
    if (ec) {
        ::close(fd);
        listeners.pop_back();
        return error_from_errno("cannot listen", ec.value());
    }
    connections_max = connection_limit(options.limits);
    asio::co_spawn(io, accept_loop(self, listener), asio::detached);
    return Ok{};
}

Task<void> Server::State::accept_loop(std::shared_ptr<State> self, Listener& listener) {
    SteadyTime last_complaint{};
    const auto complain = [&last_complaint](const std::string& what) {
        const SteadyTime now = std::chrono::steady_clock::now();
        if (now - last_complaint < std::chrono::seconds(10)) return;
        last_complaint = now;
        log::warn("http: {}", what);
    };
    while (!self->stopping) {
        // Whoever fills the network's share does not lock out the person at the machine.
        const size_t reserved = listener.local ? 0 : std::min(kLocalConnections, self->connections_max / 4);
        const size_t most = self->connections_max - reserved;
        if (self->connections.size() >= most) {
            complain("all " + std::to_string(most) + " connections are taken; new ones wait");
            co_await self->changed.wait(std::chrono::seconds(1));
            continue;
        }
        error_code ec;
        co_await listener.acceptor.async_wait(Acceptor::wait_read, asio::redirect_error(asio::use_awaitable, ec));
        if (self->stopping || !listener.acceptor.is_open()) break;
        // Several: while streams keep the loop busy its turns are long, and clients wait at the door.
        for (int n = 0; n < kAcceptsPerTurn && self->connections.size() < most; ++n) {
            const int fd = ::accept4(listener.acceptor.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd >= 0) {
                begin(self, fd, listener);
                continue;
            }
            const int failed = errno;
            if (failed == EAGAIN || failed == EWOULDBLOCK) break;
            if (!is_shortage(failed)) continue;   // what else fails here is the client's having left already
            complain(std::string("cannot accept: ") + std::strerror(failed) + "; trying again");
            co_await self->changed.wait(kAcceptPause);
            break;
        }
    }
}

void Server::State::begin(const std::shared_ptr<State>& self, int fd, Listener& listener) {
    tune(fd);
    auto connection = std::make_unique<ServerConnection>(self, fd, listener.name, peer_name(fd), listener.tls);
    asio::co_spawn(self->io, ServerConnection::run(std::move(connection)), [](const std::exception_ptr& failure) {
        if (!failure) return;
        try {
            std::rethrow_exception(failure);
        } catch (const std::exception& what) {
            log::error("http: a connection ended badly: {}", what.what());
        }
    });
}

void Server::State::close_listeners() {
    for (Listener& listener : listeners) {
        error_code ignored;
        listener.acceptor.close(ignored);
        struct stat now{};
        if (!listener.socket_file.empty() && ::lstat(listener.socket_file.c_str(), &now) == 0 &&
            now.st_ino == listener.socket_inode) {
            ::unlink(listener.socket_file.c_str());
        }
        listener.socket_file.clear();
    }
}

Server::Server(asio::io_context& io, const Router& router, ServerOptions options)
    : state_(std::make_shared<State>(io, router, std::move(options))) {}

Server::~Server() {
    state_->stopping = true;
    state_->close_listeners();
    state_->cut_all();
}

void Server::use(Middleware middleware) {
    GANTRY_ASSERT(state_->listeners.empty(), "middlewares come before the first listen");
    GANTRY_ASSERT(state_->middlewares.size() < ServerCore::kMiddlewaresMax, "so many middlewares are not planned for");
    state_->middlewares.push_back(std::move(middleware));
}

void Server::on_head(std::function<std::optional<Response>(const Request& head)> check) {
    GANTRY_ASSERT(state_->listeners.empty(), "the head check comes before the first listen");
    state_->head_check = std::move(check);
}

void Server::accept_mutual(std::shared_ptr<MutualTls> tls, std::string listener) {
    GANTRY_ASSERT(state_->listeners.empty(), "mutual TLS comes before the first listen");
    state_->mutual = std::move(tls);
    state_->mutual_listener = std::move(listener);
}

Result<uint16_t> Server::listen_tcp(const std::string& host, uint16_t port, const std::string& listener,
                                    std::shared_ptr<TlsIdentity> tls) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    addrinfo* found = nullptr;
    const int failed = ::getaddrinfo(host.empty() ? nullptr : host.c_str(), std::to_string(port).c_str(), &hints, &found);
    if (failed != 0) {
        return invalid_argument("cannot listen on host '" + host + "': " + ::gai_strerror(failed));
    }
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> address(found, &::freeaddrinfo);
    Fd fd(::socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (fd.get() < 0) return error_from_errno("cannot open a socket", errno);
    const int on = 1;
    const int off = 0;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (address->ai_family == AF_INET6) ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (::bind(fd.get(), address->ai_addr, address->ai_addrlen) != 0) {
        if (errno == EADDRINUSE) {
            return conflict("port " + std::to_string(port) + " is in use by another program; choose another with --port");
        }
        return error_from_errno("cannot listen on port " + std::to_string(port), errno);
    }
    sockaddr_storage bound{};
    socklen_t length = sizeof(bound);
    if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&bound), &length) != 0) {
        return error_from_errno("cannot listen", errno);
    }
    const uint16_t bound_port = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(bound).sin6_port
                                                                  : reinterpret_cast<sockaddr_in&>(bound).sin_port);
    GANTRY_TRY(state_->start(state_, fd.release(), address->ai_family, listener, std::move(tls)));
    return bound_port;
}

Status Server::listen_unix(const std::string& path, const std::string& listener) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof(address.sun_path)) {
        return invalid_argument("the path of a socket must have 1 to " + std::to_string(sizeof(address.sun_path) - 1) +
                                " bytes; this one has " + std::to_string(path.size()));
    }
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    struct stat there{};
    if (::lstat(path.c_str(), &there) == 0) {
        if (!S_ISSOCK(there.st_mode)) return conflict("where the socket should be is another file; move it away");
        if (somebody_listens(address)) return conflict("the socket is in use by another process");
        ::unlink(path.c_str());
    }
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (fd.get() < 0) return error_from_errno("cannot open a socket", errno);
    // The mode of the unbound socket becomes the file's: there is no moment at which others could connect.
    if (::fchmod(fd.get(), 0600) != 0) return error_from_errno("cannot set the mode of a socket", errno);
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
        if (errno == EADDRINUSE) return conflict("the socket is in use by another process");
        return error_from_errno("cannot make the socket file", errno);
    }
    GANTRY_TRY(state_->start(state_, fd.release(), AF_UNIX, listener));
    struct stat made{};
    if (::lstat(path.c_str(), &made) == 0) {
        state_->listeners.back().socket_file = path;
        state_->listeners.back().socket_inode = made.st_ino;
    }
    return Ok{};
}

Task<void> Server::stop(Deadline deadline) {
    const std::shared_ptr<State> state = state_;  // the Server may go while we wait
    state->stopping = true;
    state->close_listeners();
    const std::vector<ServerConnection*> all(state->connections.begin(), state->connections.end());
    for (ServerConnection* connection : all) connection->close_if_idle();

    const auto wait_until = [](std::shared_ptr<State> s, SteadyTime end) -> Task<void> {
        while (!s->connections.empty()) {
            const SteadyTime now = std::chrono::steady_clock::now();
            if (now >= end) break;
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - now);
            const auto turn = std::min<std::chrono::milliseconds>(left, std::chrono::hours(1));
            co_await s->changed.wait(turn);
        }
    };
    co_await wait_until(state, deadline.time());
    state->cut_all();
    co_await wait_until(state, std::chrono::steady_clock::now() + kCutGrace);
    if (!state->connections.empty()) {
        log::warn("http: {} handlers did not come back after the stop", state->connections.size());
    }
}

size_t Server::connections() const { return state_->connections.size(); }
size_t Server::exchanges() const { return state_->exchanges; }

}  // namespace gantry::http
