// Many users on one loop: each asks, reads its answer to the end, asks again.

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <vector>

#include "answer_parser.h"
#include "histogram.h"
#include "load.h"
#include "sockets.h"

namespace gantry::load {
namespace {

constexpr int kFailuresMax = 10'000;   // then nothing is to be learnt any more

struct Tally {
    uint64_t answered = 0, failed = 0, events = 0, out_of_order = 0;
    std::map<std::string, uint64_t> failures;
    Histogram whole, first_event, delay, steady_delay;   // steady: while every connection had a stream
    Histogram last_second;                                // delays since the line before
};

std::string request_text(const ClientOptions& options) {
    std::string body = fmt::format(R"({{"model":"{}",{}"max_tokens":{},"messages":[{{"role":"user","content":")", options.model,
                                   options.stream ? R"("stream":true,"stream_options":{"include_usage":true},)" : "", options.events);
    const std::string end = "\"}]}";
    constexpr std::string_view kWords = "the quick brown fox jumps over the lazy dog and ";
    while (body.size() + end.size() < options.body_bytes) body.push_back(kWords[body.size() % kWords.size()]);
    body += end;
    return fmt::format("POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\n{}"
                       "Content-Length: {}\r\n\r\n{}",
                       options.port, options.key.empty() ? "" : fmt::format("Authorization: Bearer {}\r\n", options.key), body.size(), body);
}

class Client;

// One connection's part.
struct User {
    explicit User(Client& owner) : parser([this](std::string_view bytes) { take_body(bytes); }), client(owner) {}
    void take_body(std::string_view bytes);
    void take_line(std::string_view text);

    int fd = -1;
    AnswerParser parser;
    std::string line;         // of the stream, not yet whole
    size_t unsent = 0;        // of the request
    int64_t asked_ns = 0;
    int64_t begin_ns = 0;     // when it is to ask first
    int chats = 0;
    int events = 0;           // of this answer
    bool ended = false;       // [DONE] was seen
    bool broken = false;      // an error event was seen
    bool reused = false;      // this connection had an answer before
    bool over = false;
    Client& client;
};

class Client {
public:
    explicit Client(const ClientOptions& options) : options_(options), request_(request_text(options)) {}

    int run() {
        begun_ns_ = now_ns();
        for (int i = 0; i < options_.connections; ++i) {
            users_.push_back(std::make_unique<User>(*this));
            users_.back()->begin_ns = begun_ns_ + static_cast<int64_t>(options_.ramp_ms) * 1'000'000 * i / options_.connections;
        }
        int64_t next_line_ns = begun_ns_ + 1'000'000'000;
        while (over_ < users_.size()) {
            begin_due();
            poll_.wait(begun_ < users_.size() ? 1 : 100, [this](void* owner) { serve(*static_cast<User*>(owner)); });
            if (options_.progress && now_ns() >= next_line_ns) {
                tell_progress();
                next_line_ns += 1'000'000'000;
            }
            if (tally_.failed >= kFailuresMax) break;
        }
        tell_result();
        return 0;
    }

    void event_came(User& user, std::string_view mark) {
        const int64_t now = now_ns();
        char* end = nullptr;
        const int64_t sent = std::strtoll(mark.data(), &end, 10);
        const long number = *end == '.' ? std::strtol(end + 1, nullptr, 10) : -1;
        if (number != user.events) ++tally_.out_of_order;
        if (++user.events == 1) {
            tally_.first_event.add(now - user.asked_ns);
            ++streaming_;
            steady_ = steady_ || streaming_ == users_.size();
        }
        ++tally_.events;
        tally_.delay.add(now - sent);
        if (options_.progress) tally_.last_second.add(now - sent);
        if (steady_) tally_.steady_delay.add(now - sent);
    }

private:
    void begin_due() {
        const int64_t now = now_ns();
        for (; begun_ < users_.size() && users_[begun_]->begin_ns <= now; ++begun_) ask(*users_[begun_]);
    }

    bool wants_more(const User& user) const {
        if (options_.seconds > 0) return static_cast<double>(now_ns() - begun_ns_) < options_.seconds * 1e9;
        return user.chats < options_.chats;
    }

    void ask(User& user) {
        user.parser.reset();
        user.line.clear();
        user.events = 0;
        user.ended = user.broken = false;
        user.asked_ns = now_ns();
        ++user.chats;
        if (user.fd < 0) {
            user.fd = connect_to(options_.port);
            if (user.fd < 0) return fail(user, "refused");
            user.reused = false;
            user.unsent = request_.size();
            poll_.add(user.fd, &user, true);   // sent once it is connected
            return;
        }
        user.unsent = request_.size();
        send(user);
    }

