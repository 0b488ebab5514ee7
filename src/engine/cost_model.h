#pragma once
// What a step costs, learnt from the steps so far: how long will a forward of this shape take, and how many rows fit a time?
//
//   ms = curve(rows) + attention * attended cells
//
// The curve holds what weights and rows cost together, by knots with straight lines between them, for kernels have tiles: a
// batch of two may cost more than twice one, and eight rows less than six. What is estimated are the logarithms of the knots
// and of the attention's factor, by a Kalman filter whose prior says: the speed of the machine moves all of them together,
// neighbours resemble each other, and the rest is each one's own. So the first sample already tells of all shapes, a machine
// that becomes slower is slower everywhere, and a knot that was well measured stays. Old samples fade: the estimate's variance
// creeps back to the prior's. A step far slower than expected counts only as far as noise explains, so that a busy neighbour
// bends nothing, yet a change that lasts is followed within tens of steps.
//
// Threads: none of its own.

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace gantry::engine {

struct StepShape {
    uint32_t rows = 0;
    uint64_t attended = 0;   // the cells that each row attends over, added up
};

class CostModel {
public:
    CostModel();
    void observe(const StepShape& shape, double ms);
    bool knows() const { return knows_; }
    double expected_ms(const StepShape& shape) const;   // 0 while nothing is known
    // How many rows may be added to a step so that it is expected to take no longer than `ms` and holds `rows_max` at most, when
    // each attends over `cells`. 0: not one. While nothing is known: few.
    uint32_t rows_within(double ms, const StepShape& so_far, uint32_t rows_max, uint32_t cells) const;

    // Steps worth timing before the first request, with an empty cache, the most telling first; each may be left out.
    static std::vector<uint32_t> calibration_rows(uint32_t rows_max);

private:
    static constexpr size_t kKnots = 16;
    static constexpr size_t kAttention = kKnots;        // the parameter after the knots
    static constexpr size_t kParameters = kKnots + 1;
    using Vector = std::array<double, kParameters>;
    using Matrix = std::array<Vector, kParameters>;

    static Matrix prior();
    // What each parameter adds to the expected milliseconds.
    struct Parts {
        size_t knot = 0;                                // and the next one
        double at_knot = 0;
        double at_next = 0;
        double attention = 0;
        double ms() const { return at_knot + at_next + attention; }
    };
    Parts parts(const StepShape& shape) const;
    void apply(const Vector& logs);

    Vector logs_{};
    Vector values_{};                                   // their exponentials
    Matrix prior_;
    Matrix variance_;
    bool knows_ = false;
};

}  // namespace gantry::engine
