#pragma once
// One connection of a server, from accept to close, and what all connections of a server share. Private to this folder.
//
//   (TLS handshake ──>) idle ──first byte──> head ──on_head──> body ──> handlers ──> answered ──keep-alive──> idle
//                                              └── any error: the server's own answer, then a lingering close

#include <array>
#include <unordered_set>

#include "http/http.h"
#include "http/mutual_tls.h"
#include "http/request_reader.h"
#include "http/server_exchange.h"
#include "http/timed_socket.h"
#include "http/tls_identity.h"

namespace gantry::http {

class ServerConnection;

struct ServerCore {
    static constexpr size_t kMiddlewaresMax = 8;

    ServerCore(asio::io_context& context, const Router& r, ServerOptions o)
        : io(context), router(r), options(std::move(o)), changed(context) {}

    asio::io_context& io;
    const Router& router;
    ServerOptions options;
    std::vector<Middleware> middlewares;
    std::shared_ptr<MutualTls> mutual;                  // shared with whoever renews it; null: none
    std::string mutual_listener;
    std::function<std::optional<Response>(const Request&)> head_check;
    std::unordered_set<ServerConnection*> connections;  // each lives in the frame of its run()
    size_t exchanges = 0;
    bool stopping = false;
    Signal changed;  // a connection ended

    // Runs the middlewares and what they wrap.
    Task<void> handle(Exchange& exchange, Router::Match match);
    // 404, or 405 with what the path takes.
    Response nothing_there(const Request& request, const Router::Match& match) const;
    // The body of an error of ours in the shape the owner wants; never throws.
    Response error_response(int status, const std::string& message, const std::string& path) const;

private:
    // The way of one request through the middlewares. It stays where it is while they run, since each holds on to its Next; the
    // steps between them are calls, and no coroutines of their own.
    struct Chain {
        ServerCore& core;
        const Router::Match& match;
        std::array<Next, kMiddlewaresMax> behind{};   // behind[i]: what is behind middleware i
        Task<void> step(size_t index, Exchange& exchange) const;
    };
    Task<void> answer_nothing(Exchange& exchange, const Router::Match& match) const;
};

class ServerConnection {
public:
    // Takes the descriptor. `listener` must live as long as the core.
    // With `tls` a handshake comes first.
    ServerConnection(std::shared_ptr<ServerCore> core, int socket, const std::string& listener, std::string peer,
                     std::shared_ptr<TlsIdentity> tls);
    ~ServerConnection();

    // Serves until the connection ends. The connection belongs to this coroutine's frame.
    static Task<void> run(std::unique_ptr<ServerConnection> connection);

    void close_if_idle();
    void cut();

private:
    Task<bool> begin_tls();
    Task<bool> begin_plain();
    Task<bool> shake_hands(std::unique_ptr<TlsSession> session, SteadyTime deadline);
    // To plain HTTP on a port of TLS: an answer that can be read.
    Task<void> refuse_plain();
    Task<bool> serve_one();
    Task<bool> read_request(RequestReader& reader);   // whole; false: it was answered, or its client is gone
    void take_head(RequestReader& reader);   // out of what was read; and so the body
    void take_body(RequestReader& reader);
    size_t body_limit(const Route* route, const std::string& method) const;
    Task<bool> read_head(RequestReader& reader);
    Task<bool> read_body(RequestReader& reader);
    Task<bool> answer(std::shared_ptr<ServerExchange> exchange);
    // An answer of the server's own; the connection is closed behind it.
    Task<void> refuse(const Request& request, EdgeError error);
    // With an answer that a whole head was enough for; logged here, since the middlewares don't see it.
    Task<void> turn_away(const Request& request, Response response);
    Task<void> send_and_close(const Request& request, Response response);
    Task<void> linger();
    void complete(Request& request);

    std::shared_ptr<ServerCore> core_;  // shared: coroutines of connections may outlive the Server
    std::shared_ptr<TimedSocket> socket_;
    const std::string& listener_;
    std::string peer_;
    std::shared_ptr<TlsIdentity> tls_;  // shared with the listener
    bool secure_ = false;               // the handshake is done
    bool mutual_ = false;               // and it was of ServerCore::mutual
    std::string peer_certificate_;
    std::string input_;                 // read and not yet parsed; empty and without memory while idle
    Router::Match match_;               // of the request being read
    ServerExchange* exchange_ = nullptr;
    bool idle_ = true;
    bool linger_ = false;               // something was answered: the client should get it though it still sends
};

}  // namespace gantry::http
