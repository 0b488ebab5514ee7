// Evaluations: what a model needs and where it fits.
#include <algorithm>
#include <tuple>

#include "protocol/management/fields.h"
#include "protocol/management/objects.h"

namespace gantry::protocol::management {
namespace {

// Of the workers that were not chosen a kept decision shows so many, the best first.
constexpr size_t kOthersKept = 15;

template <class T>
json::array list_of(const std::vector<T>& items) {
    json::array out;
    for (const T& item : items) out.emplace_back(to_json(item));
    return out;
}

json::object to_json(const Term& term) {
    return {{"name", term.name}, {"where", gantry::to_string(term.where)}, {"bytes", term.bytes}, {"formula", term.formula}};
}

json::object to_json(const Estimate& e) {
    return {{"total_bytes", e.total()},
            {"memory_bytes", e.memory_bytes},
            {"rank_bytes", json::array(e.rank_bytes.begin(), e.rank_bytes.end())},
            {"bytes_per_token", e.bytes_per_token},
            {"terms", list_of(e.terms)},
            {"unknown", json::array(e.unknown.begin(), e.unknown.end())}};
}

json::object to_json(const DeviceVerdict& d) {
    return {{"device", gantry::to_string(d.device)},
            {"name", d.name},
            {"allocatable_bytes", d.allocatable_bytes},
            {"needed_bytes", d.needed_bytes},
            {"chosen", d.chosen},
            {"rule", d.rule},
            {"reason", d.reason}};
}

json::object to_json(const ScorePart& s) {
    return {{"scorer", s.scorer}, {"score", s.score}, {"weight", s.weight}, {"reason", s.reason}};
}

json::object to_json(const WorkerVerdict& w) {
    return {{"worker_id", w.worker_id.text},
            {"worker_name", w.name},
            {"rule", w.rule},
            {"reason", w.reason},
            {"devices", list_of(w.devices)},
            {"candidate", w.candidate ? json::value(to_json(*w.candidate)) : json::value()},
            {"scores", list_of(w.scores)},
            {"total", w.total}};
}

json::object to_json(const Suggestion& s) { return {{"change", s.change}, {"value", s.value}, {"text", s.text}}; }

}  // namespace

json::object to_json(const Placement& p) {
    json::array claims;
    for (const DeviceClaim& claim : p.claims) {
        claims.emplace_back(json::object{{"worker_id", claim.worker_id.text},
                                         {"device", gantry::to_string(claim.device)},
                                         {"bytes", claim.bytes},
                                         {"layers", claim.layers},
                                         {"memory_fraction", claim.memory_fraction}});
    }
    return {{"claims", std::move(claims)},
            {"ranks", p.ranks},
            {"context_tokens", p.context_tokens},
            {"sequences", p.sequences},
            {"layers", p.layers},
            {"layers_on_devices", p.layers_on_devices},
            {"estimate_bytes", p.estimate_bytes}};
}

json::object to_json(const Decision& d) {
    return {{"verdict", gantry::to_string(d.verdict)},
            {"reason", d.reason},
            {"placement", d.placement ? json::value(to_json(*d.placement)) : json::value()},
            {"estimate", to_json(d.estimate)},
            {"correction", {{"factor", d.correction.factor}, {"runs", d.correction.runs}}},
            {"workers", list_of(d.workers)},
            {"suggestions", list_of(d.suggestions)}};
}

json::object to_json_kept(const Decision& decision) {
    Decision kept = decision;
    const WorkerId chosen = kept.placement ? kept.placement->leader() : WorkerId{};
    std::stable_sort(kept.workers.begin(), kept.workers.end(), [&chosen](const WorkerVerdict& a, const WorkerVerdict& b) {
        const auto rank = [&chosen](const WorkerVerdict& w) {
            return std::tuple(w.worker_id != chosen, !w.candidate.has_value(), -w.total);
        };
        return rank(a) < rank(b);
    });
    const size_t others = kept.workers.size() > kOthersKept + 1 ? kept.workers.size() - kOthersKept - 1 : 0;
    kept.workers.resize(kept.workers.size() - others);
    json::object out = to_json(kept);
    out["workers_left_out"] = others;
    return out;
}

json::object to_json(const Evaluation& evaluation) {
    json::object out{{"source", evaluation.source},
                     {"backend", gantry::to_string(evaluation.backend)},
                     {"model", evaluation.meta ? json::value(to_json(*evaluation.meta)) : json::value()}};
    for (auto& field : to_json(evaluation.decision)) out[field.key()] = std::move(field.value());
    return out;
}

}  // namespace gantry::protocol::management
