// Products against ggml's own and against one in 64 bits, over shapes, numbers and hostile values that a seed draws.
// GANTRY_MATMUL_SEED tries another one; a failure names its own.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <random>

#include "engine/kernels/matmul.h"
#include "engine/kernels/matmul_fixture.h"

namespace gantry::engine::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

uint32_t first_seed() {
    const char* given = std::getenv("GANTRY_MATMUL_SEED");
    return given ? static_cast<uint32_t>(std::strtoul(given, nullptr, 10)) : 1;
}

// In 64 bits, of the numbers that the weights' format says.
struct Reference {
    std::vector<double> product;
    std::vector<double> size;   // that a sum of such terms has when their signs are chance: an error's measure, also where sums cancel
};

Reference reference_of(const Matrix& matrix, const std::vector<float>& input) {
    Reference made;
    for (size_t row = 0; row < input.size() / matrix.values; ++row) {
        for (size_t output = 0; output < matrix.rows; ++output) {
            double sum = 0, squares = 0;
            for (size_t value = 0; value < matrix.values; ++value) {
                const double term = static_cast<double>(matrix.numbers[output * matrix.values + value]) * input[row * matrix.values + value];
                sum += term;
                squares += term * term;
            }
            made.product.push_back(sum);
            made.size.push_back(std::sqrt(squares));
        }
    }
    return made;
}

double norm(const std::vector<double>& values) {
    double sum = 0;
    for (const double value : values) {
        sum += value * value;
    }
    return std::sqrt(sum);
}

// Root mean square of the difference, over that of the reference's size.
template <class Expected>
double distance(const std::vector<float>& found, const Expected& expected, const Reference& reference) {
    std::vector<double> difference;
    for (size_t i = 0; i < found.size(); ++i) {
        difference.push_back(static_cast<double>(found[i]) - static_cast<double>(expected[i]));
    }
    return norm(difference) / norm(reference.size);
}

class MatmulReferenceTest : public OfKernel<testing::TestWithParam<std::tuple<ggml_type, MatmulKernel>>> {
protected:
    void SetUp() override { use(std::get<1>(GetParam())); }
    static ggml_type type() { return std::get<0>(GetParam()); }
    // A multiple of what the type quantises together.
    static size_t values_up_to(size_t most, std::mt19937& random) {
        const auto each = std::max<size_t>(32, static_cast<size_t>(ggml_blck_size(type())));
        return each * (1 + random() % (most / each));
    }
};

TEST_P(MatmulReferenceTest, RandomShapesAreAsExactAsGgmls) {
    for (uint32_t seed = first_seed(); seed < first_seed() + 24; ++seed) {
        std::mt19937 random(seed);
        const size_t values = values_up_to(1536, random);
        const size_t outputs = 1 + random() % 150;
        const size_t rows = random() % 4 == 0 ? 1 : 1 + random() % 100;
        const auto threads = static_cast<int>(1 + random() % 3);
        const size_t padding = random() % 2 * (1 + random() % 7);
        SCOPED_TRACE(testing::Message() << ggml_type_name(type()) << " " << outputs << "x" << values << " by " << rows << " rows, " << threads
                                        << " threads, padding " << padding << ", GANTRY_MATMUL_SEED=" << seed);
        const Matrix matrix = make_matrix(type(), outputs, values, seed);
        const std::vector<float> input = normal_numbers(rows * values, seed + 1, std::pow(10.0F, static_cast<float>(random() % 7) - 3));
        const Reference exact = reference_of(matrix, input);
        const std::vector<float> ours = Product(matrix).compute(input, static_cast<int64_t>(rows), threads, padding);
        const std::vector<float> theirs = Product(matrix, Whose::kGgml).compute(input, static_cast<int64_t>(rows), threads, padding);
        const double chance = 0.002 + 0.03 / std::sqrt(static_cast<double>(ours.size()));
        EXPECT_LT(distance(ours, exact.product, exact), 1.1 * distance(theirs, exact.product, exact) + chance);
        EXPECT_LT(distance(ours, theirs, exact), 0.01 + chance);
    }
}

// Whoever else is in the batch: a row with what is no number harms no other, to the last bit.
TEST_P(MatmulReferenceTest, WhatIsNoNumberStaysInItsRow) {
    const Matrix matrix = make_matrix(type(), 37, 512, 3);
    const Product ours(matrix), theirs(matrix, Whose::kGgml);
    for (const size_t rows : {1, 3, 9, 16, 21, 40, 81}) {
        const std::vector<float> clean = normal_numbers(rows * 512, 4);
        const std::vector<float> before = ours.compute(clean, static_cast<int64_t>(rows), 2);
        for (const float hostile : {kNan, -kNan, kInfinity, -kInfinity}) {
            for (const size_t place : {0, 15, 16, 31, 300, 511}) {
                std::vector<float> input = clean;
                const size_t row = place % rows;
                input[row * 512 + place] = hostile;
                const std::vector<float> found = ours.compute(input, static_cast<int64_t>(rows), 2);
                for (size_t i = 0; i < found.size(); ++i) {
                    if (i / matrix.rows == row) {
                        ASSERT_FALSE(std::isfinite(found[i])) << hostile << " at " << place << " of " << rows << " rows, output " << i;
                    } else {
                        ASSERT_EQ(found[i], before[i]) << hostile << " at " << place << " of " << rows << " rows, output " << i;
                    }
                }
            }
        }
    }
}

