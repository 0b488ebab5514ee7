#include "engine/batch_planner.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/assert.h"

namespace gantry::engine {
namespace {

constexpr double kAverageWeight = 0.3;     // of the newest observation
constexpr uint32_t kFirstRows = 32;        // before anything was measured: short on a large model, a usable sample on a small one
constexpr double kPaceMs = 120;            // a step with running streams takes no longer than this,
constexpr double kPaceFactor = 4;          // or than so many steps without prefill, where those are slow
constexpr uint32_t kPrefillRowsMin = 16;   // a prefill always advances: below a kernel's tile, rows cost as much as the tile
constexpr uint32_t kAgeingRows = 32;       // a step of waiting counts like so many rows less to compute
constexpr uint32_t kHeadroomCells = 32;    // for each running sequence, left free at an admission: steps before cells run out

uint32_t bucket_of(uint32_t rows) { return static_cast<uint32_t>(std::bit_width(rows)) - 1; }

}  // namespace

void CostModel::observe(uint32_t rows, double ms) {
    if (rows == 0 || !(ms >= 0)) {
        return;
    }
    const uint32_t bucket = std::min(bucket_of(rows), kBuckets - 1);
    const double seen = std::max(ms / rows, 1e-6);
    double& average = row_ms_[bucket];
    average = average == 0 ? seen : average + kAverageWeight * (seen - average);
    known_ = true;
    // A larger batch costs less a row, not more. What was learnt in a slow moment must not keep large batches from being tried.
    for (uint32_t larger = bucket + 1; larger < kBuckets; ++larger) {
        row_ms_[larger] = std::min(row_ms_[larger], average);
    }
}

// What was not seen lies between its neighbours, evenly in the logarithm; beyond them it is as they are.
double CostModel::row_ms(uint32_t bucket) const {
    uint32_t below = bucket;
    while (below > 0 && row_ms_[below] == 0) {
        --below;
    }
    uint32_t above = bucket;
    while (above + 1 < kBuckets && row_ms_[above] == 0) {
        ++above;
    }
    if (row_ms_[below] == 0 || row_ms_[above] == 0 || below == above) {
        return std::max(row_ms_[below], row_ms_[above]);
    }
    const double way = static_cast<double>(bucket - below) / static_cast<double>(above - below);
    return row_ms_[below] * std::pow(row_ms_[above] / row_ms_[below], way);
}

double CostModel::expected_ms(uint32_t rows) const {
    return rows == 0 ? 0 : row_ms(std::min(bucket_of(rows), kBuckets - 1)) * rows;
}

uint32_t CostModel::rows_within(double ms, uint32_t rows_max) const {
    if (!known_) {
        return std::min(kFirstRows, rows_max);
    }
    for (uint32_t bucket = kBuckets; bucket-- > 0;) {
        const double rows = ms / row_ms(bucket);
        if (rows >= static_cast<double>(1u << bucket)) {
            const double largest_of_bucket = static_cast<double>((2u << bucket) - 1);
            return static_cast<uint32_t>(std::min({rows, largest_of_bucket, static_cast<double>(rows_max)}));
        }
    }
    return 1;
}

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

std::optional<Slot> youngest_with_cells(const StepState& state) {
    const RunningView* youngest = nullptr;
    size_t holders = 0;
    for (const RunningView& view : state.running) {
        if (view.computed > 0) {
            ++holders;
            if (!youngest || view.id > youngest->id) {
                youngest = &view;
            }
        }
    }
    return holders > 1 ? std::optional(youngest->slot) : std::nullopt;
}

// The prefill rows that keep the step short enough, when `decoding` rows are in it already.
uint32_t prefill_budget(const StepState& state, uint32_t decoding, bool streams) {
    double limit_ms = state.step_ms_max;
    if (streams) {
        limit_ms = std::min(limit_ms, std::max(kPaceMs, kPaceFactor * state.cost->expected_ms(decoding)));
    }
    const uint32_t rows = state.cost->rows_within(limit_ms, state.rows_max);
    const uint32_t wanted = std::max(rows > decoding ? rows - decoding : 0, kPrefillRowsMin);
    return std::min(wanted, state.rows_max - decoding);
}

}  // namespace

StepPlan BatchPlanner::plan(const StepState& state) const {
    StepPlan plan;
    std::vector<const RunningView*> decoding;
    std::vector<const RunningView*> prefilling;
    bool streams = false;
    for (const RunningView& view : state.running) {
        if (view.follows) {
            continue;
        }
        streams |= view.generates;
        (view.remaining == 1 ? decoding : prefilling).push_back(&view);
    }
    // More decoding rows than a batch holds: those that wait longest come first.
    std::sort(decoding.begin(), decoding.end(), [](const RunningView* a, const RunningView* b) {
        return a->steps_idle != b->steps_idle ? a->steps_idle > b->steps_idle : a->id < b->id;
    });
    decoding.resize(std::min<size_t>(decoding.size(), state.rows_max));
    if (decoding.size() > state.free_cells) {
        plan.preempt = youngest_with_cells(state);
        return plan;
    }
    for (const RunningView* view : decoding) {
        plan.rows.push_back(PlannedRows{view->slot, 1});
    }

    const auto urgency = [](const RunningView* view) {
        return static_cast<int64_t>(view->remaining) - static_cast<int64_t>(view->steps_running * kAgeingRows);
    };
    std::sort(prefilling.begin(), prefilling.end(), [&](const RunningView* a, const RunningView* b) {
        return urgency(a) != urgency(b) ? urgency(a) < urgency(b) : a->id < b->id;
    });
    const auto decoding_rows = static_cast<uint32_t>(decoding.size());
    uint32_t left = std::min(prefill_budget(state, decoding_rows, streams), state.free_cells - decoding_rows);
    uint32_t rows = decoding_rows;
    for (const RunningView* view : prefilling) {
        const uint32_t chunk = std::min(view->remaining, left);
        if (chunk == 0) {
            break;
        }
        plan.rows.push_back(PlannedRows{view->slot, chunk});
        left -= chunk;
        rows += chunk;
    }
    if (plan.rows.empty() && !prefilling.empty()) {
        plan.preempt = youngest_with_cells(state);   // all cells are held by half-computed prompts
    }
    plan.expected_ms = state.cost->expected_ms(rows);
    return plan;
}

}  // namespace gantry::engine
