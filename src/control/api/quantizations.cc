// Which of a hub's quantizations a deployment takes, where its source leaves that open (quantization.h).
#include <algorithm>
#include <set>

#include "base/log.h"
#include "control/api/evaluate.h"
#include "control/quantization.h"

namespace gantry::control {
namespace {

namespace management = protocol::management;

constexpr int kHeadersMost = 4;   // read after the first, each a few requests to the hub

class Settling {
public:
    Settling(ApiContext& api, const Deployment& deployment, const Snapshot& view, const std::vector<sources::Offer>& offers)
        : api_(api), deployment_(deployment), view_(view), room_(view), offers_(offers) {
        if (auto runs = api.store.measured_runs()) runs_ = *std::move(runs);   // without them estimates are not corrected
        for (const sources::Offer& offer : offers) options_.push_back({offer.quantization, offer.bytes, {}});
    }

    // nullopt: no header can be read.
    std::optional<management::QuantizationChoice> settle() {
        const size_t usual = usual_quantization(options_);
        const auto base = api_.knowledge.look(offers_[usual].source);
        if (!base) return std::nullopt;
        for (size_t i = 0; i < options_.size(); ++i) {
            decide(i, i == usual ? *base : requantized(*base, options_[i].quantization, options_[i].bytes));
        }
        const uint32_t asked = deployment_.options.context_tokens;
        const uint32_t good = asked > 0 ? asked : base->context_length > 0 ? std::min(base->context_length, placement::kContextGood) : 1;
        std::set<size_t> read = {usual};
        QuantizationPick pick = pick_quantization(options_, good);
        for (int i = 0; i < kHeadersMost && read.insert(pick.index).second; ++i) {
            const auto own = api_.knowledge.look(offers_[pick.index].source);
            if (!own) break;
            decide(pick.index, *own);
            pick = pick_quantization(options_, good);
        }
        return choice_of(pick);
    }

private:
    void decide(size_t i, const ModelMeta& meta) {
        Deployment d = deployment_;
        d.source = offers_[i].source;
        placement::Knowledge knowledge;
        knowledge.runs = runs_;
        knowledge.metas.emplace(d.source, meta);
        options_[i].decision = placement::decide(d, view_, knowledge, room_, placement::Detail::kDecision);
    }

    management::QuantizationChoice choice_of(const QuantizationPick& pick) const {
        management::QuantizationChoice choice{offers_[pick.index].source, pick.reason, {}};
        for (size_t i = 0; i < options_.size(); ++i) {
            const QuantizationOption& o = options_[i];
            choice.considered.push_back({offers_[i].source, o.quantization, o.bytes, o.decision.verdict, o.decision.reason});
        }
        std::stable_sort(choice.considered.begin(), choice.considered.end(), [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
        return choice;
    }

    ApiContext& api_;
    const Deployment& deployment_;
    const Snapshot& view_;
    const placement::Room room_;
    const std::vector<sources::Offer>& offers_;
    std::vector<MeasuredRun> runs_;
    std::vector<QuantizationOption> options_;
};

}  // namespace

std::optional<management::QuantizationChoice> settle_quantization(ApiContext& api, Deployment& deployment, const Snapshot& view) {
    const auto source = parse_source(deployment.source);
    const bool open = source && source->from_hub() && source->quantization.empty();
    if (!open || deployment.backend == BackendKind::kCustom || api.options.model_files == nullptr) return std::nullopt;
    const auto offers = api.options.model_files->offers(*source);
    if (!offers || offers->empty()) return std::nullopt;   // what the hub says against it is said where the source is checked
    auto choice = Settling(api, deployment, view, *offers).settle();
    if (!choice) return choice;
    log::info("{}: {}", deployment.source, choice->reason);
    deployment.source = choice->source;
    return choice;
}

}  // namespace gantry::control
