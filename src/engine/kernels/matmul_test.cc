#include "engine/kernels/matmul.h"

#include <ggml.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "base/digest.h"
#include "engine/kernels/matmul_fixture.h"
#include "engine/kernels/matmul_packing.h"

namespace gantry::engine::kernels {
namespace {

constexpr ggml_type kTypes[] = {GGML_TYPE_Q4_0, GGML_TYPE_Q4_1, GGML_TYPE_Q5_0, GGML_TYPE_Q5_1,
                                GGML_TYPE_Q8_0, GGML_TYPE_Q4_K, GGML_TYPE_Q5_K, GGML_TYPE_Q6_K, GGML_TYPE_IQ4_NL, GGML_TYPE_IQ4_XS,
                                GGML_TYPE_F16, GGML_TYPE_BF16};

// What packed memory says, by the layout that matmul_packing.h describes.
float packed_value(const Packing& packing, const char* group, uint32_t row, size_t value) {
    const size_t block = value / kBlockValues, within = value % kBlockValues;
    const size_t at = within / 4 * 64 + row * 4 + within % 4;
    const auto* quants = reinterpret_cast<const uint8_t*>(group + block * packing.block_bytes());
    if (packing.bits == 16) {
        const auto* halfs = reinterpret_cast<const uint16_t*>(quants);
        return packing.by == ActivationKind::kFloats ? ggml_fp16_to_fp32(halfs[within * kGroupRows + row])
                                                     : ggml_bf16_to_fp32({halfs[within / 2 * 32 + row * 2 + within % 2]});
    }
    int32_t q = packing.bits == 8 ? quants[at] : at < 256 ? quants[at] & 15 : quants[at - 256] >> 4;
    if (packing.bits == 5) {
        q += ((quants[256 + at / 8] >> (at % 8)) & 1) << 4;
    }
    const auto* scales = reinterpret_cast<const ggml_fp16_t*>(quants + packing.quant_bytes());
    const float scale = ggml_fp16_to_fp32(scales[row]);
    float minimum = 0;
    if (packing.minimums == Minimums::kHalfs) {
        minimum = ggml_fp16_to_fp32(scales[kGroupRows + row]);
    } else if (packing.minimums == Minimums::kWhole) {
        const auto* units = reinterpret_cast<const ggml_fp16_t*>(group + (block - block % 2 + row / 8) * packing.block_bytes() +
                                                                 packing.quant_bytes() + packing.scale_bytes() + kGroupRows);
        minimum = ggml_fp16_to_fp32(units[row % 8]) * reinterpret_cast<const uint8_t*>(scales + kGroupRows)[row];
    }
    return scale * static_cast<float>(packing.has_curve ? kCurve[q] : q - packing.offset) + minimum;
}

class MatmulTest : public OfKernel<testing::TestWithParam<MatmulKernel>> {
protected:
    void SetUp() override { use(GetParam()); }
    static bool takes(ggml_type type) { return packing_of(type).bits < 16 || GetParam() == MatmulKernel::kAvx512; }
};

// Files of packed weights outlive the program that wrote them. If this fails, count kPackedLayout up, and put the new digest here.
TEST(Packing, PackedBytesAreWhatFilesHold) {
    if (install_matmul() == MatmulKernel::kNone) GTEST_SKIP() << "nothing is packed on this CPU";
    std::string all;
    for (const ggml_type type : kTypes) {
        std::mt19937 random(1);
        std::vector<char> data(21 * ggml_row_size(type, 512));
        std::generate(data.begin(), data.end(), [&] { return static_cast<char>(random() & 63); });   // no scale that is not a number
        const Packing packing = packing_of(type);
        std::vector<char> packed(packed_bytes(packing, 21, 512));
        for (size_t group = 0; group < 2; ++group) {
            pack_group(type, data.data(), ggml_row_size(type, 512), 21, 512, group, packed.data() + group * packing.group_bytes(512 / kBlockValues));
        }
        all.append(packed.begin(), packed.end());
    }
    EXPECT_EQ(short_digest(all), "4b79939965593d7c327245951f788283");
    EXPECT_EQ(kPackedLayout, 2U);
}

TEST_P(MatmulTest, PackingKeepsWhatTheWeightsSay) {
    for (const ggml_type type : kTypes) {
        if (!takes(type)) {
            continue;
        }
        const Matrix matrix = make_matrix(type, 21, 512, 1);
        const Packing packing = packing_of(type);
        const size_t blocks = matrix.values / kBlockValues;
        std::vector<char> packed(packed_bytes(packing, matrix.rows, matrix.values), 'x');
        ASSERT_EQ(packed.size(), 2 * packing.group_bytes(blocks));
        for (size_t group = 0; group < 2; ++group) {
            pack_group(type, matrix.data.data(), ggml_row_size(type, 512), matrix.rows, matrix.values, group,
                       packed.data() + group * packing.group_bytes(blocks));
        }
        // Six bits become eight with a coarser scale; the products of scales are rounded to halfs.
        const float tolerance = type == GGML_TYPE_Q6_K ? 0.0012F : 0.0004F;
        for (size_t row = 0; row < 32; ++row) {
            for (size_t value = 0; value < matrix.values; ++value) {
                const float found = packed_value(packing, packed.data() + row / 16 * packing.group_bytes(blocks), row % 16, value);
                const float expected = row < matrix.rows ? matrix.numbers[row * matrix.values + value] : 0;
                ASSERT_NEAR(found, expected, tolerance) << ggml_type_name(type) << " row " << row << " value " << value;
            }
        }
    }
}

TEST_P(MatmulTest, EveryTypeAndShapeIsTheProduct) {
    std::mt19937 random(2);
    std::normal_distribution<float> normal(0, 1);
    for (const ggml_type type : kTypes) {
        if (!takes(type)) {
            continue;
        }
        // Several runs of blocks, a single one, an odd number of groups and outputs that fill none.
        for (const auto& [rows, values] : {std::pair<size_t, size_t>{64, 1536}, {16, 256}, {50, 768}, {33, 512}}) {
            const Matrix matrix = make_matrix(type, rows, values, 3);
            Product product(matrix);
            for (const size_t count : {1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 15, 16, 17, 31, 33, 50, 64, 65, 97}) {
                std::vector<float> input(count * values);
                for (float& value : input) {
                    value = normal(random);
                }
                const std::vector<float> found = product.compute(input, static_cast<int64_t>(count), count % 2 == 0 ? 2 : 1);
                ASSERT_EQ(found.size(), count * rows);
                double error = 0, size = 0;
                for (size_t i = 0; i < count; ++i) {
                    for (size_t row = 0; row < rows; ++row) {
                        double expected = 0;
                        for (size_t value = 0; value < values; ++value) {
                            expected += static_cast<double>(matrix.numbers[row * values + value]) * input[i * values + value];
                        }
                        error += std::pow(found[i * rows + row] - expected, 2);
                        size += expected * expected;
                    }
                }
                const double most = packing_of(type).scale_blocks > 1 ? 0.015 : 0.012;   // activations of a coarser scale
                EXPECT_LT(std::sqrt(error / size), most) << ggml_type_name(type) << " " << rows << "x" << values << ", rows " << count;
            }
        }
    }
}

TEST_P(MatmulTest, ARowsResultDoesNotDependOnItsCompany) {
    for (const auto& [type, values] : {std::pair<ggml_type, size_t>{GGML_TYPE_Q5_0, 896}, {GGML_TYPE_Q4_K, 1536}, {GGML_TYPE_Q6_K, 512},
                                       {GGML_TYPE_Q5_K, 512}}) {
        const Matrix matrix = make_matrix(type, 96, values, 4);
        Product product(matrix);
        const std::vector<float> input = normal_numbers(83 * values, 5);
        const std::vector<float> together = product.compute(input, 83, 2);
        for (size_t row = 0; row < 83; ++row) {
            const std::vector<float> alone(input.begin() + static_cast<std::ptrdiff_t>(row * values),
                                           input.begin() + static_cast<std::ptrdiff_t>((row + 1) * values));
            const std::vector<float> found = product.compute(alone, 1, 1);
            for (size_t i = 0; i < found.size(); ++i) {
                ASSERT_EQ(found[i], together[row * matrix.rows + i]) << "bit for bit, row " << row << " of " << ggml_type_name(type);
            }
        }
    }
}

TEST_P(MatmulTest, ZerosAndLargeNumbers) {
    const Matrix matrix = make_matrix(GGML_TYPE_Q8_0, 32, 256, 6);
    Product product(matrix);
    for (const float value : product.compute(std::vector<float>(256, 0.0F), 1, 1)) {
        EXPECT_EQ(value, 0);
    }
    std::vector<float> large(256, 0.0F);
    large[7] = 1e30F;
    const std::vector<float> found = product.compute(large, 1, 1);
    for (size_t row = 0; row < 32; ++row) {
        EXPECT_NEAR(found[row] / 1e30F, matrix.numbers[row * 256 + 7], 0.01 * std::abs(matrix.numbers[row * 256 + 7]) + 1e-6);
    }
}

INSTANTIATE_TEST_SUITE_P(Kernels, MatmulTest, every_kernel(), [](const auto& kernel) { return name_of(kernel.param); });

}  // namespace
}  // namespace gantry::engine::kernels
