#pragma once
// HTTP/1.1 for the whole of Gantry: a server, a client, streams. Knows no word of our domain. Built on Boost.Beast and Asio.
//
// Threads: everything here runs on one io_context with one thread (ADR 0002); handlers are coroutines on it and must never
// block: what blocks (database writes, password hashing, file reads) goes through BlockingPool::run. Nothing here is
// thread-safe except BlockingPool and asio::post onto the context.
//
// g++ 12 and coroutines: keep co_await out of conditional expressions and of argument lists that hold temporaries with
// initializer lists or designated initializers; name the value first, then co_await. So: Client::Call call{...};
// co_await client.send(endpoint, call); and never co_await client.send(endpoint, {...}), which frees the call twice.

#include <any>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "http/networks.h"

namespace gantry::http {

namespace asio = boost::asio;

template <class T>
using Task = asio::awaitable<T>;

// Header fields in order; names compare without case. Few enough for linear search. Their texts stand one behind the other in one
// string, since a request's many small ones would each be memory of its own.
class Headers {
public:
    using Field = std::pair<std::string_view, std::string_view>;   // name and value; as long as nothing is added or erased

    Headers() = default;
    Headers(std::initializer_list<Field> fields);
    std::string_view get(std::string_view name) const;  // the first one's value, or empty
    size_t count(std::string_view name) const;
    // No part of these very fields may be given to them.
    void set(std::string_view name, std::string_view value);   // replaces all of that name
    void add(std::string_view name, std::string_view value);
    void erase(std::string_view name);
    size_t size() const { return places_.size(); }

    class Iterator {
    public:
        Iterator(const Headers& headers, size_t index) : headers_(&headers), index_(index) {}
        Field operator*() const { return headers_->field(index_); }
        Iterator& operator++() { ++index_; return *this; }
        bool operator==(const Iterator& other) const { return index_ == other.index_; }

    private:
        const Headers* headers_;
        size_t index_;
    };
    Iterator begin() const { return {*this, 0}; }
    Iterator end() const { return {*this, places_.size()}; }

private:
    struct Place {   // of a name in the text, its value right behind it
        uint32_t at;
        uint32_t name_bytes;
        uint32_t value_bytes;
    };
    bool has_name(const Place& place, std::string_view name) const;
    Field field(size_t index) const {
        const Place& place = places_[index];
        const std::string_view text(text_);
        return {text.substr(place.at, place.name_bytes), text.substr(place.at + place.name_bytes, place.value_bytes)};
    }

    std::string text_;
    std::vector<Place> places_;
};

// A request as a handler sees it: read whole, within the server's limits.
struct Request {
    std::string method;                          // "GET"
    std::string target;                          // as sent: "/a/b%20c?x=1"
    std::string path;                            // decoded, duplicate and trailing slashes folded: "/a/b c"
    std::map<std::string, std::string> query;    // decoded; of equal names the last one
    std::map<std::string, std::string> params;   // what the route's {names} matched, decoded
    Headers headers;
    std::string body;
    std::string id;                              // x-request-id: ours, 24 characters; sent back with every answer
    std::string peer;                            // "127.0.0.1", "unix"; behind a trusted proxy the client that it names
    bool tls = false;                            // it came encrypted: to us, or to a trusted proxy
    std::string listener;                        // the name given to Server::listen_*: "public", "admin", "engine"; or to accept_mutual()
    std::string peer_certificate;                // the common name of the client's certificate, checked; empty: it showed none
    SteadyTime received_at{};                    // when the head was complete

    std::string_view query_value(const std::string& name) const;  // empty: absent
};

struct Response {
    int status = 200;
    Headers headers{};
    std::string body{};
};
Response text_response(int status, std::string body);
Response json_response(int status, std::string body);  // `body` is serialized JSON

// A connection that has left HTTP, or not reached it yet: bytes both ways. One read and one write at a time. Destroying it closes it.
class Stream {
public:
    struct State;   // the library's own
    explicit Stream(std::unique_ptr<State> state);
    ~Stream();
    Stream(Stream&&) noexcept;
    Stream& operator=(Stream&&) noexcept;
    // The next bytes; empty: the other side's end. kDeadlineExceeded: none within `timeout`; kUnavailable: it broke.
    Task<Result<std::string>> read(std::chrono::milliseconds timeout);
    Task<bool> write(std::string_view bytes, std::chrono::milliseconds timeout);   // false: it broke, or nobody took them
    void unread(std::string bytes);   // what read() gives first
    void end_sending();               // the other side reads its end; what it still sends can be read
    void close();                     // a read or write in progress fails
    bool dead() const;                // closed, by whom ever, or bytes came that nobody asked for. While nothing is in progress
    // Connects to "tcp:HOST:PORT" (HOST an address) or "unix:/path".
    static Task<Result<Stream>> connect(asio::io_context& io, std::string endpoint, std::chrono::milliseconds timeout);

private:
    friend class Client;
    std::unique_ptr<State> state_;
};
// Copies bytes both ways until one ends, then (after a proper end a second later) closes both. Whoever takes nothing for `patience` ends it, too.
Task<void> splice(Stream a, Stream b, std::chrono::milliseconds patience);

// One request and the way to answer it: either respond() once, or start_stream(), write()..., finish().
// A write that can't be delivered returns false: the client is gone, stop working. Slow readers: write() completes when the
// kernel took the bytes, and fails after ServerLimits::write_timeout; nothing is buffered beyond one write.
class Exchange {
public:
    virtual ~Exchange() = default;
    virtual const Request& request() const = 0;
    virtual Request& request() = 0;

