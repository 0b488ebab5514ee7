#include "control/api/far_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <future>

#include "protocol/worker/model_files.h"

namespace gantry::control {
namespace {

constexpr std::chrono::milliseconds kLookEvery{100};

// Shared by who asks on the io thread and who waits on the pool; the second may give up first.
struct Asking {
    std::promise<Result<std::string>> promise;
    http::Canceller stop;
};

http::Task<void> ask(http::Client& client, std::shared_ptr<Asking> asking, std::string endpoint, http::Client::Call call) {
    auto answer = co_await client.send(std::move(endpoint), std::move(call), asking->stop);
    if (!answer) {
        asking->promise.set_value(answer.error());
        co_return;
    }
    auto body = co_await (*answer)->read_all();
    const int status = (*answer)->status();
    if (body && status != 200) body = unavailable(fmt::format("its worker answers {}: it is of an older version", status));
    asking->promise.set_value(std::move(body));
}

class Question {
public:
    Question(ApiContext& api, const FilesWorker& worker, const char* method, std::string target)
        : api_(api), asking_(std::make_shared<Asking>()), answer_(asking_->promise.get_future()) {
        http::Client::Call call{.method = method, .target = std::move(target)};
        http::asio::co_spawn(api.io, ask(*api.far, asking_, worker.endpoint, std::move(call)), http::asio::detached);
    }
    Result<std::string> wait(SteadyTime until) {
        while (answer_.wait_for(kLookEvery) != std::future_status::ready) {
            if (std::chrono::steady_clock::now() < until && !api_.stopping) continue;
            http::asio::post(api_.io, [asking = asking_] { asking->stop.cancel(); });
            return Error{ErrorCode::kDeadlineExceeded, "its worker does not answer in time", {}, {}};
        }
        return answer_.get();
    }

private:
    ApiContext& api_;
    std::shared_ptr<Asking> asking_;
    std::future<Result<std::string>> answer_;
};

}  // namespace

std::vector<FilesWorker> files_workers(ApiContext& api) {
    std::vector<FilesWorker> found{{.id = {}, .name = "server", .endpoint = {}}};
    const auto view = api.publisher.view();
    for (const Worker& worker : view->workers) {
        if (worker.address == "embedded") {
            found.front() = {worker.id, worker.name, {}};
            continue;
        }
        if (worker.state == WorkerState::kPending || worker.state == WorkerState::kUnreachable) continue;
        std::string endpoint;
        api.workers.with([&](const auto& workers) {
            if (const auto known = workers.find(worker.id); known != workers.end()) endpoint = known->second.endpoint;
        });
        if (!endpoint.empty()) found.push_back({worker.id, worker.name, std::move(endpoint)});
    }
    return found;
}

std::vector<ModelFileSet> far_model_files(ApiContext& api, const std::vector<FilesWorker>& workers, std::chrono::milliseconds within,
                                          std::vector<std::string>& silent) {
    const SteadyTime until = std::chrono::steady_clock::now() + within;
    std::vector<std::unique_ptr<Question>> questions;
    for (const FilesWorker& worker : workers) questions.push_back(std::make_unique<Question>(api, worker, "GET", "/model-files"));
    std::vector<ModelFileSet> all;
    for (size_t i = 0; i < workers.size(); ++i) {
        const auto body = questions[i]->wait(until);
        auto sets = body ? protocol::decode_model_files(*body) : Result<std::vector<ModelFileSet>>(body.error());
        if (!sets) {
            silent.push_back(workers[i].name);
            continue;
        }
        for (ModelFileSet& set : *sets) {
            set.worker_id = workers[i].id;
            set.worker_name = workers[i].name;
            all.push_back(std::move(set));
        }
    }
    return all;
}

Status change_far_files(ApiContext& api, const FilesWorker& worker, const char* method, const std::string& target, std::chrono::milliseconds within) {
    Question question(api, worker, method, target);
    const auto body = question.wait(std::chrono::steady_clock::now() + within);
    return body ? protocol::decode_done(*body) : Status(body.error());
}

}  // namespace gantry::control
