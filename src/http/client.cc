#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <charconv>
#include <unordered_map>

#include "http/client_call.h"
#include "http/http.h"
#include "http/message_head.h"
#include "http/mutual_tls.h"
#include "http/stream_state.h"

namespace gantry::http {
namespace {

using boost::system::error_code;
using RawEndpoint = asio::generic::stream_protocol::endpoint;

// Connections kept for each endpoint, and for how long: less than our own server's idle_timeout, so that the race of a reuse
// with the other side's close is rare.
constexpr size_t kKeptMax = 64;
constexpr std::chrono::seconds kKeptFor{30};
constexpr std::chrono::seconds kSweptEvery{1};
// The kernel is not asked whether the other side has closed one that was used so lately: the poller has told by now, or else the
// call finds out and is made again.
constexpr std::chrono::milliseconds kFreshFor{500};
// A peer that changed protocol with us: whoever reads at its end may rest a while.
constexpr std::chrono::seconds kVanishedAfter{30};

SteadyTime now() { return std::chrono::steady_clock::now(); }

struct Endpoint {
    std::string host{};       // empty: a Unix socket
    bool tls = false;
    bool dialed = false;      // by ClientOptions::dialer
    uint16_t port = 0;
    std::string socket_path{};
    std::string host_header{};
};

Result<Endpoint> parse_endpoint(const std::string& text) {
    Endpoint endpoint;
    if (text.starts_with("unix:")) {
        endpoint.socket_path = text.substr(5);
        endpoint.host_header = "localhost";
        if (endpoint.socket_path.empty() || endpoint.socket_path.size() >= sizeof(sockaddr_un::sun_path)) {
            return invalid_argument("the path of a socket must have 1 to 107 bytes");
        }
        return endpoint;
    }
    endpoint.tls = text.starts_with("tls:");
    if (endpoint.tls || text.starts_with("tcp:")) {
        const size_t colon = text.rfind(':');
        const std::string port = text.substr(colon + 1);
        endpoint.host = colon > 4 ? text.substr(4, colon - 4) : std::string();
        endpoint.host_header = endpoint.tls && port == "443" ? text.substr(4, colon - 4) : text.substr(4);
        if (endpoint.host.starts_with('[') && endpoint.host.ends_with(']')) {
            endpoint.host = endpoint.host.substr(1, endpoint.host.size() - 2);
        }
        const auto [end, failed] = std::from_chars(port.data(), port.data() + port.size(), endpoint.port);
        if (failed == std::errc{} && end == port.data() + port.size() && endpoint.port != 0 && !endpoint.host.empty()) {
            return endpoint;
        }
    }
    return invalid_argument("an endpoint is written tcp:HOST:PORT, tls:HOST:PORT or unix:/path");
}

Error cancelled_error() { return Error{ErrorCode::kCancelled, "the caller went away", {}, {}}; }
Error late_error(const char* what) {
    return Error{ErrorCode::kDeadlineExceeded, std::string(what) + " took too long", {}, {}};
}
Error broken_error(std::string what, const std::string& why) {
    if (!why.empty()) what.append(": ").append(why);
    return unavailable(std::move(what));
}

}  // namespace

// ---- cancelling

Canceller::Canceller() : state_(std::make_shared<State>()) {}
bool Canceller::cancelled() const { return state_->cancelled; }
void Canceller::cancel() {
    if (state_->cancelled) return;
    state_->cancelled = true;
    if (const auto socket = std::exchange(state_->socket, {}).lock()) socket->close();
    if (const auto hook = std::exchange(state_->hook, nullptr)) hook();
}

// ---- the pool

struct Client::State : ConnectionPool {
    State(asio::io_context& context, ClientOptions o) : io(context), options(std::move(o)) {}

    struct Kept {
        std::unique_ptr<ClientConnection> connection;
        SteadyTime since;
    };
    struct Peer {
        Endpoint address;
        std::vector<Kept> kept{};  // the youngest last
    };
    asio::io_context& io;
    ClientOptions options;
    std::unordered_map<std::string, Peer> peers;  // by endpoint: each is read once while connections to it are kept
    SteadyTime swept_at{};
    TlsContext tls;                               // made when first needed

