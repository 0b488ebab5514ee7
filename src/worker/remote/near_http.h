#pragma once
// The other side of sources/near.h on a worker's machine: what its downloads ask of their server goes through the link, by mutual TLS, to
// /cluster/v1/manifest and /cluster/v1/blobs/<digest>. On a Unix socket of this process alone. Threads: the io thread's.

#include <functional>
#include <memory>
#include <string>

#include "http/http.h"

namespace gantry::worker {

class NearHttp {
public:
    using Send = std::function<http::Task<Result<std::unique_ptr<http::ClientResponse>>>(http::Client::Call call)>;
    NearHttp(http::asio::io_context& io, Send send);
    Status listen(const std::string& data_dir);   // in the worker's run folder
    const std::string& socket() const { return socket_; }

private:
    http::Task<void> forward(http::Exchange& exchange);
    http::asio::io_context& io_;
    const Send send_;
    http::Router router_;
    std::unique_ptr<http::Server> server_;
    std::string socket_;
};

}  // namespace gantry::worker