// ggml's scales of activations are halfs or floats, by type, so what it makes of numbers near the ends differs between its types; where
// its result is a number, ours is the exact one.
TEST_P(MatmulReferenceTest, TheEndsOfTheRange) {
    const Matrix matrix = make_matrix(type(), 37, 512, 5);
    const Product ours(matrix), theirs(matrix, Whose::kGgml);
    for (const float size : {1e-45F, 1e-42F, 1.1e-38F, 3.7e-37F, 1e-30F, 1e-20F, 1e-6F, 1e4F, 1e20F, 1e30F}) {
        const std::vector<float> input = normal_numbers(5 * 512, 6, size);
        const Reference exact = reference_of(matrix, input);
        const std::vector<float> found = ours.compute(input, 5, 2), ggml = theirs.compute(input, 5, 2);
        if (size < 1e-35F) {   // a scale of which has no inverse: no more than the numbers themselves
            for (size_t i = 0; i < found.size(); ++i) {
                EXPECT_LE(std::abs(found[i]), 512 * size) << size;
            }
        } else {
            EXPECT_LT(distance(found, exact.product, exact), 0.015) << size;
        }
        for (size_t i = 0; i < found.size(); ++i) {
            EXPECT_TRUE(std::isfinite(found[i]) || !std::isfinite(ggml[i])) << size;
        }
    }
    for (const float value : ours.compute(std::vector<float>(3 * 512, -0.0F), 3, 1)) {
        EXPECT_EQ(value, 0);
    }
    // A single one among zeros is itself.
    std::vector<float> single(512);
    single[77] = -3;
    const Reference exact = reference_of(matrix, single);
    EXPECT_LT(distance(ours.compute(single, 1, 1), exact.product, exact), 0.005);
}

// Scales of weights that a hostile file holds: any bits at all. What reads and multiplies them must do so without a fault, and what is
// no number stays in its output.
TEST_P(MatmulReferenceTest, AnyBitsMayBeWeights) {
    for (uint32_t seed = first_seed(); seed < first_seed() + 8; ++seed) {
        std::mt19937 random(seed);
        Matrix matrix = make_matrix(type(), 37, 512, seed);
        const int64_t rows = seed % 2 == 0 ? 3 : 67;   // of a step, of a prompt
        const std::vector<float> input = normal_numbers(static_cast<size_t>(rows) * 512, seed);
        const std::vector<float> before = Product(matrix).compute(input, rows, 2);
        std::vector<bool> hostile(matrix.rows);
        for (size_t i = 0; i < 5; ++i) {
            const size_t row = random() % matrix.rows;
            hostile[row] = true;
            for (size_t byte = 0; byte < matrix.row_bytes(); ++byte) {
                matrix.data[row * matrix.row_bytes() + byte] = static_cast<char>(random());
            }
        }
        const std::vector<float> found = Product(matrix).compute(input, rows, 2);
        const std::vector<float> theirs = Product(matrix, Whose::kGgml).compute(input, rows, 2);
        for (size_t i = 0; i < found.size(); ++i) {
            if (!hostile[i % matrix.rows]) {
                ASSERT_EQ(found[i], before[i]) << "GANTRY_MATMUL_SEED=" << seed << ", output " << i % matrix.rows;
            } else if (!std::isfinite(theirs[i])) {
                EXPECT_FALSE(std::isfinite(found[i])) << "GANTRY_MATMUL_SEED=" << seed << ", output " << i % matrix.rows;
            }
        }
    }
}

std::string name_of_case(const testing::TestParamInfo<std::tuple<ggml_type, MatmulKernel>>& of) {
    return std::string(ggml_type_name(std::get<0>(of.param))) + "_" + name_of(std::get<1>(of.param));
}

const auto kQuants = testing::Values(GGML_TYPE_Q4_0, GGML_TYPE_Q4_1, GGML_TYPE_Q5_0, GGML_TYPE_Q5_1, GGML_TYPE_Q8_0, GGML_TYPE_Q4_K, GGML_TYPE_Q5_K,
                                     GGML_TYPE_Q6_K, GGML_TYPE_IQ4_NL, GGML_TYPE_IQ4_XS);
INSTANTIATE_TEST_SUITE_P(Quants, MatmulReferenceTest, testing::Combine(kQuants, every_kernel()), name_of_case);
INSTANTIATE_TEST_SUITE_P(Halfs, MatmulReferenceTest,
                         testing::Combine(testing::Values(GGML_TYPE_F16, GGML_TYPE_BF16), testing::Values(MatmulKernel::kAvx512)),
                         name_of_case);

}  // namespace
}  // namespace gantry::engine::kernels
