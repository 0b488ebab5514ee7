#pragma once
// The HTTP of a worker elsewhere, on a Unix socket of its own, for its server alone: GET /logs/<instance>?tail=N&follow=true.
// Threads: the io thread's.

#include <memory>
#include <string>

#include "http/http.h"
#include "worker/worker.h"

namespace gantry::worker {

class OwnHttp {
public:
    explicit OwnHttp(http::asio::io_context& io);
    Status listen(const std::string& data_dir);   // in the worker's run folder
    void set_worker(Worker& worker) { worker_ = &worker; }
    const std::string& endpoint() const { return endpoint_; }

private:
    http::Task<void> logs(http::Exchange& exchange);
    http::asio::io_context& io_;
    http::BlockingPool pool_{2};
    http::Router router_;
    std::unique_ptr<http::Server> server_;
    Worker* worker_ = nullptr;
    std::string endpoint_;
};

}  // namespace gantry::worker
