#include "placement/scheduler.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "placement/device_filters/device_filters.h"
#include "placement/suggestions.h"
#include "placement/survey.h"
#include "placement/texts.h"

namespace gantry::placement {
namespace {

// What is wrong with the devices chosen by hand; empty: nothing.
std::string misnamed(Asked& asked, const Snapshot& snapshot) {
    for (const std::string& text : asked.deployment.placement.devices) {
        const std::optional<Chosen> chosen = parse_chosen(text);
        if (!chosen) return fmt::format("\"{}\" is no device: write VENDOR/INDEX, or WORKER/VENDOR/INDEX", text);
        const bool known = std::any_of(snapshot.workers.begin(), snapshot.workers.end(), [&](const Worker& worker) {
            const auto is_it = [&](const Device& d) { return chosen->is(worker, {d.vendor, d.index}); };
            return std::any_of(worker.devices.begin(), worker.devices.end(), is_it);
        });
        asked.by_hand.push_back(*chosen);
        if (known) continue;
        constexpr size_t kShown = 16;
        std::vector<std::string> there;
        size_t all = 0;
        for (const Worker& worker : snapshot.workers) {
            for (const Device& d : worker.devices) {
                if (++all <= kShown) there.push_back(fmt::format("{}/{}/{}", worker.name, d.vendor, d.index));
            }
        }
        if (all > kShown) there.push_back(fmt::format("and {} more", all - kShown));
        return fmt::format("there is no device \"{}\"; there {}", text, there.empty() ? "are none" : fmt::format("are: {}", fmt::join(there, ", ")));
    }
    return {};
}

Standing standing_of(const Deployment& deployment, const Snapshot& snapshot) {
    Standing standing{.strategy = deployment.placement.strategy};
    std::set<DeploymentId> same_source;
    for (const Deployment& d : snapshot.deployments) {
        if (d.source == deployment.source) same_source.insert(d.id);
    }
    for (const Instance& i : snapshot.instances) {
        if (i.worker_id.empty()) continue;
        if (i.deployment_id == deployment.id && !i.stopping) ++standing.replicas[i.worker_id];
        if (same_source.contains(i.deployment_id)) standing.has_files.insert(i.worker_id);
    }
    return standing;
}

double total_of(const Candidate& candidate, const Standing& standing, std::vector<ScorePart>* parts) {
    double total = 0;
    for (const Scorer& scorer : kScorers) {
        ScorePart part = scorer.score(candidate, standing);
        part.weight = standing.strategy == PlacementStrategy::kBinpack ? scorer.binpack : scorer.spread;
        total += part.score * part.weight;
        if (parts != nullptr) parts->push_back(std::move(part));
    }
    return total;
}

struct Best {
    const Candidate* candidate = nullptr;
    double score = 0;
    size_t rivals = 0;    // others that would do
};

// Ranks each worker's candidates, and finds the best of all.
Best rank(std::vector<Surveyed>& workers, const std::vector<Candidate>& several, Standing& standing) {
    for (const Surveyed& on : workers) {
        for (const Candidate& c : on.candidates) standing.largest_room = std::max(standing.largest_room, mean_room(c));
    }
    for (const Candidate& c : several) standing.largest_room = std::max(standing.largest_room, mean_room(c));
    Best best;
    const auto consider = [&](const Candidate& c, double score) {
        ++best.rivals;
        if (best.candidate != nullptr && !better(c, score, *best.candidate, best.score)) return;
        best.candidate = &c;
        best.score = score;
    };
    for (Surveyed& on : workers) {
        if (on.candidates.empty()) continue;
        std::stable_sort(on.candidates.begin(), on.candidates.end(), [&](const Candidate& a, const Candidate& b) {
            return better(a, total_of(a, standing, nullptr), b, total_of(b, standing, nullptr));
        });
        on.total = total_of(on.candidates.front(), standing, standing.explain ? &on.scores : nullptr);
        consider(on.candidates.front(), on.total);
    }
    for (const Candidate& c : several) consider(c, total_of(c, standing, nullptr));
    return best;
}

// That nothing goes together, whatever the room: of all devices that somebody asked for each is refused by the backend.
std::string incompatible(const std::vector<Surveyed>& workers) {
    std::vector<std::string> reasons;
    for (const Surveyed& on : workers) {
        if (*on.rule != '\0') continue;
        for (const SurveyedDevice& device : on.devices) {
            const std::string_view rule = device.rule;
            if (rule == kDeviceFilters[0].rule || rule == kDeviceFilters[1].rule) continue;
            if (rule != kSupported) return {};
            if (std::find(reasons.begin(), reasons.end(), device.reason) == reasons.end()) reasons.push_back(device.reason);
        }
    }
    return fmt::format("{}", fmt::join(reasons, "; "));
}

// What is asked of whom, and what is known of it.
struct Question {
    Asked asked;
    Needs needs;

    Question(const Deployment& deployment, const Knowledge& knowledge)
        : asked{.deployment = deployment, .backend = backends::backend(deployment.backend), .meta = meta_of(deployment, knowledge)},
          needs(asked, knowledge) {}
    Question(const Question&) = delete;   // `needs` refers to `asked`
    Question& operator=(const Question&) = delete;

