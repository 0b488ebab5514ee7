#pragma once
// For this folder's tests: a server on its own thread, and a raw socket that says exactly what it is told.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <thread>

#include "http/http.h"

namespace gantry::http {

using namespace std::chrono_literals;

inline Response test_error(int status, const std::string& message, const std::string& path) {
    return json_response(status, "{\"error\":\"" + message + "\",\"path\":\"" + path + "\"}");
}

// True once `condition` holds; false when it doesn't within `limit`.
template <class Condition>
bool eventually(const Condition& condition, std::chrono::milliseconds limit = 5s) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) return false;
        std::this_thread::sleep_for(1ms);
    }
    return true;
}

class TestServer {
public:
    explicit TestServer(ServerLimits limits = {}) : limits_(limits) {}
    ~TestServer() { stop(1s); }

    void route(const std::string& method, const std::string& pattern, Handler handler, size_t body_bytes = 0) {
        router_.add({method, pattern, "open", std::move(handler), body_bytes});
    }
    // Before start(): middlewares, head check.
    Server& server() {
        if (!server_) server_.emplace(io_, router_, ServerOptions{limits_, test_error});
        return *server_;
    }
    asio::io_context& io() { return io_; }
    uint16_t start() {
        auto port = server().listen_tcp("127.0.0.1", 0, "public");
        EXPECT_TRUE(port.ok());
        port_ = port.value();
        run();
        return port_;
    }
    void start_unix(const std::string& path) {
        const auto listening = server().listen_unix(path, "admin");
        EXPECT_TRUE(listening.ok()) << (listening.ok() ? "" : listening.error().message);
        run();
    }
    void run() {
        thread_ = std::thread([this] { io_.run(); });
    }
    std::string endpoint() const { return "tcp:127.0.0.1:" + std::to_string(port_); }
    uint16_t port() const { return port_; }

    // Runs `ask` on the server's thread and gives its answer.
    template <class Ask>
    auto on_io(Ask ask) {
        std::promise<decltype(ask())> answer;
        asio::post(io_, [&] { answer.set_value(ask()); });
        return answer.get_future().get();
    }
    size_t connections() {
        return on_io([this] { return server_->connections(); });
    }
    size_t exchanges() {
        return on_io([this] { return server_->exchanges(); });
    }
    void stop(std::chrono::milliseconds deadline) {
        if (!thread_.joinable()) return;
        std::promise<void> stopped;
        asio::co_spawn(io_, server_->stop(Deadline::after(deadline)),
                       [&](const std::exception_ptr&) { stopped.set_value(); });
        stopped.get_future().get();
        guard_.reset();
        io_.stop();
        thread_.join();
    }

private:
    ServerLimits limits_;
    asio::io_context io_{1};
    asio::executor_work_guard<asio::io_context::executor_type> guard_{io_.get_executor()};
    Router router_;
    std::optional<Server> server_;
    std::thread thread_;
    uint16_t port_ = 0;
};

class RawClient {
public:
    explicit RawClient(uint16_t port, int receive_buffer = 0) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
        if (receive_buffer > 0) ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    }
    ~RawClient() { close(); }
    RawClient(const RawClient&) = delete;
    RawClient& operator=(const RawClient&) = delete;

    // False when the other side doesn't take it any more.
    bool send(std::string_view bytes) {
        while (!bytes.empty()) {
            const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (sent <= 0) return false;
            bytes.remove_prefix(static_cast<size_t>(sent));
        }
        return true;
    }
    // Everything up to the close of the connection; `closed` tells whether it came before the limit.
    std::string read_to_end(std::chrono::milliseconds limit = 10s) {
        closed = false;
        const auto end = std::chrono::steady_clock::now() + limit;
        while (!closed && std::chrono::steady_clock::now() < end) read_some(end);
        return std::exchange(buffer_, {});
    }
    // Up to and with `mark`; empty when it doesn't come.
    std::string read_until(std::string_view mark, std::chrono::milliseconds limit = 5s) {
        const auto end = std::chrono::steady_clock::now() + limit;
        while (true) {
            const size_t found = buffer_.find(mark);
            if (found != std::string::npos) {
                std::string head = buffer_.substr(0, found + mark.size());
                buffer_.erase(0, found + mark.size());
                return head;
            }
            if (closed || std::chrono::steady_clock::now() > end) return {};
            read_some(end);
        }
    }
    // An answer with a content-length: head and body.
    std::string read_answer() {
        std::string head = read_until("\r\n\r\n");
        const size_t at = head.find("content-length: ");
        if (at == std::string::npos) return head;
        const size_t length = std::stoul(head.substr(at + 16));
        while (buffer_.size() < length && !closed) read_some(std::chrono::steady_clock::now() + 5s);
        head += buffer_.substr(0, length);
        buffer_.erase(0, length);
        return head;
    }
    void shutdown_send() { ::shutdown(fd_, SHUT_WR); }
    void reset() {
        const linger now{1, 0};
        ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        close();
    }
    void close() {
        if (fd_ >= 0) ::close(fd_);
        fd_ = -1;
    }
    int fd() const { return fd_; }
    bool closed = false;

private:
    void read_some(std::chrono::steady_clock::time_point end) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
        pollfd ready{fd_, POLLIN, 0};
        if (::poll(&ready, 1, static_cast<int>(std::max<int64_t>(left.count(), 0))) <= 0) return;
        char bytes[16 * 1024];
        const ssize_t got = ::recv(fd_, bytes, sizeof(bytes), 0);
        if (got <= 0) {
            closed = true;
            return;
        }
        buffer_.append(bytes, static_cast<size_t>(got));
    }
    int fd_;
    std::string buffer_;
};

inline int status_of(const std::string& answer) {
    return answer.starts_with("HTTP/1.1 ") ? std::stoi(answer.substr(9, 3)) : 0;
}

// Runs one coroutine to its end on an io_context of its own.
template <class T, class Make>
T run_task(const Make& make) {
    asio::io_context io(1);
    std::optional<T> outcome;
    auto keep = [](const Make& inner, asio::io_context& context, std::optional<T>& out) -> Task<void> {
        auto result = co_await inner(context);
        out.emplace(std::move(result));
    };
    std::exception_ptr thrown;
    asio::co_spawn(io, keep(make, io, outcome), [&](const std::exception_ptr& failure) { thrown = failure; });
    io.run();
    if (thrown) std::rethrow_exception(thrown);
    return std::move(*outcome);
}

}  // namespace gantry::http