    void send(User& user) {
        const long sent = send_some(user.fd, std::string_view(request_).substr(request_.size() - user.unsent));
        if (sent < 0) return fail(user, "broken while sending");
        const bool waited = user.unsent != request_.size() || !user.reused;
        user.unsent -= static_cast<size_t>(sent);
        if (user.unsent > 0) {
            poll_.change(user.fd, &user, true);
        } else if (waited) {
            poll_.change(user.fd, &user, false);
        }
    }

    void serve(User& user) {
        if (user.fd < 0) return;
        if (user.unsent > 0) {
            send(user);
            if (user.fd < 0) return;
        }
        input_.clear();
        const Got got = receive(user.fd, input_);
        if (got == Got::kNothing) return;
        if (got == Got::kEnd) return fail(user, user.events > 0 ? "closed in a stream" : "closed");
        if (!user.parser.feed(input_)) return fail(user, "no HTTP answer");
        if (user.parser.done()) finish(user);
    }

    void finish(User& user) {
        if (user.parser.status() != 200) return fail(user, fmt::format("status {}", user.parser.status()));
        if (options_.stream && (user.broken || !user.ended || user.events != options_.events)) {
            return fail(user, user.broken ? "error event" : "events are missing");
        }
        ++tally_.answered;
        tally_.whole.add(now_ns() - user.asked_ns);
        user.reused = true;
        if (!user.parser.keeps_alive()) close(user);
        next(user);
    }

    void close(User& user) {
        if (user.fd >= 0) ::close(user.fd);
        user.fd = -1;
    }

    void fail(User& user, const std::string& why) {
        ++tally_.failed;
        ++tally_.failures[why];
        close(user);
        next(user);
    }

    void next(User& user) {
        if (user.events > 0) {
            --streaming_;
            user.events = 0;
        }
        if (options_.chats == 1 && options_.seconds == 0) steady_ = false;   // the first that ends
        if (tally_.failed < kFailuresMax && wants_more(user)) return ask(user);
        close(user);
        ++over_;
    }

    static std::string shown(const Histogram& times) {
        return fmt::format(R"({{"count":{},"mean":{:.2f},"p50":{:.2f},"p90":{:.2f},"p99":{:.2f},"p999":{:.2f},"max":{:.2f}}})", times.count(),
                           times.mean_us(), times.percentile_us(50), times.percentile_us(90), times.percentile_us(99),
                           times.percentile_us(99.9), times.max_us());
    }

    double seconds() const { return static_cast<double>(now_ns() - begun_ns_) / 1e9; }

    void tell_progress() {
        std::printf("%s\n", fmt::format(R"({{"t":{:.3f},"events":{},"streaming":{},"steady":{},"delay_us":{}}})", seconds(), tally_.events,
                                        streaming_, steady_ ? "true" : "false", shown(tally_.last_second)).c_str());
        std::fflush(stdout);
        tally_.last_second = {};
    }

    void tell_result() {
        rusage used{};
        ::getrusage(RUSAGE_SELF, &used);
        const auto in_seconds = [](const timeval& time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6; };
        std::string failures;
        for (const auto& [why, count] : tally_.failures) failures += fmt::format("{}\"{}\":{}", failures.empty() ? "" : ",", why, count);
        std::printf("%s\n", fmt::format(
            R"({{"seconds":{:.3f},"answered":{},"failed":{},"failures":{{{}}},"events":{},"out_of_order":{},"client_cpu_s":{:.3f},)"
            R"("whole_us":{},"first_event_us":{},"delay_us":{},"steady_delay_us":{}}})",
            seconds(), tally_.answered, tally_.failed, failures, tally_.events, tally_.out_of_order,
            in_seconds(used.ru_utime) + in_seconds(used.ru_stime), shown(tally_.whole), shown(tally_.first_event), shown(tally_.delay),
            shown(tally_.steady_delay)).c_str());
    }

    const ClientOptions options_;
    const std::string request_;
    Poll poll_;
    Tally tally_;
    std::vector<std::unique_ptr<User>> users_;
    std::string input_;
    size_t begun_ = 0, over_ = 0, streaming_ = 0;
    bool steady_ = false;
    int64_t begun_ns_ = 0;
};

void User::take_body(std::string_view bytes) {
    for (size_t end; (end = bytes.find('\n')) != std::string_view::npos; bytes.remove_prefix(end + 1)) {
        line.append(bytes.substr(0, end));   // ended by a NUL, which the number behind a mark needs
        if (!line.empty()) take_line(line);
        line.clear();
    }
    line.append(bytes);
}

void User::take_line(std::string_view text) {
    if (!text.starts_with("data: ")) return;
    const size_t mark = text.find(kMark);
    if (mark != std::string_view::npos) {
        client.event_came(*this, text.substr(mark + sizeof(kMark) - 1));
    } else if (text.starts_with("data: [DONE]")) {
        ended = true;
    } else if (text.starts_with("data: {\"error\"")) {
        broken = true;
    }
}

}  // namespace

int run_client(const ClientOptions& options) { return Client(options).run(); }

}  // namespace gantry::load