    // Valid until the next call.
    Result<Peer*> peer(const std::string& endpoint) {
        sweep();
        if (const auto found = peers.find(endpoint); found != peers.end()) return &found->second;
        if (options.dialer && endpoint.starts_with(options.dialed_prefix)) {
            return &peers.emplace(endpoint, Peer{.address = Endpoint{.dialed = true, .host_header = "localhost"}}).first->second;
        }
        auto address = parse_endpoint(endpoint);
        if (!address) return std::move(address).error();
        return &peers.emplace(endpoint, Peer{std::move(address).value()}).first->second;
    }
    void give_back(const std::string& endpoint, std::unique_ptr<ClientConnection> connection) override {
        const auto known = peer(endpoint);
        if (!known) return;
        auto& list = (*known)->kept;
        if (list.size() >= kKeptMax) list.erase(list.begin());
        list.push_back({std::move(connection), now()});
    }
    static std::unique_ptr<ClientConnection> take(Peer& peer) {
        const SteadyTime time = now();
        while (!peer.kept.empty()) {
            Kept last = std::move(peer.kept.back());
            peer.kept.pop_back();
            const bool old = last.since < time - kKeptFor;
            const bool fresh = last.since > time - kFreshFor;
            if (!old && !last.connection->socket->is_dead_while_idle(fresh)) return std::move(last.connection);
        }
        return nullptr;
    }
    // Old ones go when anything is sent or given back; engines come and go, and each leaves an endpoint behind.
    void sweep() {
        const SteadyTime time = now();
        if (time - swept_at < kSweptEvery) return;
        swept_at = time;
        for (auto it = peers.begin(); it != peers.end();) {
            auto& list = it->second.kept;
            std::erase_if(list, [oldest = time - kKeptFor](const Kept& one) { return one.since < oldest; });
            it = list.empty() ? peers.erase(it) : std::next(it);
        }
    }