    std::optional<backends::Refusal> refused() const {
        return asked.meta == nullptr ? std::nullopt : asked.backend.refuses_model(*asked.meta);
    }

private:
    static const ModelMeta* meta_of(const Deployment& deployment, const Knowledge& knowledge) {
        const auto meta = knowledge.metas.find(deployment.source);
        return meta == knowledge.metas.end() ? nullptr : &meta->second;
    }
};

// Fills in the workers' candidates, the best first.
Best choose(Question& question, std::vector<Surveyed>& workers, std::vector<Candidate>& several, const Snapshot& snapshot, bool explain) {
    std::vector<const View*> views;
    for (Surveyed& on : workers) {
        on.candidates.clear();
        if (*on.rule != '\0') continue;
        on.candidates = candidates(on.view, question.asked, question.needs);
        if (question.asked.deployment.placement.across_workers) views.push_back(&on.view);
    }
    if (names_several_workers(views, question.asked)) {
        for (Surveyed& on : workers) on.candidates.clear();   // exactly those, and not what one of them has of them
    }
    several = candidates_of_several(views, question.asked, question.needs);
    Standing standing = standing_of(question.asked.deployment, snapshot);
    standing.explain = explain;
    return rank(workers, several, standing);
}

class Deciding {
public:
    Deciding(const Deployment& deployment, const Snapshot& snapshot, const Knowledge& knowledge, const Room& room, bool explain)
        : snapshot_(snapshot), room_(room), explain_(explain), question_(deployment, knowledge) {}

    Decision run() {
        Decision decision;
        decision.verdict = Verdict::kDoesNotFit;
        std::vector<Surveyed> workers;
        Asked& asked = question_.asked;
        if (std::string wrong = misnamed(asked, snapshot_); !wrong.empty()) {
            decision.reason = std::move(wrong);
            asked.by_hand.clear();
            workers = explain_ ? survey(asked, snapshot_, room_, true) : std::vector<Surveyed>{};
        } else if (const auto refusal = question_.refused()) {
            decision.verdict = Verdict::kIncompatible;
            decision.reason = fmt::format("{} can't run it: {}", gantry::to_string(asked.deployment.backend), refusal->reason);
            workers = explain_ ? survey(asked, snapshot_, room_, true) : std::vector<Surveyed>{};
            for (Surveyed& on : workers) {
                if (*on.rule != '\0') continue;
                on.rule = "model";
                on.reason = decision.reason;
            }
        } else {
            workers = survey(asked, snapshot_, room_, explain_);
            choose_among(workers, decision);
        }
        if (!decision.placement) decision.estimate = smallest(workers);
        if (explain_) decision.workers = explained(workers, decision.placement, asked, question_.needs, holders());
        return decision;
    }

private:
    // What the least takes, where nothing takes it: on the devices that there are, or that the backend is for.
    Estimate smallest(const std::vector<Surveyed>& workers) {
        Needs& needs = question_.needs;
        std::string vendor = needs.usual_vendor();
        for (const Surveyed& on : workers) {
            if (on.view.memory) vendor = "cpu";
            if (on.view.accelerators.empty()) continue;
            vendor = on.view.accelerators.front().device->vendor;
            break;
        }
        if (vendor == "cpu") return needs.of(vendor, 1, 0, needs.least()).estimate;
        return needs.of(vendor, std::max(1u, question_.asked.deployment.placement.device_count), needs.layers(), needs.least()).estimate;
    }

    void choose_among(std::vector<Surveyed>& workers, Decision& decision) {
        std::vector<Candidate> several;
        Needs& needs = question_.needs;
        const Best best = choose(question_, workers, several, snapshot_, explain_);
        if (best.candidate != nullptr) {
            decision.placement = place(*best.candidate, question_.asked, needs, &decision.estimate);
            decision.correction = needs.correction(best.candidate->slots.front().device->vendor);
            decision.verdict = needs.known() ? Verdict::kFits : Verdict::kUnknown;
            decision.reason = why_there(*decision.placement, *best.candidate, question_.asked, needs, best.rivals);
            return;
        }
        const std::string never = incompatible(workers);
        if (!never.empty()) {
            decision.verdict = Verdict::kIncompatible;
            decision.reason = never;
        } else {
            decision.reason = why_nowhere(workers, question_.asked, needs, holders());
        }
    }

    const Holders& holders() {
        if (!holders_) holders_.emplace(snapshot_);
        return *holders_;
    }

    const Snapshot& snapshot_;
    const Room& room_;
    const bool explain_;
    Question question_;
    std::optional<Holders> holders_;
};

}  // namespace

std::optional<Placement> fitting(const Deployment& deployment, const Snapshot& snapshot, const Knowledge& knowledge, std::vector<Surveyed>& workers) {
    Question question(deployment, knowledge);
    if (!question.needs.known() || !misnamed(question.asked, snapshot).empty() || question.refused()) return std::nullopt;
    std::vector<Candidate> several;
    const Best best = choose(question, workers, several, snapshot, false);
    return best.candidate == nullptr ? std::nullopt : std::optional(place(*best.candidate, question.asked, question.needs, nullptr));
}

std::vector<Surveyed> surveyed_for(const Deployment& deployment, const Snapshot& snapshot, const Room& room) {
    Asked asked{.deployment = deployment, .backend = backends::backend(deployment.backend)};
    return misnamed(asked, snapshot).empty() ? survey(asked, snapshot, room, false) : std::vector<Surveyed>{};
}

Decision decide(const Deployment& deployment, const Snapshot& snapshot, const Knowledge& knowledge, const Room& room, Detail detail) {
    if (knowledge.reading.contains(deployment.source)) {
        Decision later;
        later.reason = "reading the model's files";
        later.estimate.unknown = {"the model's files"};
        return later;
    }
    Decision decision = Deciding(deployment, snapshot, knowledge, room, detail == Detail::kExplained).run();
    if (detail == Detail::kExplained && !decision.placement) decision.suggestions = suggestions(deployment, snapshot, knowledge, room);
    return decision;
}

}  // namespace gantry::placement
