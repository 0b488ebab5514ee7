// /api/v1/model-files: the files of hubs' models on this server's machine and on workers elsewhere. Admins only. /api/v1/hub-models: what a
// hub has.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <iterator>

#include "base/log.h"
#include "control/api/far_files.h"
#include "control/api/lookup.h"
#include "control/api/model_files.h"
#include "protocol/management/objects.h"

namespace gantry::control {
namespace {

namespace management = protocol::management;

constexpr unsigned kFoundMost = 100;
constexpr unsigned kFoundUsually = 20;
constexpr std::chrono::seconds kAnswerWithin{5};      // of a worker elsewhere
constexpr std::chrono::seconds kFarAskedEvery{2};     // of workers elsewhere while somebody watches,
constexpr std::chrono::seconds kWatchedWithin{1};     // who then answer so soon, or the next time
constexpr std::chrono::hours kVerifiedWithin{1};      // the same: a terabyte at 300 MB/s

Result<sources::ModelFiles*> files_of(ApiContext& api) {
    if (api.options.model_files != nullptr) return api.options.model_files;
    return unavailable("this server keeps no model files");
}

void note_users(ApiContext& api, std::vector<ModelFileSet>& sets) {
    const auto view = api.publisher.view();
    for (ModelFileSet& set : sets) {
        for (const Deployment& d : view->deployments) {
            if (d.source == set.source) set.used_by.push_back(d.name);
        }
    }
}

std::vector<ModelFileSet> sets_of(ApiContext& api, const FilesWorker& here) {
    std::vector<ModelFileSet> sets = api.options.model_files->list();
    for (ModelFileSet& set : sets) {
        set.worker_id = here.id;
        set.worker_name = here.name;
    }
    return sets;
}

void append(std::vector<ModelFileSet>& all, std::vector<ModelFileSet> more) {
    std::move(more.begin(), more.end(), std::back_inserter(all));
}

// The one that ?worker= names, by id or name; this machine without.
Result<FilesWorker> worker_of(ApiContext& api, const Call& call) {
    const std::string wanted(call.request.query_value("worker"));
    const std::vector<FilesWorker> workers = files_workers(api);
    if (wanted.empty()) return workers.front();
    const auto found = std::find_if(workers.begin(), workers.end(), [&](const FilesWorker& w) { return w.id.text == wanted || w.name == wanted; });
    if (found != workers.end()) return *found;
    return not_found(fmt::format("there is no worker \"{}\" that reports", log::escape(wanted, 200)));
}

struct Found {
    FilesWorker worker;
    ModelFileSet set;
};
// By id, or by source, on the machine that is asked for.
Result<Found> find(ApiContext& api, const Call& call, const std::string& text) {
    const auto files = files_of(api);
    if (!files) return files.error();
    const auto worker = worker_of(api, call);
    if (!worker) return worker.error();
    std::vector<std::string> silent;
    std::vector<ModelFileSet> sets = worker->endpoint.empty() ? sets_of(api, *worker) : far_model_files(api, {*worker}, kAnswerWithin, silent);
    if (!silent.empty()) return unavailable(fmt::format("the worker {} does not say what model files it has", worker->name));
    std::erase_if(sets, [&](const ModelFileSet& set) { return set.id != text && set.source != text; });
    note_users(api, sets);
    if (!sets.empty()) return Found{*worker, std::move(sets.front())};
    return not_found(fmt::format("there are no model files \"{}\" on {}; `gantry ls --files` lists those that there are", log::escape(text, 200),
                                 worker->endpoint.empty() ? "this machine" : worker->name),
                     "model_files_not_found");
}

Result<Answer> list(ApiContext& api, const Call& call) {
    const auto files = files_of(api);
    if (!files) return files.error();
    std::vector<FilesWorker> workers = files_workers(api);
    if (!call.request.query_value("worker").empty()) {
        auto one = worker_of(api, call);
        if (!one) return one.error();
        workers = {*std::move(one)};
    }
    store::Page<ModelFileSet> page;   // as many as the disks hold
    if (workers.front().endpoint.empty()) {
        page.items = sets_of(api, workers.front());
        workers.erase(workers.begin());
    }
    std::vector<std::string> silent;
    append(page.items, far_model_files(api, workers, kAnswerWithin, silent));
    note_users(api, page.items);
    if (!silent.empty()) log::warn("model files: {} did not say within {} s what they have", fmt::join(silent, ", "), kAnswerWithin.count());
    return list_answer(page, [](const ModelFileSet& set) { return management::to_json(set); });
}

Result<Answer> get(ApiContext& api, const Call& call) {
    const auto found = find(api, call, call.param("id"));
    if (!found) return found.error();
    return json_answer(200, management::to_json(found->set));
}

Result<Answer> pull(ApiContext& api, const Call& call) {
    const auto input = management::parse_model_files_create(call.request.body);
    if (!input) return input.error();
    const auto files = files_of(api);
    if (!files) return files.error();
    const Source source = parse_source(*input).value();
    if (!source.from_hub()) return invalid_argument("\"source\" is a file of a machine already: only models of hubs are fetched", "source");
    if (!(*files)->path_of(source)) {
        GANTRY_TRY(check_source(api, *input));
        (*files)->pull(source);
        log::info("{}: fetched for {}", *input, call.who->user_name);
    }
    if (auto change = model_change_of(api, *input)) carry_out(api, *std::move(change));
    const auto found = find(api, call, *input);
    if (!found) return found.error();
    return json_answer(found->set.state == ModelFilesState::kReady ? 200 : 202, management::to_json(found->set));
}

Result<Answer> remove(ApiContext& api, const Call& call) {
    const auto found = find(api, call, call.param("id"));
    if (!found) return found.error();
    const auto& [worker, set] = *found;
    if (!set.used_by.empty()) {
        return conflict(fmt::format("the files of {} are those of {}: remove that first", set.source, fmt::join(set.used_by, ", ")));
    }
    if (worker.endpoint.empty()) {
        const auto removed = api.options.model_files->remove(set.id);
        if (!removed) return removed.error();
    } else {
        GANTRY_TRY(change_far_files(api, worker, "DELETE", "/model-files/" + set.id, kAnswerWithin));
    }
    log::info("{}: its files on {} were removed by {}", set.source, worker.name, call.who->user_name);
    return no_content();
}

Result<Answer> verify(ApiContext& api, const Call& call) {
    const auto found = find(api, call, call.param("id"));
    if (!found) return found.error();
    const auto& [worker, set] = *found;
    if (set.state != ModelFilesState::kReady) return conflict("its files are not all there yet");
    if (worker.endpoint.empty()) {
        GANTRY_TRY(api.options.model_files->verify(set.id));
    } else {
        GANTRY_TRY(change_far_files(api, worker, "POST", "/model-files/" + set.id + "/verify", kVerifiedWithin));
    }
    return json_answer(200, management::to_json(set));
}

Result<Answer> change(ApiContext& api, const Call& call, Status (sources::ModelFiles::*here)(const std::string&), const char* there) {
    const auto found = find(api, call, call.param("id"));
    if (!found) return found.error();
    const auto& [worker, set] = *found;
    if (worker.endpoint.empty()) {
        GANTRY_TRY((api.options.model_files->*here)(set.id));
    } else {
        GANTRY_TRY(change_far_files(api, worker, "POST", "/model-files/" + set.id + "/" + there, kAnswerWithin));
    }
    return get(api, call);
}
Result<Answer> pause(ApiContext& api, const Call& call) { return change(api, call, &sources::ModelFiles::pause, "pause"); }
Result<Answer> resume(ApiContext& api, const Call& call) { return change(api, call, &sources::ModelFiles::resume, "resume"); }

Result<Answer> search(ApiContext& api, const Call& call) {
    const auto files = files_of(api);
    if (!files) return files.error();
    const std::string words(call.request.query_value("search")), hub(call.request.query_value("hub")), limit(call.request.query_value("limit"));
    unsigned most = kFoundUsually;
    if (!limit.empty() && (std::from_chars(limit.data(), limit.data() + limit.size(), most).ec != std::errc() || most == 0 || most > kFoundMost)) {
        return invalid_argument(fmt::format("\"limit\" must be from 1 to {}", kFoundMost), "limit");
    }
    if (words.empty() || words.size() > 200) return invalid_argument("\"search\" must hold 1 to 200 characters of a model's name", "search");
    if (!hub.empty() && hub != "hf" && hub != "modelscope") return invalid_argument("\"hub\" must be \"hf\" or \"modelscope\"", "hub");
    auto found = (*files)->search(hub == "modelscope" ? SourceKind::kModelScope : SourceKind::kHuggingFace, words, most);
    if (!found) return found.error();
    store::Page<HubModel> page;
    page.items = *std::move(found);
    return list_answer(page, [](const HubModel& model) { return management::to_json(model); });
}

}  // namespace

std::string WatchedModelFiles::text() {
    std::vector<FilesWorker> workers = files_workers(api_);
    std::vector<ModelFileSet> sets = sets_of(api_, workers.front());
    workers.erase(workers.begin());
    if (const SteadyTime now = api_.clock.steady(); !far_asked_at_ || now - *far_asked_at_ >= kFarAskedEvery) {
        std::vector<std::string> silent;
        far_ = far_model_files(api_, workers, kWatchedWithin, silent);
        far_asked_at_ = now;
    }
    append(sets, far_);
    note_users(api_, sets);
    json::array items;
    for (const ModelFileSet& set : sets) items.push_back(management::to_json(set));
    return json::serialize(json::object{{"items", std::move(items)}});
}

void add_model_file_routes(http::Router& router, ApiContext& api) {
    add_routes(router, api,
               {{"GET", "/api/v1/model-files", gateway::kAdmin, list},
                {"POST", "/api/v1/model-files", gateway::kAdmin, pull},
                {"GET", "/api/v1/model-files/{id}", gateway::kAdmin, get},
                {"DELETE", "/api/v1/model-files/{id}", gateway::kAdmin, remove},
                {"POST", "/api/v1/model-files/{id}/verify", gateway::kAdmin, verify},
                {"POST", "/api/v1/model-files/{id}/pause", gateway::kAdmin, pause},
                {"POST", "/api/v1/model-files/{id}/resume", gateway::kAdmin, resume},
                {"GET", "/api/v1/hub-models", gateway::kAdmin, search}});
    add_model_file_watch_route(router, api);
}

}  // namespace gantry::control
