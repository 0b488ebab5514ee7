#pragma once
// One call of a client on one connection. Private to this folder.

#include "http/http.h"
#include "http/response_reader.h"
#include "http/timed_socket.h"

namespace gantry::http {

struct Canceller::State {
    bool cancelled = false;
    std::weak_ptr<TimedSocket> socket;   // to close; only while a call is in progress
    std::function<void()> hook;          // what else is to be ended: a name is looked up
};

struct ClientConnection {
    std::shared_ptr<TimedSocket> socket;  // shared with reads in progress and cancel hooks
    std::string input;                    // read and not yet parsed
    ~ClientConnection() {
        if (socket) socket->close();
    }
};

class ConnectionPool {
public:
    virtual ~ConnectionPool() = default;
    virtual void give_back(const std::string& endpoint, std::unique_ptr<ClientConnection> connection) = 0;
};

class ClientCall final : public ClientResponse {
public:
    ClientCall(std::weak_ptr<ConnectionPool> pool, std::string endpoint, std::unique_ptr<ClientConnection> connection,
               const ClientOptions& options, bool answers_head, std::shared_ptr<Canceller::State> canceller);
    ~ClientCall() override;

    // Sends the request, whose text outlives this, and reads up to the end of the answer's head.
    Task<Result<Ok>> start(std::string_view head, std::string_view body);
    // start() failed because the connection was closed before any byte came: worth another try on a fresh one.
    bool went_stale() const { return ended_ && !received_ && !canceller_->cancelled; }

    int status() const override { return reader_.status(); }
    const Headers& headers() const override { return reader_.headers(); }
    Task<Result<std::string>> read() override;
    Task<Result<std::string>> read_all() override;
    std::optional<Result<std::string_view>> try_read() override;
    Task<void> wait() override;
    void cancel() override;

private:
    enum class Progress { kOk, kBroken, kLate, kCancelled };
    Progress take(Io got);
    Error error_of(Progress progress, const char* what) const;
    void parse(std::string_view bytes);
    Io receive();    // what has come, parsed
    void release();  // the answer is complete: the connection goes back to the pool, if it can serve again
    void drop();     // closes it

    std::weak_ptr<ConnectionPool> pool_;
    std::string endpoint_;
    std::unique_ptr<ClientConnection> connection_;  // null once released or dropped
    std::shared_ptr<TimedSocket> socket_;
    const std::chrono::milliseconds header_timeout_;
    const std::chrono::milliseconds idle_timeout_;
    const size_t body_bytes_;
    ResponseReader reader_;
    std::shared_ptr<Canceller::State> canceller_;   // shared with the caller's copies
    std::optional<Error> failed_;
    bool received_ = false;
    bool ended_ = false;
    bool given_ = false;             // the reader's body was, and goes with the next try_read()
    Io waited_ = Io::kOk;            // how wait() ended
};

}  // namespace gantry::http
