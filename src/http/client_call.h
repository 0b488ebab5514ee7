#pragma once
// One call of a client on one connection. Private to this folder.

#include "http/http.h"
#include "http/response_reader.h"
#include "http/timed_socket.h"

namespace gantry::http {

struct Canceller::State {
    bool cancelled = false;
    std::function<void()> hook;  // what to close; only while a call is in progress
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

    // Sends the request and reads up to the end of the answer's head.
    Task<Result<Ok>> start(std::string head, std::string body);
    // start() failed because the connection was closed before any byte came: worth another try on a fresh one.
    bool went_stale() const { return ended_ && !received_ && !canceller_->cancelled; }

    int status() const override { return reader_.status(); }
    const Headers& headers() const override { return reader_.headers(); }
    Task<Result<std::string>> read() override;
    Task<Result<std::string>> read_all() override;
    void cancel() override;

private:
    enum class Progress { kOk, kBroken, kLate, kCancelled };
    Progress take(Io got);
    Error error_of(Progress progress, const char* what) const;
    void parse();
    void release();  // the answer is complete: the connection goes back to the pool, if it can serve again
    void drop();     // closes it

    std::weak_ptr<ConnectionPool> pool_;
    std::string endpoint_;
    std::unique_ptr<ClientConnection> connection_;  // null once released or dropped
    std::shared_ptr<TimedSocket> socket_;
    ClientOptions options_;
    ResponseReader reader_;
    std::shared_ptr<Canceller::State> canceller_;   // shared with the caller's copies
    std::optional<Error> failed_;
    bool received_ = false;
    bool ended_ = false;
};

}  // namespace gantry::http
