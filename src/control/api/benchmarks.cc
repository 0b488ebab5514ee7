// /api/v1/benchmarks: starting, watching, ending and keeping them. Users see their own, admins all. Whatever is measured is asked as its
// owner, so that nobody measures what they may not use; outside URLs are for admins, as outside providers are.
#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "control/api/api.h"
#include "control/api/lookup.h"
#include "control/benchmarks/benchmarks.h"
#include "protocol/management/objects.h"

namespace gantry::control {
namespace {

namespace management = protocol::management;

constexpr size_t kQueuedMax = 32;
constexpr size_t kQueuedOfOneMax = 8;

Result<Benchmark> find(ApiContext& api, const Call& call) {
    auto found = api.store.benchmark(BenchmarkId(call.param("id")));
    if (!found && found.error().code != ErrorCode::kNotFound) return found;
    if (!found || (!call.admin() && found->user_id != call.who->user_id)) {
        return not_found(fmt::format("no benchmark \"{}\"", log::escape(call.param("id"), 64)), "benchmark_not_found");
    }
    return found;
}

Result<Answer> list(ApiContext& api, const Call& call) {
    const auto page = page_request(call.request);
    if (!page) return page.error();
    const auto open = api.store.open_benchmarks();
    if (!open) return open.error();
    const auto rows = api.store.benchmarks(*page, call.admin() ? UserId() : call.who->user_id);
    if (!rows) return rows.error();
    return list_answer(*rows, [&](const Benchmark& b) { return api.benchmarks->shown(b, *open, false); });
}

Result<Answer> show(ApiContext& api, const Benchmark& benchmark, int status, bool with_result) {
    const auto open = api.store.open_benchmarks();
    if (!open) return open.error();
    return json_answer(status, api.benchmarks->shown(benchmark, *open, with_result));
}

Result<Answer> get(ApiContext& api, const Call& call) {
    const auto found = find(api, call);
    if (!found) return found.error();
    return show(api, *found, 200, true);
}

Status check_target(ApiContext& api, const Call& call, const BenchmarkTarget& target, size_t index) {
    if (target.deployment.empty()) {
        if (call.admin()) return Ok{};
        return Error{ErrorCode::kPermissionDenied, "Only an administrator may have the server send requests to an outside URL.",
                     fmt::format("targets[{}].url", index), "admin_required"};
    }
    const std::string param = fmt::format("targets[{}].deployment", index);
    const auto found = api.store.deployment_by_name(target.deployment);
    if (found && call.who->may_use(target.deployment)) return Ok{};
    if (!found && found.error().code != ErrorCode::kNotFound) return found.error();
    return invalid_argument(
        fmt::format("\"{}\": there is no deployment named {}, or not for you", param, log::escape(target.deployment, 128)), param);
}

Status check_queue(const std::vector<Benchmark>& open, const Call& call) {
    const auto own = std::count_if(open.begin(), open.end(), [&](const Benchmark& b) { return b.user_id == call.who->user_id; });
    if (open.size() < kQueuedMax && static_cast<size_t>(own) < kQueuedOfOneMax) return Ok{};
    return Error{ErrorCode::kRateLimited,
                 fmt::format("{} benchmarks are waiting or running, {} of them yours; at most {}, and {} of one user, are taken: wait for one to "
                             "end, or cancel one",
                             open.size(), own, kQueuedMax, kQueuedOfOneMax),
                 {},
                 "too_many_benchmarks"};
}

Result<Benchmark> make(ApiContext& api, const Call& call, management::BenchmarkInput input) {
    Benchmark b;
    b.id = new_id<BenchmarkId>(api.random, "bmk");
    b.name = std::move(input.name);
    b.user_id = call.who->user_id;
    b.user_name = call.who->user_name;
    b.key_id = call.who->key_id;
    b.settings = input.settings;
    if (!input.seed_given) b.settings.seed = 1 + static_cast<uint64_t>(api.random.uniform() * 1e9);
    b.targets = std::move(input.targets);
    for (size_t i = 0; i < b.targets.size(); ++i) {
        if (input.keys[i].empty()) continue;
        Result<std::string> sealed = api.secrets.seal(input.keys[i], b.id.text);
        if (!sealed) return sealed.error();
        b.targets[i].sealed_key = *std::move(sealed);
    }
    b.created_at = api.clock.wall();
    return b;
}

Result<Answer> create(ApiContext& api, const Call& call) {
    auto input = management::parse_benchmark_create(call.request.body);
    if (!input) return input.error();
    if (!call.who->scopes.inference) {
        return Error{ErrorCode::kPermissionDenied, "This key is for the management API only: a benchmark sends requests to models, and its scopes "
                     "lack \"inference\".", {}, "insufficient_scope"};
    }
    for (size_t i = 0; i < input->targets.size(); ++i) GANTRY_TRY(check_target(api, call, input->targets[i], i));
    const auto open = api.store.open_benchmarks();
    if (!open) return open.error();
    GANTRY_TRY(check_queue(*open, call));
    const auto made = make(api, call, *std::move(input));
    if (!made) return made.error();
    GANTRY_TRY(api.store.create_benchmark(*made));
    GANTRY_TRY(api.once_stored([&api] { return api.benchmarks->changed(); }));
    std::vector<Benchmark> with = *open;
    with.push_back(*made);
    return json_answer(201, api.benchmarks->shown(*made, with, false));
}

Result<Answer> cancel(ApiContext& api, const Call& call) {
    auto found = find(api, call);
    if (!found) return found.error();
    const std::string why = call.who->user_id == found->user_id ? "cancelled" : fmt::format("cancelled by {}", call.who->user_name);
    if (is_over(found->state)) return conflict(fmt::format("benchmark {} is over: {}", found->id.text, to_string(found->state)));
    if (api.benchmarks->cancel_running(found->id, why)) {
        const auto now = api.store.benchmark(found->id);
        if (!now) return now.error();
        return show(api, *now, 200, false);
    }
    found->state = BenchmarkState::kCancelled;
    found->reason = why;
    close_benchmark(*found, api.clock.wall());
    GANTRY_TRY(api.store.update_benchmark(*found));
    GANTRY_TRY(api.once_stored([&api] { return api.benchmarks->changed(); }));
    return show(api, *found, 200, false);
}

Result<Answer> remove(ApiContext& api, const Call& call) {
    const auto found = find(api, call);
    if (!found) return found.error();
    if (!is_over(found->state)) return conflict(fmt::format("benchmark {} is {}: cancel it first", found->id.text, to_string(found->state)));
    GANTRY_TRY(api.store.delete_benchmark(found->id));
    GANTRY_TRY(api.once_stored([&api] { return api.benchmarks->changed(); }));
    return no_content();
}

}  // namespace

void add_benchmark_routes(http::Router& router, ApiContext& api) {
    add_routes(router, api,
               {{"GET", "/api/v1/benchmarks", gateway::kUser, list},
                {"POST", "/api/v1/benchmarks", gateway::kUser, create},
                {"GET", "/api/v1/benchmarks/{id}", gateway::kUser, get},
                {"POST", "/api/v1/benchmarks/{id}/cancel", gateway::kUser, cancel},
                {"DELETE", "/api/v1/benchmarks/{id}", gateway::kUser, remove}});
}

}  // namespace gantry::control