    virtual Task<bool> respond(Response response) = 0;
    virtual Task<bool> start_stream(int status, Headers headers) = 0;   // chunked; text/event-stream gets no-buffering headers
    virtual Task<bool> write(std::string_view bytes) = 0;               // one chunk, flushed
    // The same without waiting: the bytes are kept, one chunk at most, and leave at the end of this turn of the loop. False: use write().
    virtual bool try_write(std::string_view) { return false; }
    virtual Task<bool> finish() = 0;                                    // the last chunk
    // Ends the connection after what was written, without a proper end of the body: the client sees a broken stream.
    virtual void abort() = 0;

    // Answers 101 to a request with `Upgrade: protocol`: the connection is the caller's from then on, and no longer the server's
    // to stop. nullopt: the client is gone.
    virtual Task<std::optional<Stream>> take_over(std::string protocol);

    virtual bool started() const = 0;       // an answer has begun
    virtual bool client_gone() const = 0;
    // Called at most once, on the io thread, as soon as the client's disconnect is seen, even while the handler waits for
    // something else. Set before waiting; replaced by a later call; cleared when the handler returns.
    virtual void on_client_gone(std::function<void()> callback) = 0;

    // For logs and metrics, once started(): the status sent, the bytes handed to the kernel (head included).
    virtual int status() const { return 0; }
    virtual uint64_t bytes_sent() const { return 0; }

