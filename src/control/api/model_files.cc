// /api/v1/model-files: the files of hubs' models on this server's machine. Admins only. /api/v1/hub-models: what a hub has.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>

#include "base/log.h"
#include "control/api/lookup.h"
#include "control/api/model_files.h"
#include "protocol/management/objects.h"

namespace gantry::control {
namespace {

namespace management = protocol::management;

constexpr unsigned kFoundMost = 100;
constexpr unsigned kFoundUsually = 20;

Result<sources::ModelFiles*> files_of(ApiContext& api) {
    if (api.options.model_files != nullptr) return api.options.model_files;
    return unavailable("this server keeps no model files");
}

std::vector<ModelFileSet> all(ApiContext& api, const sources::ModelFiles& files) {
    std::vector<ModelFileSet> sets = files.list();
    const auto view = api.publisher.view();
    for (ModelFileSet& set : sets) {
        for (const Deployment& d : view->deployments) {
            if (d.source == set.source) set.used_by.push_back(d.name);
        }
    }
    return sets;
}

// By id, or by source.
Result<ModelFileSet> find(ApiContext& api, const std::string& text) {
    const auto files = files_of(api);
    if (!files) return files.error();
    for (ModelFileSet& set : all(api, **files)) {
        if (set.id == text || set.source == text) return std::move(set);
    }
    return not_found(fmt::format("there are no model files \"{}\" on this machine; `gantry ls --files` lists those that there are",
                                 log::escape(text, 200)),
                     "model_files_not_found");
}

Result<Answer> list(ApiContext& api, const Call&) {
    const auto files = files_of(api);
    if (!files) return files.error();
    store::Page<ModelFileSet> page;   // of one machine: as many as its disk holds
    page.items = all(api, **files);
    return list_answer(page, [](const ModelFileSet& set) { return management::to_json(set); });
}

Result<Answer> get(ApiContext& api, const Call& call) {
    const auto found = find(api, call.param("id"));
    if (!found) return found.error();
    return json_answer(200, management::to_json(*found));
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
    if (const auto model = unknown_model_of(api, *input)) add_model(api, *model);
    const auto found = find(api, *input);
    if (!found) return found.error();
    return json_answer(found->state == ModelFilesState::kReady ? 200 : 202, management::to_json(*found));
}

Result<Answer> remove(ApiContext& api, const Call& call) {
    const auto found = find(api, call.param("id"));
    if (!found) return found.error();
    if (!found->used_by.empty()) {
        return conflict(fmt::format("the files of {} are those of {}: remove that first", found->source, fmt::join(found->used_by, ", ")));
    }
    const auto removed = api.options.model_files->remove(found->id);
    if (!removed) return removed.error();
    log::info("{}: its files were removed by {}, {} bytes", found->source, call.who->user_name, *removed);
    return no_content();
}

Result<Answer> verify(ApiContext& api, const Call& call) {
    const auto found = find(api, call.param("id"));
    if (!found) return found.error();
    if (found->state != ModelFilesState::kReady) return conflict("its files are not all here yet");
    GANTRY_TRY(api.options.model_files->verify(found->id));
    return json_answer(200, management::to_json(*found));
}

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

std::string model_files_text(ApiContext& api) {
    json::array items;
    for (const ModelFileSet& set : all(api, *api.options.model_files)) items.push_back(management::to_json(set));
    return json::serialize(json::object{{"items", std::move(items)}});
}

void add_model_file_routes(http::Router& router, ApiContext& api) {
    add_routes(router, api,
               {{"GET", "/api/v1/model-files", gateway::kAdmin, list},
                {"POST", "/api/v1/model-files", gateway::kAdmin, pull},
                {"GET", "/api/v1/model-files/{id}", gateway::kAdmin, get},
                {"DELETE", "/api/v1/model-files/{id}", gateway::kAdmin, remove},
                {"POST", "/api/v1/model-files/{id}/verify", gateway::kAdmin, verify},
                {"GET", "/api/v1/hub-models", gateway::kAdmin, search}});
    add_model_file_watch_route(router, api);
}

}  // namespace gantry::control