    Task<Result<std::vector<RawEndpoint>>> resolve(const Endpoint& endpoint, SteadyTime deadline, Canceller::State& canceller);
    Task<Result<std::unique_ptr<ClientConnection>>> connect(const std::string& text, Canceller::State& canceller);
    Task<Status> start_tls(TimedSocket& socket, const std::string& host, SteadyTime deadline);
};

Client::Client(asio::io_context& io, ClientOptions options) : state_(std::make_shared<State>(io, std::move(options))) {}
Client::~Client() { state_->peers.clear(); }
void Client::close_idle() { state_->peers.clear(); }

Task<Result<std::vector<RawEndpoint>>> Client::State::resolve(const Endpoint& endpoint, SteadyTime deadline,
                                                              Canceller::State& canceller) {
    std::vector<RawEndpoint> found;
    if (endpoint.host.empty()) {
        found.emplace_back(asio::local::stream_protocol::endpoint(endpoint.socket_path));
        co_return found;
    }
    error_code ec;
    const auto literal = asio::ip::make_address(endpoint.host, ec);
    if (!ec) {
        found.emplace_back(asio::ip::tcp::endpoint(literal, endpoint.port));
        co_return found;
    }
    // Both callbacks hold it, and one of them may come late.
    auto resolver = std::make_shared<asio::ip::tcp::resolver>(io);
    asio::steady_timer timer(io, deadline);
    timer.async_wait([resolver](const error_code& failed) {
        if (!failed) resolver->cancel();
    });
    canceller.hook = [resolver] { resolver->cancel(); };
    const std::string port = std::to_string(endpoint.port);
    const auto results =
        co_await resolver->async_resolve(endpoint.host, port, asio::redirect_error(asio::use_awaitable, ec));
    canceller.hook = nullptr;
    if (canceller.cancelled) co_return cancelled_error();
    if (ec == asio::error::operation_aborted) co_return late_error("looking up the host's name");
    if (ec) co_return unavailable("the host's name could not be looked up: " + ec.message());
    for (const auto& one : results) found.emplace_back(one.endpoint());
    co_return found;
}

Task<Result<std::unique_ptr<ClientConnection>>> Client::State::connect(const std::string& text, Canceller::State& canceller) {
    const auto known = peer(text);
    if (!known) co_return known.error();
    const Endpoint endpoint = (*known)->address;   // of a peer that may go while we wait
    const SteadyTime deadline = now() + options.connect_timeout;
    if (endpoint.dialed) {
        auto stream = co_await options.dialer(text, deadline);
        if (canceller.cancelled) co_return cancelled_error();
        if (!stream) co_return std::move(stream).error();
        auto connection = std::make_unique<ClientConnection>();
        connection->socket = stream->state_->socket;
        connection->input = std::move(stream->state_->input);
        stream->state_->socket = nullptr;
        co_return connection;
    }
    auto addresses = co_await resolve(endpoint, deadline, canceller);
    if (!addresses) co_return std::move(addresses).error();
    Error last = unavailable("the host's name has no address");
    for (const RawEndpoint& address : *addresses) {
        auto connection = std::make_unique<ClientConnection>();
        connection->socket = std::make_shared<TimedSocket>(io);
        canceller.socket = connection->socket;
        const Io connected = co_await connection->socket->connect(address, deadline);
        Status secured = Ok{};
        if (connected == Io::kOk && endpoint.tls) secured = co_await start_tls(*connection->socket, endpoint.host, deadline);
        canceller.socket.reset();
        if (canceller.cancelled) co_return cancelled_error();
        if (!secured) co_return secured.error();
        if (connected == Io::kOk) {
            const int on = 1;
            ::setsockopt(connection->socket->native_handle(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
            co_return connection;
        }
        if (connected == Io::kTimeout) co_return late_error("connecting");
        last = broken_error("could not connect", connection->socket->last_error());
    }
    co_return last;
}

Task<Status> Client::State::start_tls(TimedSocket& socket, const std::string& host, SteadyTime deadline) {
    if (!tls && !options.mutual) {
        auto made = client_tls_context(options.ca_file);
        if (!made) co_return std::move(made).error();
        tls = std::move(made).value();
    }
    auto session = options.mutual ? TlsSession::connect(*options.mutual) : TlsSession::connect(tls.get(), host);
    Io started = co_await socket.start_tls(std::move(session), deadline);
    if (started == Io::kOk && options.mutual && socket.tls()->protocol() != options.mutual->protocol()) {
        Error other = unavailable("what listens there does not speak " + options.mutual->protocol());
        other.reason = kTlsFailed;
        co_return other;
    }
    if (started == Io::kOk) co_return Ok{};
    if (started == Io::kTimeout) co_return late_error("the TLS handshake");
    Error failed = broken_error("no TLS connection could be made", socket.last_error());
    failed.reason = kTlsFailed;
    co_return failed;
}

// ---- a call

ClientCall::ClientCall(std::weak_ptr<ConnectionPool> pool, std::string endpoint,
                       std::unique_ptr<ClientConnection> connection, const ClientOptions& options, bool answers_head,
                       std::shared_ptr<Canceller::State> canceller)
    : pool_(std::move(pool)),
      endpoint_(std::move(endpoint)),
      connection_(std::move(connection)),
      socket_(connection_->socket),
      header_timeout_(options.header_timeout),
      idle_timeout_(options.idle_timeout),
      body_bytes_(options.body_bytes),
      reader_(options.head_bytes, answers_head),
      canceller_(std::move(canceller)) {
    canceller_->socket = socket_;
}

ClientCall::~ClientCall() { drop(); }

void ClientCall::drop() {
    if (connection_ == nullptr) return;
    canceller_->socket.reset();
    socket_->close();
    connection_.reset();
}

void ClientCall::cancel() {
    canceller_->cancelled = true;
    if (connection_ != nullptr) socket_->close();  // a read in progress sees it and lets go of the rest
}

void ClientCall::release() {
    if (connection_ == nullptr) return;
    const auto pool = pool_.lock();
    if (pool == nullptr || !reader_.keep_alive() || !connection_->input.empty() || canceller_->cancelled) return drop();
    canceller_->socket.reset();
    socket_.reset();
    pool->give_back(endpoint_, std::move(connection_));
}

// What has come goes straight to the parser, and only what it leaves is kept.
void ClientCall::parse(std::string_view bytes) {
    received_ = true;
    std::string& input = connection_->input;
    if (!input.empty()) {
        input.append(bytes);
        input.erase(0, reader_.feed(input));
        return;
    }
    const size_t used = reader_.feed(bytes);
    if (used < bytes.size()) input.assign(bytes.substr(used));
}

Io ClientCall::receive() {
    std::string_view bytes;
    const Io got = socket_->try_read(bytes, kReadBytesMax);
    if (got == Io::kOk) parse(bytes);
    return got;
}

// What a read gave means.
ClientCall::Progress ClientCall::take(Io got) {
    if (canceller_->cancelled) return Progress::kCancelled;
    switch (got) {
        case Io::kOk:
            break;
        case Io::kEnd:
            reader_.feed_end();
            ended_ = true;
            break;
        case Io::kTimeout:
            return Progress::kLate;
        default:
            ended_ = true;
            return Progress::kBroken;
    }
    return reader_.failure() ? Progress::kBroken : Progress::kOk;
}

Error ClientCall::error_of(Progress progress, const char* what) const {
    switch (progress) {
        case Progress::kCancelled:
            return cancelled_error();
        case Progress::kLate:
            return late_error(what);
        default:
            break;
    }
    if (reader_.failure()) return unavailable(std::string(what) + " broke off: " + *reader_.failure());
    return broken_error(std::string(what) + " broke off", socket_ ? socket_->last_error() : "");
}

Task<Result<Ok>> ClientCall::start(std::string_view head, std::string_view body) {
    const SteadyTime deadline = now() + header_timeout_;
    std::array<iovec, 2> parts = {iovec{const_cast<char*>(head.data()), head.size()},
                                  iovec{const_cast<char*>(body.data()), body.size()}};
    std::span<iovec> left(parts);
    Io sent = socket_->try_write(left);
    if (sent == Io::kWouldBlock) sent = co_await socket_->write(left, header_timeout_);
    if (canceller_->cancelled) co_return cancelled_error();
    if (sent == Io::kTimeout) co_return late_error("sending the request");
    // After a failed write there may still be an answer to read: a server that refuses a body answers and closes.
    while (!reader_.head_done()) {
        const auto socket = socket_;
        Io got = receive();
        if (got == Io::kWouldBlock) {
            got = co_await socket->wait_for_more(deadline);
            if (got == Io::kOk && !canceller_->cancelled) continue;
        }
        const Progress progress = take(got);
        if (progress != Progress::kOk) co_return error_of(progress, "the answer");
    }
    if (reader_.done()) release();
    co_return Ok{};
}

std::optional<Result<std::string_view>> ClientCall::try_read() {
    using Piece = Result<std::string_view>;
    if (std::exchange(given_, false)) reader_.body().clear();
    while (true) {
        if (!reader_.body().empty()) {
            given_ = true;
            return Piece(reader_.body());
        }
        if (canceller_->cancelled && connection_ != nullptr) {
            drop();
            return Piece(cancelled_error());
        }
        if (reader_.done()) {
            release();
            return Piece(std::string_view());
        }
        if (connection_ == nullptr) return Piece(failed_.value_or(cancelled_error()));
        Io got = std::exchange(waited_, Io::kOk);
        if (got == Io::kOk) got = receive();
        if (got == Io::kWouldBlock) return std::nullopt;
        const Progress progress = take(got);
        if (progress != Progress::kOk) {
            failed_ = error_of(progress, "the answer's body");
            drop();
            return Piece(*failed_);
        }
        if (reader_.done()) release();
    }
}

Task<void> ClientCall::wait() {
    const auto socket = socket_;  // this call may be let go of while it waits
    if (socket) waited_ = co_await socket->wait_for_more(now() + idle_timeout_);
}

Task<Result<std::string>> ClientCall::read() {
    while (true) {
        const auto piece = try_read();
        if (piece && !*piece) co_return piece->error();
        if (piece) co_return std::string(**piece);
        co_await wait();
    }
}

Task<Result<std::string>> ClientCall::read_all() {
    std::string body;
    if (!given_) body = std::exchange(reader_.body(), {});   // a short answer comes with its head
    while (true) {
        if (body.size() > body_bytes_) {
            drop();
            co_return Error{ErrorCode::kTooLarge, "the answer is longer than the limit of " + std::to_string(body_bytes_) + " bytes",
                            {}, {}};
        }
        if (reader_.done() && (given_ || reader_.body().empty())) {
            release();
            co_return body;
        }
        const auto piece = try_read();
        if (piece && !*piece) co_return piece->error();
        if (piece && (*piece)->empty()) co_return body;
        if (piece) body.append(**piece);
        else co_await wait();
    }
}

Task<Result<std::unique_ptr<ClientResponse>>> Client::send(std::string endpoint, Call call) {
    return send(std::move(endpoint), std::move(call), Canceller());
}

Task<Result<std::unique_ptr<ClientResponse>>> Client::send(std::string endpoint, Call call, Canceller canceller) {
    const std::shared_ptr<State> state = state_;  // the Client may go while we wait
    auto peer = state->peer(endpoint);
    if (!peer) co_return std::move(peer).error();
    const auto head = make_request_head(call, (*peer)->address.host_header);
    if (!head) co_return head.error();
    const bool answers_head = call.method == "HEAD";
    for (int attempt = 0;; ++attempt) {
        if (canceller.cancelled()) co_return cancelled_error();
        std::unique_ptr<ClientConnection> connection = attempt == 0 ? State::take(**peer) : nullptr;
        const bool reused = connection != nullptr;
        if (!reused) {
            auto connected = co_await state->connect(endpoint, *canceller.state_);
            if (!connected) co_return std::move(connected).error();
            connection = std::move(connected).value();
        }
        auto response = std::make_unique<ClientCall>(state, endpoint, std::move(connection), state->options, answers_head,
                                                     canceller.state_);
        const auto started = co_await response->start(*head, call.body);
        if (started) co_return std::unique_ptr<ClientResponse>(std::move(response));
        if (!(reused && response->went_stale())) co_return started.error();
    }
}

Task<Result<Stream>> Client::upgrade(std::string endpoint, Call call, std::string protocol) {
    const std::shared_ptr<State> state = state_;  // the Client may go while we wait
    if (!call.body.empty()) co_return invalid_argument("a request to leave HTTP has no body");
    call.headers.set("upgrade", protocol);
    auto peer = state->peer(endpoint);
    if (!peer) co_return std::move(peer).error();
    auto head = make_request_head(call, (*peer)->address.host_header);
    if (!head) co_return head.error();
    head->insert(head->size() - 2, "connection: upgrade\r\n");
    Canceller canceller;
    auto connected = co_await state->connect(endpoint, *canceller.state_);
    if (!connected) co_return std::move(connected).error();
    Stream stream(std::make_unique<Stream::State>(std::exchange((*connected)->socket, nullptr), std::string()));
    const bool asked = co_await stream.write(*head, state->options.header_timeout);
    if (!asked) co_return unavailable("the connection broke before the answer");
    std::string answer;
    while (answer.find("\r\n\r\n") == std::string::npos) {
        auto more = co_await stream.read(state->options.header_timeout);
        if (!more) co_return std::move(more).error();
        if (more->empty() || answer.size() + more->size() > state->options.head_bytes) {
            co_return unavailable("the connection ended before the answer");
        }
        answer.append(*more);
    }
    if (!answer.starts_with("HTTP/1.1 101 ")) {
        const std::string status = answer.starts_with("HTTP/1.1 ") ? answer.substr(9, 3) : "something else";
        co_return Error{ErrorCode::kUnavailable, "the server does not change to " + protocol + " but answers " + status, {}, "status " + status};
    }
    stream.state_->socket->notice_vanished_peer(kVanishedAfter);
    stream.unread(answer.substr(answer.find("\r\n\r\n") + 4));
    co_return stream;
}

}  // namespace gantry::http
