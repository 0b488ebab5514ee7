// /api/v1/evaluations: what a model needs and where it would go now; nothing is kept.
#include "backends/backends.h"
#include "control/api/api.h"
#include "control/api/evaluate.h"
#include "control/api/lookup.h"
#include "protocol/management/objects.h"

namespace gantry::control {
namespace {

namespace management = protocol::management;

Result<Answer> create(ApiContext& api, const Call& call) {
    const auto input = management::parse_evaluation(call.request.body);
    if (!input) return input.error();
    Deployment d;
    input->deployment.apply_to(d);
    // A program that is missing here may be there on a worker.
    const Status valid = backends::backend(d.backend).validate(d.options);
    if (!valid && valid.error().reason != "backend_missing") return valid.error();
    Snapshot imagined;   // nothing runs there
    if (input->workers) imagined.workers = *input->workers;
    const auto now = api.publisher.view();
    const Snapshot& view = input->workers ? imagined : *now;
    auto choice = settle_quantization(api, d, view);
    if (d.backend != BackendKind::kCustom) GANTRY_TRY(check_source(api, d.source));
    management::Evaluation evaluation = evaluate(api, d, view);
    evaluation.choice = std::move(choice);
    return json_answer(200, management::to_json(evaluation));
}

}  // namespace

management::Evaluation evaluate(ApiContext& api, const Deployment& deployment, const Snapshot& view) {
    const placement::Knowledge knowledge = api.knowledge.of({deployment.source}, view);
    management::Evaluation out;
    out.source = deployment.source;
    out.backend = deployment.backend;
    if (const auto meta = knowledge.metas.find(deployment.source); meta != knowledge.metas.end()) out.meta = meta->second;
    out.decision = placement::decide(deployment, view, knowledge, placement::Room(view), placement::Detail::kExplained);
    return out;
}

void add_evaluation_routes(http::Router& router, ApiContext& api) {
    add_routes(router, api, {{"POST", "/api/v1/evaluations", gateway::kAdmin, create}});
}

}  // namespace gantry::control
