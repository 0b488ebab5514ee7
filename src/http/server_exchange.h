#pragma once
// One request on a server's connection and the way to answer it. Private to this folder.

#include "http/http.h"
#include "http/timed_socket.h"

namespace gantry::http {

class ServerExchange final : public Exchange, public std::enable_shared_from_this<ServerExchange>, private TimedSocket::Watcher {
public:
    struct Setup {
        std::shared_ptr<TimedSocket> socket;   // shared with the connection, and with waits in progress
        std::string* input = nullptr;          // the connection's: pipelined bytes that arrive meanwhile go there
        std::chrono::milliseconds write_timeout{};
        bool keep_alive = true;
        bool http_1_0 = false;
    };
    ServerExchange(Setup setup, Request request);

    const Request& request() const override { return request_; }
    Request& request() override { return request_; }
    Task<bool> respond(Response response) override;
    Task<bool> start_stream(int status, Headers headers) override;
    Task<bool> write(std::string_view bytes) override;
    bool try_write(std::string_view bytes) override;
    Task<bool> finish() override;
    void abort() override;
    Task<std::optional<Stream>> take_over(std::string protocol) override;
    bool started() const override { return started_; }
    bool client_gone() const override { return gone_; }
    void on_client_gone(std::function<void()> callback) override;
    int status() const override { return status_; }
    uint64_t bytes_sent() const override { return bytes_sent_; }

    // The connection's side.
    void watch();                           // looks for the client's leaving from now on
    void end();                             // the handler is back
    void cut();                             // the server stops: as if the client had left
    void close_after() { keep_alive_ = false; }
    bool finished() const { return finished_; }
    bool reusable() const { return finished_ && keep_alive_ && !gone_ && !aborted_; }
    bool aborted() const { return aborted_; }
    bool taken_over() const { return taken_over_; }

private:
    void on_arrival() override;
    void lose();                            // the client is gone: tells whoever asked
    void lose_later();                      // the same in the next turn, out of the handler's own call
    Io begin_send(std::span<iovec>& parts);
    bool end_send(Io sent);
    Task<bool> send(std::span<iovec> parts);
    struct Chunk;
    bool is_head() const { return request_.method == "HEAD"; }
    std::string head_for(int status, const Headers& headers, std::optional<uint64_t> length);

    Setup setup_;
    Request request_;
    std::function<void()> callback_;
    bool keep_alive_;
    bool started_ = false;
    bool streaming_ = false;
    bool finished_ = false;
    bool gone_ = false;
    bool half_closed_ = false;  // the client closed its side only, it may still read
    bool aborted_ = false;
    bool ended_ = false;
    bool writing_ = false;
    bool taken_over_ = false;
    bool flooded_ = false;      // more was pipelined than we keep: it is thrown away, and the connection not used again
    int status_ = 0;
    uint64_t bytes_sent_ = 0;
    uint64_t sending_ = 0;      // bytes of the write in progress
    unsigned writes_ = 0;
};

}  // namespace gantry::http
