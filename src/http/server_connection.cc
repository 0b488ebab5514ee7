#include "http/server_connection.h"

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/ids.h"
#include "base/log.h"
#include "base/metrics.h"
#include "http/forwarded.h"
#include "http/message_head.h"
#include "http/middleware/request_metrics.h"
#include "http/target.h"

namespace gantry::http {
namespace {

// How long and how much of a body nobody wants is read, so that the client gets to see our answer: closing with unread
// bytes would reset the connection and may take the answer along.
constexpr std::chrono::milliseconds kLingerTimeout{2'000};
constexpr std::chrono::milliseconds kLingerTimeoutStopping{100};
constexpr size_t kLingerBytesMax = 16u << 20;
constexpr size_t kRequestIdLength = 24;
constexpr char kTlsHandshake = 0x16;              // the first byte of a ClientHello
constexpr size_t kUnusedBodyBytesMax = 64 << 10;   // of a GET or DELETE: no handler reads it

SteadyTime now() { return std::chrono::steady_clock::now(); }

bool announces_body(const Request& request) {
    const std::string_view length = request.headers.get("content-length");
    return !request.headers.get("transfer-encoding").empty() || (!length.empty() && length != "0");
}

}  // namespace

// ---- what connections share

Response ServerCore::error_response(int status, const std::string& message, const std::string& path) const {
    if (options.error_response) {
        try {
            Response response = options.error_response(status, message, path);
            response.status = status;
            return response;
        } catch (const std::exception& failure) {
            log::error("http: error_response failed: {}", failure.what());
        }
    }
    return text_response(status, message + "\n");
}

Task<void> ServerCore::handle(Exchange& exchange, Router::Match match) {
    exchange.request().params = std::move(match.params);
    Chain chain{*this, match};
    for (size_t i = 0; i < middlewares.size(); ++i) {
        chain.behind[i] = [&chain, i](Exchange& wrapped) { return chain.step(i + 1, wrapped); };   // two words: no memory of its own
    }
    co_await chain.step(0, exchange);
}

Task<void> ServerCore::Chain::step(size_t index, Exchange& exchange) const {
    if (index < core.middlewares.size()) return core.middlewares[index](exchange, match.route, behind[index]);
    return match.route != nullptr ? match.route->handler(exchange) : core.answer_nothing(exchange, match);
}

Task<void> ServerCore::answer_nothing(Exchange& exchange, const Router::Match& match) const {
    co_await exchange.respond(nothing_there(exchange.request(), match));
}

Response ServerCore::nothing_there(const Request& request, const Router::Match& match) const {
    if (match.path_known) {
        std::string allowed;
        for (const std::string& method : match.allowed) allowed.append(allowed.empty() ? "" : ", ").append(method);
        Response response = error_response(
            405, "this path doesn't take " + log::escape(request.method, 32) + "; it takes " + allowed, request.path);
        response.headers.set("allow", allowed);
        return response;
    }
    return error_response(404, "there is nothing at this path", request.path);
}

// ---- one connection

ServerConnection::ServerConnection(std::shared_ptr<ServerCore> core, int socket, const std::string& listener,
                                   std::string peer, std::shared_ptr<TlsIdentity> tls)
    : core_(std::move(core)),
      socket_(std::make_shared<TimedSocket>(core_->io, socket)),
      listener_(listener),
      peer_(std::move(peer)),
      tls_(std::move(tls)) {
    core_->connections.insert(this);
}

ServerConnection::~ServerConnection() {
    if (socket_) {   // else it was taken over
        socket_->end_tls();
        socket_->close();
    }
    core_->connections.erase(this);
    core_->changed.notify();
}

void ServerConnection::close_if_idle() {
    if (!idle_ || !socket_) return;
    socket_->end_tls();
    socket_->close();
}

void ServerConnection::cut() {
    if (exchange_ != nullptr) {
        exchange_->cut();
    } else if (socket_) {
        socket_->close();
    }
}

Task<void> ServerConnection::run(std::unique_ptr<ServerConnection> self) {
    bool again = true;
    if (self->tls_) {
        again = co_await self->begin_tls();
    } else if (self->core_->mutual && self->peer_ != "unix") {
        again = co_await self->begin_plain();
    }
    const ServerLimits& limits = self->core_->options.limits;
    auto patience = limits.header_timeout;   // a new connection speaks soon; one that has spoken may rest
    while (again && !self->core_->stopping && self->socket_ && self->socket_->is_open()) {
        if (self->input_.empty()) {
            self->input_ = std::string();  // gives its memory back
            self->idle_ = true;
            const Io ready = co_await self->socket_->wait_readable(now() + patience);
            self->idle_ = false;
            if (ready != Io::kOk) break;
        } else {
            co_await asio::post(self->core_->io, asio::use_awaitable);  // others first: the client pipelines
        }
        patience = limits.idle_timeout;
        again = co_await self->serve_one();
    }
    if (self->linger_) co_await self->linger();
}

Task<bool> ServerConnection::begin_tls() {
    const SteadyTime deadline = now() + core_->options.limits.header_timeout;
    const Io how = co_await socket_->wait_readable(deadline);
    if (how != Io::kOk) co_return false;
    const char first = socket_->peek().value_or('\0');
    if (first >= 'A' && first <= 'Z') {   // a method; TLS begins with 0x16
        co_await refuse_plain();
        co_return false;
    }
    std::unique_ptr<TlsSession> session;
    tls_->with_context([&session](ssl_ctx_st* context) { session = TlsSession::accept(context); });
    if (session && core_->mutual) session->offer(*core_->mutual);
    const bool secure = co_await shake_hands(std::move(session), deadline);
    co_return secure;
}

// A plain port: who begins with TLS all the same can only mean the mutual one.
Task<bool> ServerConnection::begin_plain() {
    const SteadyTime deadline = now() + core_->options.limits.header_timeout;
    idle_ = true;   // who has not spoken yet is not waited for at the end
    const Io how = co_await socket_->wait_readable(deadline);
    idle_ = false;
    if (how != Io::kOk) co_return false;
    if (socket_->peek() != kTlsHandshake) co_return true;
    const bool secure = co_await shake_hands(TlsSession::accept(core_->mutual->context()), deadline);
    co_return secure && mutual_;   // a hello without ALPN is taken by OpenSSL, but it is nobody's
}

Task<bool> ServerConnection::shake_hands(std::unique_ptr<TlsSession> session, SteadyTime deadline) {
    static auto& failures = metrics::counter("gantry_http_tls_failures_total", "TLS handshakes that clients began and that failed");
    const Io how = co_await socket_->start_tls(std::move(session), deadline);
    if (how != Io::kOk) {
        failures.Increment();
        log::debug("http: {} {}: no TLS: {}", listener_, peer_, how == Io::kTimeout ? "too slow" : socket_->last_error());
        co_return false;
    }
    secure_ = true;
    mutual_ = core_->mutual && socket_->tls()->protocol() == core_->mutual->protocol();
    if (mutual_) peer_certificate_ = socket_->tls()->peer_common_name();
    co_return true;
}

Task<void> ServerConnection::refuse_plain() {
    idle_ = false;
    RequestReader reader(core_->options.limits);
    const bool head = co_await read_head(reader);
    if (!head) co_return;
    complete(reader.request());
    EdgeError wrong{400, "this port speaks HTTPS: use https:// in the address"};
    co_await refuse(reader.request(), std::move(wrong));
}

Task<bool> ServerConnection::serve_one() {
    std::shared_ptr<ServerExchange> exchange;   // shared, so that the watch for the client's leaving can tell whether it still is
    {
        RequestReader reader(core_->options.limits);
        const bool whole = co_await read_request(reader);
        if (!whole) co_return false;
        ServerExchange::Setup setup;
        setup.socket = socket_;
        setup.input = &input_;
        setup.write_timeout = core_->options.limits.write_timeout;
        setup.keep_alive = reader.keep_alive() && !core_->stopping;
        setup.http_1_0 = reader.http_1_0();
        exchange = std::make_shared<ServerExchange>(std::move(setup), std::move(reader.request()));
    }
    const bool again = co_await answer(std::move(exchange));
    co_return again;
}

Task<bool> ServerConnection::read_request(RequestReader& reader) {
    // Mostly all of it is here, so that nothing has to be waited for. What else the read tells, read_head() will find.
    if (input_.empty()) socket_->try_read(input_, kReadBytesMax);
    take_head(reader);
    if (!reader.head_done()) {
        const bool head = co_await read_head(reader);
        if (!head) co_return false;
    }
    complete(reader.request());
    if (core_->head_check) {
        std::optional<Response> refusal;
        try {
            refusal = core_->head_check(reader.request());
        } catch (const std::exception& failure) {
            log::error("http: the head check failed: {}", failure.what());
            refusal = core_->error_response(500, "the server failed on this request", reader.request().path);
        }
        if (refusal) {
            co_await turn_away(reader.request(), std::move(*refusal));
            co_return false;
        }
    }
    match_ = core_->router.match(reader.request().method, reader.request().path);
    if (match_.route == nullptr && announces_body(reader.request())) {   // a stranger's, for nobody
        Response nothing = core_->nothing_there(reader.request(), match_);
        co_await turn_away(reader.request(), std::move(nothing));
        co_return false;
    }
    reader.begin_body(body_limit(match_.route, reader.request().method));
    take_body(reader);
    if (!reader.done()) {
        const bool body = co_await read_body(reader);
        if (!body) co_return false;
    }
    co_return true;
}

size_t ServerConnection::body_limit(const Route* route, const std::string& method) const {
    size_t limit = core_->options.limits.body_bytes;
    if (route != nullptr && route->body_bytes != 0) limit = std::min(limit, route->body_bytes);
    const bool has_use = method == "POST" || method == "PUT" || method == "PATCH";
    return has_use ? limit : std::min(limit, kUnusedBodyBytesMax);
}

void ServerConnection::complete(Request& request) {
    request.id = quick_token(kRequestIdLength);
    request.peer = peer_;
    request.tls = secure_;
    if (!core_->options.trusted_proxies.empty()) apply_forwarded(request, core_->options.trusted_proxies);
    request.listener = mutual_ ? core_->mutual_listener : listener_;
    request.peer_certificate = peer_certificate_;
    request.received_at = now();
}

void ServerConnection::take_head(RequestReader& reader) {
    size_t used = 1;
    while (!input_.empty() && used > 0 && !reader.head_done() && !reader.failure()) {
        used = reader.feed(input_);
        input_.erase(0, used);
    }
}

Task<bool> ServerConnection::read_head(RequestReader& reader) {
    const SteadyTime deadline = now() + core_->options.limits.header_timeout;
    while (true) {
        take_head(reader);
        if (reader.head_done()) co_return true;
        if (reader.failure()) {
            co_await refuse(reader.request(), *reader.failure());
            co_return false;
        }
        const Io got = co_await socket_->read(input_, kReadBytesMax, deadline);
        if (got == Io::kTimeout) {
            EdgeError late{408, "the request's headers took too long to arrive"};
            co_await refuse(reader.request(), std::move(late));
            co_return false;
        }
        if (got != Io::kOk) co_return false;
    }
}

void ServerConnection::take_body(RequestReader& reader) {
    if (input_.empty() || reader.failure() || reader.done()) return;
    const size_t used = reader.feed(input_);
    input_.erase(0, used);
}

Task<bool> ServerConnection::read_body(RequestReader& reader) {
    const SteadyTime start = now();
    if (!reader.failure() && !reader.done() && reader.expects_continue() && input_.empty() && reader.body_received() == 0) {
        std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
        std::array<iovec, 1> parts = {iovec{const_cast<char*>(go_on.data()), go_on.size()}};
        const Io sent = co_await socket_->write(parts, core_->options.limits.write_timeout);
        if (sent != Io::kOk) co_return false;
    }
    while (true) {
        take_body(reader);
        if (reader.done()) co_return true;
        if (reader.failure()) {
            co_await refuse(reader.request(), *reader.failure());
            co_return false;
        }
        const SteadyTime deadline =
            std::min(now(), start + extra_time(reader.body_received())) + core_->options.limits.body_timeout;
        const Io got = co_await socket_->read(input_, kReadBytesMax, deadline);
        if (got == Io::kTimeout) {
            EdgeError late{408, "the request's body took too long to arrive"};
            co_await refuse(reader.request(), std::move(late));
            co_return false;
        }
        if (got != Io::kOk) co_return false;
    }
}

Task<bool> ServerConnection::answer(std::shared_ptr<ServerExchange> exchange) {
    // Leaves no pointer behind when this frame is destroyed while it waits.
    struct InFlight {
        ServerConnection& connection;
        ServerExchange& exchange;
        InFlight(ServerConnection& c, ServerExchange& e) : connection(c), exchange(e) {
            connection.exchange_ = &exchange;
            ++connection.core_->exchanges;
        }
        ~InFlight() {
            exchange.end();
            connection.exchange_ = nullptr;
            --connection.core_->exchanges;
        }
    } in_flight(*this, *exchange);

    exchange->watch();
    bool threw = false;
    try {
        co_await core_->handle(*exchange, std::move(match_));
    } catch (const std::exception& failure) {
        threw = true;
        log::error("http: {} {} failed ({}): {}", exchange->request().method, log::escape(exchange->request().path, 256),
                   exchange->request().id, failure.what());
    } catch (...) {
        threw = true;
    }
    const Request& request = exchange->request();
    if (!exchange->started() && !exchange->client_gone()) {
        if (!threw) log::error("http: nobody answered {} {}", request.method, log::escape(request.path, 256));
        exchange->close_after();
        co_await exchange->respond(core_->error_response(500, "the server failed on this request", request.path));
    } else if (exchange->started() && !exchange->finished()) {
        exchange->abort();
    }
    if (exchange->taken_over()) {
        socket_.reset();
        co_return false;
    }
    linger_ = !exchange->aborted();
    co_return exchange->reusable() && !core_->stopping;
}

Task<void> ServerConnection::refuse(const Request& request, EdgeError error) {
    if (request.id.empty()) {
        Request unread = request;  // the head was not readable: what there is of it stands in the log
        complete(unread);
        Response response = core_->error_response(error.status, error.message, unread.path);
        log::info("http: {} {} refused: {} {} ({})", listener_, unread.peer, error.status, error.message, unread.id);
        co_await send_and_close(unread, std::move(response));
        co_return;
    }
    log::info("http: {} {} {} {} refused: {} {} ({})", listener_, request.peer, request.method,
              log::escape(path_as_sent(request.target), 256), error.status, error.message, request.id);
    Response response = core_->error_response(error.status, error.message, request.path);
    co_await send_and_close(request, std::move(response));
}

Task<void> ServerConnection::turn_away(const Request& request, Response response) {
    log::info("http: {} {} {} {} refused: {}, its body unread ({})", listener_, request.peer, request.method,
              log::escape(path_as_sent(request.target), 256), response.status, request.id);
    co_await send_and_close(request, std::move(response));
}

Task<void> ServerConnection::send_and_close(const Request& request, Response response) {
    count_request(listener_, request.method, response.status);
    AnswerHead answer;
    answer.status = response.status;
    answer.headers = &response.headers;
    answer.request_id = request.id;
    answer.content_length = response.body.size();
    answer.keep_alive = false;
    const std::string head = make_answer_head(answer);
    const bool with_body = request.method != "HEAD" && !is_bodiless(response.status);
    std::array<iovec, 2> parts = {iovec{const_cast<char*>(head.data()), head.size()},
                                  iovec{response.body.data(), with_body ? response.body.size() : 0}};
    const Io sent = co_await socket_->write(parts, core_->options.limits.write_timeout);
    linger_ = sent == Io::kOk;
}

Task<void> ServerConnection::linger() {
    socket_->shutdown_send();
    const SteadyTime deadline = now() + (core_->stopping ? kLingerTimeoutStopping : kLingerTimeout);
    size_t thrown_away = 0;
    while (thrown_away < kLingerBytesMax) {
        input_.clear();
        const Io got = co_await socket_->read(input_, kReadBytesMax, deadline);
        if (got != Io::kOk) break;
        thrown_away += input_.size();
        if (now() >= deadline) break;
    }
}

}  // namespace gantry::http
