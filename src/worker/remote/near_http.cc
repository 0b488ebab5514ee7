#include "worker/remote/near_http.h"

#include "http/file_answer.h"
#include "worker/run_folder.h"

namespace gantry::worker {

NearHttp::NearHttp(http::asio::io_context& io, Send send) : io_(io), send_(std::move(send)) {
    router_.add({"GET", "/manifest", "own", [this](http::Exchange& exchange) { return forward(exchange); }});
    router_.add({"GET", "/blobs/{digest}", "own", [this](http::Exchange& exchange) { return forward(exchange); }});
}

Status NearHttp::listen(const std::string& data_dir) {
    const auto folder = prepare_run_folder(data_dir, "");
    if (!folder) {
        return folder.error();
    }
    server_ = std::make_unique<http::Server>(io_, router_, http::ServerOptions{});
    const std::string path = *folder + "/near.sock";
    GANTRY_TRY(server_->listen_unix(path, "near"));
    socket_ = path;
    return Ok{};
}

http::Task<void> NearHttp::forward(http::Exchange& exchange) {
    http::Client::Call call = http::call_for(exchange, "/cluster/v1" + exchange.request().target);
    const auto answer = co_await send_(std::move(call));
    if (!answer) {
        http::Response response = http::text_response(503, answer.error().message + "\n");
        co_await exchange.respond(std::move(response));
        co_return;
    }
    http::ClientResponse* const from = answer->get();
    exchange.on_client_gone([from] { from->cancel(); });
    co_await http::pass_on(exchange, *from);
    exchange.on_client_gone({});
}

}  // namespace gantry::worker
