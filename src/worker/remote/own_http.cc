#include "worker/remote/own_http.h"

#include <charconv>

#include "base/log_tail.h"
#include "http/file_answer.h"
#include "protocol/worker/model_files.h"
#include "worker/run_folder.h"

namespace gantry::worker {
namespace {

constexpr size_t kTailMax = 10'000;
constexpr std::chrono::milliseconds kLookEvery{250};

}  // namespace

OwnHttp::OwnHttp(http::asio::io_context& io) : io_(io) {
    router_.add({"GET", "/logs/{instance}", "server", [this](http::Exchange& exchange) { return logs(exchange); }});
    router_.add({"GET", "/blobs/{digest}", "server", [this](http::Exchange& exchange) { return blob(exchange); }});
    router_.add({"GET", "/model-files", "server", [this](http::Exchange& exchange) {
                     return answer(exchange, [](sources::ModelFiles& files) -> Result<std::string> { return protocol::encode(files.list()); });
                 }});
    router_.add({"DELETE", "/model-files/{id}", "server", [this](http::Exchange& exchange) {
                     return answer(exchange, [id = exchange.request().params.at("id")](sources::ModelFiles& files) -> Result<std::string> {
                         const auto removed = files.remove(id);
                         return removed ? Result<std::string>(protocol::kDone) : Result<std::string>(removed.error());
                     });
                 }});
    using Change = Status (sources::ModelFiles::*)(const std::string& id);
    const auto change = [this](const char* what, Change of) {
        router_.add({"POST", std::string("/model-files/{id}/") + what, "server", [this, of](http::Exchange& exchange) {
                         return answer(exchange, [of, id = exchange.request().params.at("id")](sources::ModelFiles& files) -> Result<std::string> {
                             const Status done = (files.*of)(id);
                             return done ? Result<std::string>(protocol::kDone) : Result<std::string>(done.error());
                         });
                     }});
    };
    change("verify", &sources::ModelFiles::verify);
    change("pause", &sources::ModelFiles::pause);
    change("resume", &sources::ModelFiles::resume);
}

Status OwnHttp::listen(const std::string& data_dir) {
    const auto folder = prepare_run_folder(data_dir, "");
    if (!folder) {
        return folder.error();
    }
    server_ = std::make_unique<http::Server>(io_, router_, http::ServerOptions{});
    const std::string path = *folder + "/worker.sock";
    GANTRY_TRY(server_->listen_unix(path, "worker"));
    endpoint_ = "unix:" + path;
    return Ok{};
}

http::Task<void> OwnHttp::logs(http::Exchange& exchange) {
    const InstanceId id(exchange.request().params.at("instance"));
    const std::string_view tail_text = exchange.request().query_value("tail");
    const bool follow = exchange.request().query_value("follow") == "true";
    size_t lines = 200;
    std::from_chars(tail_text.data(), tail_text.data() + tail_text.size(), lines);
    lines = std::min(lines, kTailMax);
    LogTail tail(worker_->log_files(id));
    const std::string text = co_await pool_.run([&tail, lines] { return tail.last_lines(lines); });
    http::Headers headers{{"content-type", "text/plain; charset=utf-8"}};
    const bool began = co_await exchange.start_stream(200, std::move(headers));
    if (!began) {
        co_return;
    }
    if (!text.empty()) {
        const bool written = co_await exchange.write(text);
        if (!written) {
            co_return;
        }
    }
    http::Signal gone(io_);
    exchange.on_client_gone([&gone] { gone.notify(); });
    while (follow && !exchange.client_gone()) {
        const std::vector<std::string> files = worker_->log_files(id);
        const std::string more = co_await pool_.run([&tail, &files] {
            tail.set_files(files);
            return tail.more();
        });
        if (more.empty() && files.empty()) {
            break;   // the instance and its folder are gone
        }
        if (more.empty()) {
            co_await gone.wait(kLookEvery);
            continue;
        }
        const bool written = co_await exchange.write(more);
        if (!written) {
            co_return;
        }
    }
    exchange.on_client_gone({});
    co_await exchange.finish();
}

http::Task<void> OwnHttp::blob(http::Exchange& exchange) {
    const std::string digest = exchange.request().params.at("digest");
    sources::ModelFiles* const files = files_;
    const auto path = co_await pool_.run([files, &digest] { return files == nullptr ? std::nullopt : files->blob_path(digest); });
    if (!path) {
        http::Response missing = http::text_response(404, "this worker has no such file\n");
        co_await exchange.respond(std::move(missing));
        co_return;
    }
    co_await http::answer_with_file(exchange, pool_, *path);
}

http::Task<void> OwnHttp::answer(http::Exchange& exchange, std::function<Result<std::string>(sources::ModelFiles& files)> work) {
    sources::ModelFiles* const files = files_;
    http::Headers headers{{"content-type", "application/json"}};
    const bool began = co_await exchange.start_stream(200, std::move(headers));   // at once: the work may take minutes
    if (!began) {
        co_return;
    }
    const auto done = co_await pool_.run([files, &work]() -> Result<std::string> {
        if (files == nullptr) return unavailable("this worker keeps no model files");
        return work(*files);
    });
    const std::string body = done ? *done : protocol::encode_refusal(done.error());
    const bool written = co_await exchange.write(body);
    if (written) {
        co_await exchange.finish();
    }
}

}  // namespace gantry::worker