    // What middleware learnt, for the handlers behind it (the principal). One value, typed by whoever owns the route table.
    std::any context;
    // Fields that go out with the answer, whichever it is; one that the answer has itself stays as it is. Set before it begins.
    Headers answer_headers;
    // What the handler knows for the request's line in the log: "user=ann model=tiny".
    std::string log_fields;
};

using Handler = std::function<Task<void>(Exchange&)>;

// A line of a route table. Pattern segments: literal, "{name}" (one segment), "{name...}" (the rest, slashes included).
struct Route {
    std::string method;
    std::string pattern;
    std::string access;   // a word that the authentication middleware understands; empty is refused at add()
    Handler handler;
    size_t body_bytes = 0;   // limit of the body; 0: ServerLimits::body_bytes. A path that no route has takes none.
};

class Router {
public:
    void add(Route route);                           // asserts: access set, no equal route
    const std::vector<Route>& routes() const { return routes_; }
    struct Match {
        const Route* route = nullptr;                // null: see path_known
        bool path_known = false;                     // some route has this path with another method: 405
        std::vector<std::string> allowed;            // those methods
        std::map<std::string, std::string> params;
    };
    // Literal segments win over {name}, which wins over {name...} (which also matches nothing: ""). HEAD falls back to GET.
    Match match(const std::string& method, const std::string& path) const;

private:
    std::vector<Route> routes_;
    std::vector<std::vector<std::string>> patterns_;  // the segments of routes_[i].pattern
    std::unordered_map<std::string, size_t> literal_; // "POST /a/b" of patterns without parameters
};

// Wraps the handler of every request, the first added outermost. `route` is null when nothing matched: the innermost then
// answers 404/405 through ServerOptions::error_response. A middleware answers by itself or awaits next(exchange).
using Next = std::function<Task<void>(Exchange&)>;
using Middleware = std::function<Task<void>(Exchange&, const Route* route, const Next& next)>;

struct ServerLimits {
    size_t header_bytes = 32 * 1024;                        // request line and fields; over: 431 (414 for the target)
    size_t target_bytes = 8 * 1024;
    size_t body_bytes = 32u << 20;                          // over: 413 before reading on
    size_t connections = 8192;                              // over: accept pauses; the last few are a Unix socket's
    std::chrono::milliseconds header_timeout{10'000};       // from the first byte of a head to its end; else 408 and close.
                                                            // From accept to the end of a TLS handshake; else close
    std::chrono::milliseconds body_timeout{60'000};
    std::chrono::milliseconds idle_timeout{75'000};         // keep-alive between requests; the first has header_timeout
    std::chrono::milliseconds write_timeout{60'000};        // a reader that takes nothing for so long is cut off
};

struct ServerOptions {
    ServerLimits limits;
    // The body of every error the server itself makes (400, 404, 405, 408, 413, 414, 431, 500), so that each API keeps its
    // own shape. `path` may be empty when the head was not readable.
    std::function<Response(int status, const std::string& message, const std::string& path)> error_response;
    // Whose X-Forwarded-For and X-Forwarded-Proto are believed; from all others they mean nothing.
    Networks trusted_proxies{};
};

class TlsIdentity;
class MutualTls;

class Server {
public:
    Server(asio::io_context& io, const Router& router, ServerOptions options);
    ~Server();
    void use(Middleware middleware);                                                   // before the first listen
    // Called for every request once its head is read and before its body is (Request::body is empty then). A response
    // returned is sent at once and the connection closed, the body unread: the place for 401 and 413. "Expect: 100-continue"
    // is answered only after it let the request pass. Must not block. Before the first listen; a later call replaces it.
    void on_head(std::function<std::optional<Response>(const Request& head)> check);
    // On every TCP port: who begins with TLS and names the protocol of `tls` (mutual_tls.h) gets its certificate, is asked for one,
    // and its requests have this `listener`. Before the first listen.
    void accept_mutual(std::shared_ptr<MutualTls> tls, std::string listener);
    // Port 0 takes a free one. Return the port bound. kConflict: in use.
    // With `tls` (tls_identity.h) it speaks HTTPS only; who speaks plain HTTP there is told so.
    Result<uint16_t> listen_tcp(const std::string& host, uint16_t port, const std::string& listener,
                                std::shared_ptr<TlsIdentity> tls = nullptr);
    // Replaces a stale socket file; mode 0600. kInvalidArgument: path over 107 bytes.
    Status listen_unix(const std::string& path, const std::string& listener);
    // Stops accepting, lets exchanges in flight go on until the deadline, then cuts them. Idle connections close at once.
    Task<void> stop(Deadline deadline);
    size_t connections() const;
    size_t exchanges() const;                                                          // in flight

private:
    struct State;
    std::shared_ptr<State> state_;
};

// Where a client connects: "tcp:HOST:PORT", "tls:HOST:PORT" or "unix:/path" (HOST an IP or a name, which the certificate of tls:
// must be of).
// Makes connections to endpoints that only its owner understands.
using Dialer = std::function<Task<Result<Stream>>(std::string endpoint, SteadyTime deadline)>;

struct ClientOptions {
    std::chrono::milliseconds connect_timeout{5'000};
    std::chrono::milliseconds header_timeout{600'000};     // request sent to head of the answer
    std::chrono::milliseconds idle_timeout{120'000};       // between two reads of the body
    size_t head_bytes = 64 * 1024;
    size_t body_bytes = 64u << 20;                         // of a body read whole
    std::string ca_file{};                                 // of tls: the authorities to trust, PEM; empty: the system's
    std::shared_ptr<MutualTls> mutual{};                   // of tls: this instead. Shared with whoever made it
    std::string dialed_prefix{};                           // endpoints that begin so,
    Dialer dialer{};                                       // are connected to by this
};

// The reason of the error where a connection was made and TLS on it was not: another certificate, or no TLS at all there.
inline constexpr char kTlsFailed[] = "tls_failed";

// The answer to a request, its body still to be read.
class ClientResponse {
public:
    virtual ~ClientResponse() = default;
    virtual int status() const = 0;
    virtual const Headers& headers() const = 0;
    // The next piece of the body as it arrives; empty: the proper end. An error: broken, too slow, cancelled.
    virtual Task<Result<std::string>> read() = 0;
    virtual Task<Result<std::string>> read_all() = 0;
    // read() in two steps, for whoever reads much: what is there already, as long as nothing else is asked of this; nullopt: nothing yet.
    virtual std::optional<Result<std::string_view>> try_read() = 0;
    virtual Task<void> wait() = 0;   // then try_read() again
    // Closes the connection now; a read in progress fails with kCancelled. Destroying an unfinished response does so too.
    virtual void cancel() = 0;
};

// Ends a call from outside: cancel() makes Client::send, or a read() of the response it gave, fail with kCancelled at once
// and closes that connection; later it does nothing. Copies stand for the same call. One call each; the client's thread.
//   Canceller stop;
//   exchange.on_client_gone([stop]() mutable { stop.cancel(); });
//   auto response = co_await client.send(endpoint, std::move(call), stop);
class Canceller {
public:
    Canceller();
    void cancel();
    bool cancelled() const;
    struct State;  // the library's own

private:
    friend class Client;
    std::shared_ptr<State> state_;  // shared: copies stand for the same call
};

// Keeps connections alive and reuses them, per endpoint. One io_context, one thread.
class Client {
public:
    explicit Client(asio::io_context& io, ClientOptions options = {});
    ~Client();
    struct Call {
        std::string method = "GET";
        std::string target = "/";
        Headers headers{};
        std::string body{};
    };
    // Fails with kUnavailable when nothing was answered (refused, reset before the head), kDeadlineExceeded when too slow.
    // A kept connection that turns out closed before any byte of the answer is retried once on a fresh one.
    Task<Result<std::unique_ptr<ClientResponse>>> send(std::string endpoint, Call call);
    Task<Result<std::unique_ptr<ClientResponse>>> send(std::string endpoint, Call call, Canceller canceller);
    // Asks on a connection of its own to leave HTTP for `protocol`, and gives it once the server has agreed (101). An error of
    // another answer has its status in `reason`: "status 403".
    Task<Result<Stream>> upgrade(std::string endpoint, Call call, std::string protocol);
    // Cancels nothing in flight; closes kept idle connections.
    void close_idle();

private:
    struct State;
    std::shared_ptr<State> state_;
};

// Blocking calls for the CLI and tests: one request, the whole body.
struct SimpleResponse {
    int status = 0;
    Headers headers;
    std::string body;
};
Result<SimpleResponse> fetch(const std::string& endpoint, const Client::Call& call, const ClientOptions& options = {});
// Blocking, the body piece by piece; `sink` returns false to stop. The body of a status of 400 and above goes into
// SimpleResponse::body instead and the sink isn't called.
Result<SimpleResponse> fetch_stream(const std::string& endpoint, const Client::Call& call,
                                    const std::function<bool(std::string_view)>& sink, const ClientOptions& options = {});

// Server-sent events. The reader takes bytes as they come and gives whole events; it bounds a line at `line_bytes`.
struct SseEvent {
    std::string event;  // empty: "message"
    std::string data;   // lines joined by \n
};
// The same as views.
struct SseView {
    SseView() = default;
    SseView(std::string_view e, std::string_view d) : event(e), data(d) {}
    SseView(const SseEvent& whole) : event(whole.event), data(whole.data) {}   // NOLINT: implicit by design
    std::string_view event;
    std::string_view data;
};
class SseReader {
public:
    explicit SseReader(size_t line_bytes = 4u << 20) : line_bytes_(line_bytes) {}
    // Appends bytes, returns the events completed by them. kInvalidArgument: a line or event over the limit.
    Result<std::vector<SseEvent>> feed(std::string_view bytes);
    // The same one by one, and mostly without a copy: add(), whose bytes stay where they are until next() says that there is none. An
    // event lasts until the call behind it.
    void add(std::string_view bytes) { rest_ = bytes; }
    Result<bool> next(SseView& event);
    bool mid_event() const { return !buffer_.empty() || has_data_; }

private:
    bool give(SseView& event);
    Status take_line(std::string_view line, bool stays);
    void keep_data();

    size_t line_bytes_;
    std::string_view rest_;  // of the bytes added
    std::string buffer_;     // the beginning of a line
    std::string event_;      // of the event in progress; and its lines of data, each with a line feed
    std::string data_;
    std::string_view only_;  // its data where that is one line of the bytes added, and data_ is empty
    bool has_data_ = false;
    bool given_ = false;     // what event_ and data_ hold is forgotten with the next call
    bool skip_lf_ = false;   // the last byte was a CR that ended a line; an LF right behind it belongs to it
    bool started_ = false;   // a byte order mark may only stand at the very start
};
std::string sse_event(std::string_view data, std::string_view event = {});   // "event: e\ndata: ...\n\n"
inline constexpr std::string_view kSsePing = ": ping\n\n";

// Runs what blocks on a few threads and resumes the coroutine on its own executor.
class BlockingPool {
public:
    explicit BlockingPool(size_t threads);
    ~BlockingPool();  // waits for what runs
    template <class Work>  // Work() -> R, not void
    auto run(Work work) -> Task<decltype(work())>;
    asio::thread_pool& pool() { return *pool_; }

private:
    std::unique_ptr<asio::thread_pool> pool_;
};

// Runs `work` on the io thread before anything leaves that was written in this turn of the loop. False: no turn is on (the caller came
// by a timer or a post), and nothing was kept.
bool before_sends(asio::io_context& io, std::function<void()> work);

// Sleeps on the calling coroutine's executor.
Task<void> sleep_for(std::chrono::milliseconds duration);

// Wakes coroutines of one io thread: notify() resumes every wait() begun before it. wait() returns false on timeout.
class Signal {
public:
    explicit Signal(asio::io_context& io);
    ~Signal();
    void notify();
    Task<bool> wait(std::chrono::milliseconds timeout);

private:
    struct State;
    std::shared_ptr<State> state_;
};

}  // namespace gantry::http

#include "http/blocking_pool_impl.h"
