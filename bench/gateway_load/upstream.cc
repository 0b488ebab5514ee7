// An engine that costs nothing: it answers at the times it is told. Its events leave on a wheel of milliseconds.

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <unordered_map>
#include <vector>

#include "load.h"
#include "sockets.h"

namespace gantry::load {
namespace {

constexpr size_t kTurnMs = 8192;   // of the wheel: nothing may be farther off

struct Connection {
    int fd = -1;
    std::string input;
    std::string unsent;
    int events = 0;        // of the answer in progress
    int sent = 0;
    bool answering = false;
    bool stream = false;
    bool usage = false;
    double due_ms = 0;
};

constexpr char kUsage[] = R"("usage":{{"prompt_tokens":10,"completion_tokens":{0},"total_tokens":{1}}})";

std::string chunk(std::string_view data) { return fmt::format("{:x}\r\ndata: {}\n\n\r\n", data.size() + 8, data); }

std::string event(std::string_view delta, std::string_view finish) {
    return chunk(fmt::format(R"({{"id":"chatcmpl-0123456789abcdefghjkmnpq","object":"chat.completion.chunk","created":1795468943,)"
                             R"("model":"mock","choices":[{{"index":0,"delta":{{{}}},"logprobs":null,"finish_reason":{}}}]}})",
                             delta, finish));
}

std::string usage_of(int events) { return fmt::format(fmt::runtime(kUsage), events, events + 10); }

int number_behind(std::string_view text, std::string_view name, int otherwise) {
    const size_t at = text.find(name);
    return at == std::string_view::npos ? otherwise : std::atoi(text.data() + at + name.size());
}

class Upstream {
public:
    explicit Upstream(const UpstreamOptions& options) : options_(options), listener_(listen_on(options.port)) {
        poll_.add(listener_, nullptr);
    }

    [[noreturn]] void run() {
        begun_ns_ = now_ns();
        for (;;) {
            poll_.wait(waiting_ == 0 ? -1 : 1, [this](void* owner) {
                if (owner == nullptr) {
                    accept();
                } else {
                    serve(*static_cast<Connection*>(owner));
                }
            });
            turn();
            gone_.clear();
        }
    }

private:
    double now_ms() const { return static_cast<double>(now_ns() - begun_ns_) / 1e6; }

    void accept() {
        for (int fd = accept_one(listener_); fd >= 0; fd = accept_one(listener_)) {
            auto connection = std::make_unique<Connection>();
            connection->fd = fd;
            poll_.add(fd, connection.get());
            Connection* const key = connection.get();
            connections_.emplace(key, std::move(connection));
        }
    }

    void close(Connection& connection) {
        if (connection.fd < 0) return;
        ::close(connection.fd);
        connection.fd = -1;
        if (!connection.answering) forget(connection);   // else the wheel does
    }

    // Kept until the turn ends: callers on the way back may still name it.
    void forget(Connection& connection) {
        const auto found = connections_.find(&connection);
        if (found == connections_.end()) return;
        gone_.push_back(std::move(found->second));
        connections_.erase(found);
    }

    void serve(Connection& connection) {
        if (connection.fd < 0) return;
        flush(connection);
        if (connection.fd < 0) return;
        const Got got = receive(connection.fd, connection.input);
        if (got == Got::kEnd) return close(connection);
        const size_t head = connection.input.find("\r\n\r\n");
        if (head == std::string::npos || connection.answering) return;
        const std::string_view text(connection.input);
        size_t length = text.substr(0, head).find("ontent-length:");
        if (length == std::string_view::npos) length = text.substr(0, head).find("ontent-Length:");
        const size_t body = length == std::string_view::npos ? 0 : std::strtoul(text.data() + length + 14, nullptr, 10);
        if (connection.input.size() < head + 4 + body) return;
        answer(connection, text.substr(0, head), text.substr(head + 4, body));
        connection.input.erase(0, head + 4 + body);
    }

    void answer(Connection& connection, std::string_view head, std::string_view body) {
        if (head.starts_with("GET ")) return put(connection, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        connection.stream = body.find("\"stream\":true") != std::string_view::npos;
        connection.usage = body.find("\"include_usage\":true") != std::string_view::npos;
        connection.events = number_behind(body, "\"max_tokens\":", 16);
        connection.sent = 0;
        connection.answering = true;
        connection.due_ms = now_ms() + options_.ttft_ms;
        if (options_.ttft_ms == 0) return step(connection);
        ++waiting_;
        plan(connection);
    }

    void plan(Connection& connection) {
        const auto due = std::max(static_cast<int64_t>(std::ceil(connection.due_ms)), turned_ms_ + 1);
        wheel_[static_cast<size_t>(due) % kTurnMs].push_back(&connection);
    }

    void turn() {
        const auto now = static_cast<int64_t>(now_ms());
        for (; turned_ms_ <= now; ++turned_ms_) {
            due_.swap(wheel_[static_cast<size_t>(turned_ms_) % kTurnMs]);
            for (Connection* connection : due_) {
                --waiting_;
                step(*connection);
            }
            due_.clear();
        }
    }

    // The next piece of an answer, and when the one behind it is due.
    void step(Connection& connection) {
        if (connection.fd < 0) return forget(connection);
        if (!connection.stream) {
            const std::string body = fmt::format(
                R"({{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"mock","choices":[{{"index":0,"message":)"
                R"({{"role":"assistant","content":"Hello there, how can I help you today?"}},"finish_reason":"stop"}}],{}}})",
                usage_of(10));
            connection.answering = false;
            return put(connection, fmt::format("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{}",
                                               body.size(), body));
        }
        std::string out;
        if (connection.sent == 0) {
            out = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        }
        out += event(fmt::format("\"content\":\"@{:019}.{}\"", now_ns(), connection.sent), "null");
        ++connection.sent;
        const bool last = connection.sent >= connection.events;
        if (last) {
            out += event({}, "\"stop\"");
            if (connection.usage) {
                out += chunk(fmt::format(R"({{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"mock",)"
                                         R"("choices":[],{}}})", usage_of(connection.events)));
            }
            out += chunk("[DONE]") + "0\r\n\r\n";
            connection.answering = false;
        } else {
            connection.due_ms += 1000 / options_.events_per_s;
            ++waiting_;
            plan(connection);
        }
        put(connection, out);
    }

    void put(Connection& connection, std::string_view bytes) {
        if (connection.unsent.empty()) {
            const long sent = send_some(connection.fd, bytes);
            if (sent < 0) return close(connection);
            bytes.remove_prefix(static_cast<size_t>(sent));
            if (bytes.empty()) return;
            poll_.change(connection.fd, &connection, true);
        }
        connection.unsent.append(bytes);
    }

    void flush(Connection& connection) {
        if (connection.unsent.empty()) return;
        const long sent = send_some(connection.fd, connection.unsent);
        if (sent < 0) return close(connection);
        connection.unsent.erase(0, static_cast<size_t>(sent));
        if (connection.unsent.empty()) poll_.change(connection.fd, &connection, false);
    }

    const UpstreamOptions options_;
    const int listener_;
    Poll poll_;
    int64_t begun_ns_ = 0;
    int64_t turned_ms_ = 0;
    size_t waiting_ = 0;   // on the wheel
    std::array<std::vector<Connection*>, kTurnMs> wheel_;
    std::vector<Connection*> due_;
    std::unordered_map<Connection*, std::unique_ptr<Connection>> connections_;
    std::vector<std::unique_ptr<Connection>> gone_;
};

}  // namespace

int run_upstream(const UpstreamOptions& options) { Upstream(options).run(); }

}  // namespace gantry::load
