#include "engine/cost_model.h"

#include <algorithm>
#include <cmath>

namespace gantry::engine {
namespace {

constexpr std::array<uint32_t, 16> kKnotRows = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256, 512};
constexpr uint32_t kFirstRows = 32;        // before anything was measured: short on a large model, a usable sample on a small one

// The prior: a model of half a billion weights on two cores, and how far others are from it, as deviations of the logarithm.
constexpr double kFirstRowMs = 15;
constexpr double kRowMs = 3;               // each further one
constexpr double kAttentionMs = 4e-4;      // a row and cell
constexpr double kSpeed = 1.5;             // of all together
constexpr double kKnotOwn = 0.4;           // of a knot, the speed apart
constexpr double kAttentionOwn = 1.0;      // of the attention's factor, the speed apart
constexpr double kKinshipOctaves = 1.5;    // knots so far apart resemble each other by 1/e

constexpr double kNoise = 0.05;            // of a step's time
constexpr double kFading = 1e-4;           // a step's share of the way back to the prior's variance
constexpr double kSlowest = 2.5;           // a slower step counts as so many deviations; slow ones come from neighbours,
constexpr double kFastest = 5;             // while a fast one shows what the machine can do
constexpr double kDearer = 0.25;           // a row of a larger batch costs no more than one of a smaller, but for this

double log2_rows(size_t knot) { return std::log2(static_cast<double>(kKnotRows[knot])); }

}  // namespace

CostModel::Matrix CostModel::prior() {
    Matrix variance{};
    for (size_t i = 0; i < kParameters; ++i) {
        for (size_t j = 0; j < kParameters; ++j) {
            variance[i][j] = kSpeed * kSpeed;
            if (i < kKnots && j < kKnots) {
                variance[i][j] += kKnotOwn * kKnotOwn * std::exp(-std::abs(log2_rows(i) - log2_rows(j)) / kKinshipOctaves);
            }
        }
    }
    variance[kAttention][kAttention] += kAttentionOwn * kAttentionOwn;
    return variance;
}

CostModel::CostModel() : prior_(prior()), variance_(prior_) {
    static_assert(kKnotRows.size() == kKnots);
    Vector start{};
    for (size_t i = 0; i < kKnots; ++i) {
        start[i] = std::log(kFirstRowMs + kRowMs * (kKnotRows[i] - 1));
    }
    start[kAttention] = std::log(kAttentionMs);
    apply(start);
}

CostModel::Parts CostModel::parts(const StepShape& shape) const {
    const double rows = shape.rows;
    const auto above = std::upper_bound(kKnotRows.begin() + 1, kKnotRows.end() - 1, shape.rows);
    Parts parts;
    parts.knot = static_cast<size_t>(above - kKnotRows.begin()) - 1;
    const double from = kKnotRows[parts.knot];
    const double to = kKnotRows[parts.knot + 1];
    if (rows > to) {   // beyond the last knot each row costs what it costs there
        parts.at_next = values_[parts.knot + 1] * rows / to;
    } else {
        parts.at_next = values_[parts.knot + 1] * (rows - from) / (to - from);
        parts.at_knot = values_[parts.knot] * (to - rows) / (to - from);
    }
    parts.attention = values_[kAttention] * static_cast<double>(shape.attended);
    return parts;
}

double CostModel::expected_ms(const StepShape& shape) const {
    return knows_ && shape.rows > 0 ? parts(shape).ms() : 0;
}

// One step of an extended Kalman filter on the logarithms. By the derivative of a logarithm, a parameter's weight in the
// observation is its part of the expected time.
void CostModel::observe(const StepShape& shape, double ms) {
    if (shape.rows == 0 || !(ms >= 0) || !std::isfinite(ms)) {
        return;
    }
    const Parts expected = parts(shape);
    const double total = expected.ms();
    const std::array<size_t, 3> index = {expected.knot, expected.knot + 1, kAttention};
    const std::array<double, 3> weight = {expected.at_knot / total, expected.at_next / total, expected.attention / total};

    Vector shared{};   // covariance of each parameter with the observation
    for (size_t i = 0; i < kParameters; ++i) {
        for (size_t part = 0; part < index.size(); ++part) {
            shared[i] += variance_[i][index[part]] * weight[part];
        }
    }
    double spread = kNoise * kNoise;
    for (size_t part = 0; part < index.size(); ++part) {
        spread += shared[index[part]] * weight[part];
    }
    const double deviation = std::sqrt(spread);
    const double surprise = std::clamp(std::log(std::max(ms, 1e-4) / total), -kFastest * deviation, kSlowest * deviation);

    Vector next = logs_;
    for (size_t i = 0; i < kParameters; ++i) {
        next[i] += shared[i] / spread * surprise;
        for (size_t j = 0; j < kParameters; ++j) {
            variance_[i][j] -= shared[i] * shared[j] / spread;
            variance_[i][j] += kFading * (prior_[i][j] - variance_[i][j]);
        }
    }
    apply(next);
    knows_ = true;
}

// What was learnt in a slow moment must not keep large batches from being tried: then nobody would ever learn that it has passed.
void CostModel::apply(const Vector& logs) {
    logs_ = logs;
    for (size_t i = 0; i < kParameters; ++i) {
        if (i > 0 && i < kKnots) {
            logs_[i] = std::min(logs_[i], logs_[i - 1] + std::log(kKnotRows[i] / static_cast<double>(kKnotRows[i - 1])) + kDearer);
        }
        values_[i] = std::exp(logs_[i]);
    }
}

uint32_t CostModel::rows_within(double ms, const StepShape& so_far, uint32_t rows_max, uint32_t cells) const {
    if (so_far.rows >= rows_max) {
        return 0;
    }
    const uint32_t room = rows_max - so_far.rows;
    if (!knows_) {
        return std::min(kFirstRows, room);
    }
    const auto fits = [&](uint32_t added) { return parts({so_far.rows + added, so_far.attended + uint64_t{added} * cells}).ms() <= ms; };
    if (fits(room)) {
        return room;
    }
    // The highest knot that fits; between it and the next one the time grows.
    uint32_t too_many = room;
    uint32_t added = 0;
    for (size_t knot = kKnots; knot-- > 0 && kKnotRows[knot] > so_far.rows;) {
        const uint32_t up_to_knot = kKnotRows[knot] - so_far.rows;
        if (up_to_knot >= room) {
            continue;
        }
        if (fits(up_to_knot)) {
            added = up_to_knot;
            break;
        }
        too_many = up_to_knot;
    }
    while (too_many - added > 1) {
        const uint32_t middle = added + (too_many - added) / 2;
        (fits(middle) ? added : too_many) = middle;
    }
    return added;
}

std::vector<uint32_t> CostModel::calibration_rows(uint32_t rows_max) {
    std::vector<uint32_t> rows = {1, 8, 64, 4, 16, 32, 2, 128, 6, 12, 48, 24, 96, 3};
    std::erase_if(rows, [rows_max](uint32_t n) { return n > rows_max; });
    return rows;
}

}  // namespace gantry::engine
