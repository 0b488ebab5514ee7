// /api/v1/catalogue: what is worth serving, and whether it fits these workers, by what the catalogue says alone: nobody is asked. Admins only.
#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "control/api/api.h"
#include "placement/scheduler.h"
#include "protocol/management/objects.h"

namespace gantry::control {
namespace {

namespace management = protocol::management;

bool on_devices(const Decision& decision) {
    return decision.placement && std::none_of(decision.placement->claims.begin(), decision.placement->claims.end(),
                                              [](const DeviceClaim& claim) { return claim.device.vendor == "cpu"; });
}

// What fits on accelerators is better than what fits at all, and that better than what may fit; of equals the usual choice, which is first.
int worth(const Decision& decision) {
    switch (decision.verdict) {
        case Verdict::kFits: return on_devices(decision) ? 3 : 2;
        case Verdict::kUnknown: return 1;
        default: return 0;
    }
}

class Evaluator {
public:
    explicit Evaluator(ApiContext& api) : api_(api), view_(api.publisher.view()), room_(*view_) {
        if (auto runs = api.store.measured_runs()) runs_ = *std::move(runs);   // without them estimates are not corrected
    }

    management::Catalogued of(const CatalogueEntry& entry) const {
        management::Catalogued out{.entry = entry, .decisions = {}, .recommended = 0};
        for (const CatalogueVariant& variant : entry.variants) {
            Deployment d;
            d.source = variant.sources.front();
            d.backend = variant.backend;
            d.options = variant.options;
            placement::Knowledge knowledge;
            knowledge.runs = runs_;
            if (variant.meta.file_bytes > 0) knowledge.metas.emplace(d.source, variant.meta);
            else knowledge.meta_problems.emplace(d.source, "the catalogue does not know how large its files are");
            out.decisions.push_back(placement::decide(d, *view_, knowledge, room_, placement::Detail::kDecision));
            if (worth(out.decisions.back()) > worth(out.decisions[out.recommended])) out.recommended = out.decisions.size() - 1;
        }
        return out;
    }

private:
    ApiContext& api_;
    const std::shared_ptr<const Snapshot> view_;   // shared with whoever else reads this state
    const placement::Room room_;
    std::vector<MeasuredRun> runs_;
};

Result<Answer> list(ApiContext& api, const Call& call) {
    const std::string_view modality = call.request.query_value("modality"), family = call.request.query_value("family"),
                           fits = call.request.query_value("fits");
    if (!fits.empty() && fits != "true" && fits != "false") return invalid_argument("\"fits\" must be true or false", "fits");
    const Evaluator evaluator(api);
    store::Page<management::Catalogued> page;   // as many as were worth naming
    for (const CatalogueEntry& entry : api.options.catalogue.entries) {
        if ((!modality.empty() && entry.modality != modality) || (!family.empty() && entry.family != family)) continue;
        management::Catalogued one = evaluator.of(entry);
        if (!fits.empty() && (one.decisions[one.recommended].verdict == Verdict::kFits) != (fits == "true")) continue;
        page.items.push_back(std::move(one));
    }
    return list_answer(page, [](const management::Catalogued& one) { return management::to_json(one); });
}

Result<Answer> get(ApiContext& api, const Call& call) {
    const std::string& id = call.param("id");
    const CatalogueEntry* const entry = api.options.catalogue.find(id);
    if (entry == nullptr) return not_found(fmt::format("the catalogue has no \"{}\"; `gantry catalogue` lists what it has", log::escape(id, 100)));
    return json_answer(200, management::to_json(Evaluator(api).of(*entry)));
}

}  // namespace

void add_catalogue_routes(http::Router& router, ApiContext& api) {
    add_routes(router, api, {{"GET", "/api/v1/catalogue", gateway::kAdmin, list}, {"GET", "/api/v1/catalogue/{id}", gateway::kAdmin, get}});
}

}  // namespace gantry::control
