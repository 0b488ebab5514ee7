#pragma once
// TLS over one socket: what is said and heard goes through the socket's own receive() and transmit(), so that its waits,
// deadlines and the poller serve both kinds, and a plain socket pays for a null pointer only. Private to this folder.
//
// It never waits: each call does what the socket allows now. Whatever read() left in here stands in has_more(), because the
// kernel won't tell of it again. One thread.

#include <sys/uio.h>

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "http/tls_context.h"

struct ssl_st;

namespace gantry::http {

class MutualTls;
class TimedSocket;
enum class Io;

class TlsSession {
public:
    // The other side speaks first; we show the certificate of `context`.
    static std::unique_ptr<TlsSession> accept(ssl_ctx_st* context);
    // We speak first, and the certificate must be of `host`, a name or an address. Null: no memory.
    static std::unique_ptr<TlsSession> connect(ssl_ctx_st* context, const std::string& host);
    // The same, of its own server and with our certificate, as `mutual` says.
    static std::unique_ptr<TlsSession> connect(const MutualTls& mutual);
    // Of an accepted one, before its handshake: a client that names the protocol of `mutual` gets that instead.
    void offer(const MutualTls& mutual);
    ~TlsSession();
    TlsSession(const TlsSession&) = delete;
    TlsSession& operator=(const TlsSession&) = delete;

    void attach(TimedSocket& socket);   // before all that follows; the socket outlives it
    enum class Step { kDone, kWantsRead, kWantsWrite, kFailed };
    Step handshake();
    Io read(std::string& into, size_t limit);
    Io write(std::span<iovec>& parts);
    bool has_more() const;
    std::string protocol() const;             // that both agreed on; empty: none
    std::string peer_common_name() const;     // of the other side's certificate, which was checked; empty: it showed none
    void close_notify();                // says that nothing more comes; best effort
    // Why it broke, for a person; empty: the socket did, see its error.
    const std::string& failure() const { return failure_; }

private:
    struct Free {
        void operator()(ssl_st* ssl) const;
    };
    explicit TlsSession(ssl_st* ssl) : ssl_(ssl) {}
    Io outcome(int done);
    void note_failure();

    std::unique_ptr<ssl_st, Free> ssl_;
    std::optional<Io> ended_;           // how it ended: told again and again
    bool more_ = false;
    std::string failure_;
};

}  // namespace gantry::http
