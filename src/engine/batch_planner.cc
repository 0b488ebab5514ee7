#include "engine/batch_planner.h"

#include <algorithm>
#include <queue>
#include <utility>

namespace gantry::engine {
namespace {

// A step with prefill takes so many times what the streams' step takes without. Twice and a half is what people notice; the rest
// is for the noise of the steps.
constexpr double kPaceFactor = 2.4;
constexpr double kPaceFactorMin = 1.5;     // even where that is more than a step may take
constexpr double kPaceMs = 100;            // shorter gaps read as fluent, and small batches cost a prefill dear
constexpr uint32_t kPrefillRowsMin = 16;   // a prefill always advances: below a kernel's tile, rows cost as much as the tile
constexpr uint32_t kTileRows = 4;          // kernels compute so many rows together, and what is over one by one
constexpr uint32_t kAgeingRows = 32;       // a step of waiting counts like so many rows less to compute
constexpr uint64_t kStarvingSteps = 64;    // without a row
constexpr uint32_t kHeadroomCells = 32;    // for each running sequence, left free at an admission: steps before cells run out
constexpr double kDraftWorth = 0.02;       // a guess less likely right is not worth drawing from its logits

}  // namespace

bool BatchPlanner::admits(const AdmissionState& state) const {
    if (state.free_slots == 0) {
        return false;
    }
    if (state.running == 0) {
        return true;   // alone it may use everything, and submit() saw to it that the prompt fits
    }
    const uint64_t headroom = uint64_t{std::min(kHeadroomCells, state.cells / 16)} * (state.running + 1);
    return uint64_t{state.promised_cells} + state.needed_cells + headroom <= state.free_cells;
}

namespace {

using Views = std::vector<const RunningView*>;

// Of those that hold cells the youngest of the lowest class, unless that is above `wanting`. A sequence alone has nobody to take from.
std::optional<Slot> victim(const StepState& state, Priority wanting) {
    const RunningView* found = nullptr;
    size_t holders = 0;
    for (const RunningView& view : state.running) {
        if (view.computed > 0) {
            ++holders;
            if (!found || std::pair(view.priority, view.id) > std::pair(found->priority, found->id)) {
                found = &view;
            }
        }
    }
    return holders > 1 && found->priority >= wanting ? std::optional(found->slot) : std::nullopt;
}

// The step with more rows of a sequence, of which it has `before` already: each attends over those before it and itself.
StepShape with_rows(const StepShape& shape, const RunningView& view, uint32_t before, uint32_t rows) {
    const uint64_t first = uint64_t{view.computed} + before + 1;
    return {shape.rows + rows, shape.attended + rows * first + uint64_t{rows} * (rows - 1) / 2};
}

// One plan in the making.
class Planning {
public:
    explicit Planning(const StepState& state)
        : state_(state), logit_rows_left_(state.logit_rows_max > 0 ? state.logit_rows_max : state.rows_max) {
        for (const RunningView& view : state.running) {
            if (!view.follows) {
                (view.remaining == 1 ? decoding_ : prefilling_).push_back(&view);
            }
        }
    }

    StepPlan run() {
        const bool somebody = !decoding_.empty() || !prefilling_.empty();
        choose_decoding();
        if (!plan_.preempt) {
            add_prefills();
        }
        if (plan_.rows.empty() && !plan_.preempt && somebody) {
            plan_.preempt = victim(state_, Priority::kHigh);   // all cells are held by who cannot go on either
        }
        if (plan_.preempt) {
            plan_.rows.clear();
            return std::move(plan_);
        }
        if (rows_wanted_ == 0) {
            add_drafts();
        }
        plan_.expected_ms = state_.cost->expected_ms(shape_);
        return std::move(plan_);
    }

private:
    void choose_decoding() {
        // More decoding rows than a batch holds: those that wait longest come first.
        std::sort(decoding_.begin(), decoding_.end(), [](const RunningView* a, const RunningView* b) {
            return a->steps_idle != b->steps_idle ? a->steps_idle > b->steps_idle : a->id < b->id;
        });
        decoding_.resize(std::min<size_t>(decoding_.size(), std::min(state_.rows_max, logit_rows_left_)));
        if (decoding_.size() > state_.free_cells) {
            std::stable_sort(decoding_.begin(), decoding_.end(),
                             [](const RunningView* a, const RunningView* b) { return a->priority < b->priority; });
            plan_.preempt = victim(state_, decoding_[state_.free_cells]->priority);
            decoding_.resize(state_.free_cells);
        }
        for (const RunningView* view : decoding_) {
            add(*view, 1);
            --logit_rows_left_;
        }
    }

    void add(const RunningView& view, uint32_t rows) {
        plan_.rows.push_back(PlannedRows{view.slot, rows});
        shape_ = with_rows(shape_, view, 0, rows);
    }

    uint32_t cells_left() const { return state_.free_cells - shape_.rows; }

    double limit_ms() const {
        const bool streams = std::any_of(decoding_.begin(), decoding_.end(), [](const RunningView* view) { return view->generates; });
        if (!streams) {
            return state_.step_ms_max;
        }
        StepShape alone;
        for (const RunningView* view : decoding_) {
            alone = with_rows(alone, *view, 0, 1);
        }
        const double pace = state_.cost->expected_ms(alone);   // what their step would take without prefill
        return std::max(std::min(std::max(kPaceFactor * pace, kPaceMs), state_.step_ms_max), kPaceFactorMin * pace);
    }

