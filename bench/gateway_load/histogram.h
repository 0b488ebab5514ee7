#pragma once
// Times in nanoseconds, kept to a two-hundred-and-fifty-sixth of themselves however many there are.

#include <bit>
#include <cstdint>
#include <vector>

namespace gantry::load {

class Histogram {
public:
    void add(int64_t ns) {
        const auto value = static_cast<uint64_t>(ns < 0 ? 0 : ns);
        ++counts_[index_of(value)];
        ++count_;
        sum_ += static_cast<double>(value);
        if (value > max_) max_ = value;
    }
    uint64_t count() const { return count_; }
    double max_us() const { return static_cast<double>(max_) / 1e3; }
    double mean_us() const { return count_ == 0 ? 0 : sum_ / static_cast<double>(count_) / 1e3; }
    double percentile_us(double percent) const {
        auto left = static_cast<uint64_t>(static_cast<double>(count_) * percent / 100);
        for (size_t i = 0; i < counts_.size(); ++i) {
            if (counts_[i] > left) return middle_of(i) / 1e3;
            left -= counts_[i];
        }
        return max_us();
    }

private:
    static constexpr unsigned kBits = 8;   // 256 steps from a power of two to the next
    static size_t index_of(uint64_t value) {
        if (value < (1u << kBits)) return value;
        const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - 1 - kBits;
        return (static_cast<size_t>(shift) << kBits) + (value >> shift);
    }
    static double middle_of(size_t index) {
        if (index < (2u << kBits)) return static_cast<double>(index);
        const size_t shift = (index >> kBits) - 1;
        const uint64_t low = ((index & ((1u << kBits) - 1)) + (1u << kBits)) << shift;
        return static_cast<double>(low) + static_cast<double>(1ull << shift) / 2;
    }

    std::vector<uint64_t> counts_ = std::vector<uint64_t>(56u << kBits);
    uint64_t count_ = 0;
    double sum_ = 0;
    uint64_t max_ = 0;
};

}  // namespace gantry::load
