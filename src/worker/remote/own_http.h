#pragma once
// The HTTP of a worker elsewhere, on a Unix socket of its own, for its server alone:
//   GET /logs/<instance>?tail=N&follow=true
//   GET /model-files; DELETE /model-files/<id>; POST /model-files/<id>/verify, pause or resume     (protocol/worker/model_files.h)
//   GET /blobs/<digest>, or a range of it
// Threads: the io thread's.

#include <functional>
#include <memory>
#include <string>

#include "http/http.h"
#include "sources/model_files.h"
#include "worker/worker.h"

namespace gantry::worker {

class OwnHttp {
public:
    explicit OwnHttp(http::asio::io_context& io);
    Status listen(const std::string& data_dir);   // in the worker's run folder
    void set_worker(Worker& worker) { worker_ = &worker; }
    void set_model_files(sources::ModelFiles& files) { files_ = &files; }
    const std::string& endpoint() const { return endpoint_; }

private:
    http::Task<void> logs(http::Exchange& exchange);
    http::Task<void> blob(http::Exchange& exchange);
    // Of the pool: what `work` gives, as the protocol has it.
    http::Task<void> answer(http::Exchange& exchange, std::function<Result<std::string>(sources::ModelFiles& files)> work);
    http::asio::io_context& io_;
    http::BlockingPool pool_{2};
    http::Router router_;
    std::unique_ptr<http::Server> server_;
    Worker* worker_ = nullptr;
    sources::ModelFiles* files_ = nullptr;
    std::string endpoint_;
};

}  // namespace gantry::worker