    // The rows of this prefill that keep the step short enough.
    uint32_t prefill_budget(const RunningView& view) const {
        const uint32_t cells = view.computed + std::min(view.remaining, state_.rows_max);   // at its end: a little too many
        uint32_t within = state_.cost->rows_within(limit_ms(), shape_, state_.rows_max, cells);
        within -= state_.cost->knows() ? 0 : std::min(within, prefill_rows_);   // it says few, and they are taken
        const uint32_t least = kPrefillRowsMin - std::min(prefill_rows_, kPrefillRowsMin);
        const uint32_t budget = std::min({std::max(within, least), state_.rows_max - shape_.rows, cells_left()});
        if (view.remaining <= budget) {
            return budget;
        }
        // Whole tiles, for the next step goes on where this one ends.
        const uint32_t over = (shape_.rows + budget) % kTileRows;
        return budget > over ? budget - over : budget;
    }

    void order_prefills() {
        const auto urgency = [](const RunningView* view) {
            return static_cast<int64_t>(view->remaining) - static_cast<int64_t>(view->steps_running * kAgeingRows);
        };
        std::sort(prefilling_.begin(), prefilling_.end(), [&](const RunningView* a, const RunningView* b) {
            if (a->priority != b->priority) {
                return a->priority < b->priority;
            }
            return urgency(a) != urgency(b) ? urgency(a) < urgency(b) : a->id < b->id;
        });
    }

    void add_prefills() {
        if (prefilling_.empty()) {
            return;
        }
        order_prefills();
        for (const RunningView* view : prefilling_) {
            rows_wanted_ += view->remaining;
        }
        // One a step, and no more than a tile: a low class advances behind any crowd, and the crowd hardly feels it.
        const auto starving = std::max_element(prefilling_.begin(), prefilling_.end(), [](const RunningView* a, const RunningView* b) {
            return a->steps_idle != b->steps_idle ? a->steps_idle < b->steps_idle : a->id > b->id;
        });
        const RunningView* first = (*starving)->steps_idle >= kStarvingSteps ? *starving : nullptr;
        const bool first_done = first && add_chunk(*first, std::min(prefill_budget(*first), kPrefillRowsMin));
        for (const RunningView* view : prefilling_) {
            if (view == first ? !first_done : !add_chunk(*view, prefill_budget(*view))) {
                break;   // what is left of the step is too little for this one, so it is nobody's
            }
        }
        // No cell is left for it, while a lower class holds some.
        const Priority best = prefilling_.front()->priority;
        if (cells_left() == 0 && shape_.rows == decoding_.size() && best != Priority::kBatch) {
            plan_.preempt = victim(state_, static_cast<Priority>(static_cast<int>(best) + 1));
        }
    }

    // Whether all that remains of it is in the step now.
    bool add_chunk(const RunningView& view, uint32_t most) {
        uint32_t rows = std::min(view.remaining, most);
        if (rows == view.remaining && logit_rows_left_ == 0) {
            --rows;   // its last row needs logits
        }
        if (rows == 0) {
            return false;
        }
        logit_rows_left_ -= rows == view.remaining ? 1 : 0;
        rows_wanted_ -= rows;
        prefill_rows_ += rows;
        add(view, rows);
        return rows == view.remaining;
    }

    // The likeliest guesses first; of their numbers the one with the most expected tokens a millisecond. Costs are not monotone, so
    // all numbers are looked at.
    void add_drafts() {
        const uint32_t most = std::min({state_.rows_max - shape_.rows, cells_left(), logit_rows_left_});
        if (most == 0 || !state_.cost->knows()) {
            return;
        }
        using Guess = std::pair<double, size_t>;   // how likely all up to it are right; index in plan_.rows, where decoding rows come first
        std::priority_queue<Guess> guesses;
        for (size_t i = 0; i < decoding_.size(); ++i) {
            if (decoding_[i]->drafted > 0) {
                guesses.emplace(std::min(decoding_[i]->acceptance, 1.0), i);
            }
        }
        const double limit = limit_ms();
        double tokens = static_cast<double>(plan_.rows.size());
        double best_rate = tokens / state_.cost->expected_ms(shape_);
        StepShape shape = shape_;
        std::vector<size_t> chosen;
        std::vector<uint32_t> counts(decoding_.size(), 0);
        size_t best = 0;
        while (chosen.size() < most && !guesses.empty() && guesses.top().first >= kDraftWorth) {
            const auto [likely, i] = guesses.top();
            guesses.pop();
            chosen.push_back(i);
            tokens += likely;
            if (++counts[i] < decoding_[i]->drafted) {
                guesses.emplace(likely * std::min(decoding_[i]->acceptance, 1.0), i);
            }
            shape = with_rows(shape, *decoding_[i], counts[i], 1);
            const double ms = state_.cost->expected_ms(shape);
            if (ms <= limit && tokens / ms > best_rate) {
                best_rate = tokens / ms;
                best = chosen.size();
            }
        }
        for (size_t n = 0; n < best; ++n) {
            uint32_t& drafts = plan_.rows[chosen[n]].drafts;
            shape_ = with_rows(shape_, *decoding_[chosen[n]], ++drafts, 1);
        }
    }

    const StepState& state_;
    StepPlan plan_;
    Views decoding_;
    Views prefilling_;
    StepShape shape_;
    uint32_t logit_rows_left_;
    uint32_t prefill_rows_ = 0;
    uint64_t rows_wanted_ = 0;   // by prefills, beyond what they got
};

}  // namespace

StepPlan BatchPlanner::plan(const StepState& state) const { return Planning(state).run(); }

}  // namespace gantry::engine
