#pragma once
// For tests of products: matrices of weights, and one product of ggml's graph with the weights in a buffer of ours or of ggml's.

#include <ggml-backend.h>
#include <ggml-cpu.h>
#include <ggml.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/kernels/matmul.h"

namespace gantry::engine::kernels {

inline auto every_kernel() { return testing::Values(MatmulKernel::kAvx2, MatmulKernel::kAvxVnni, MatmulKernel::kAvx512); }
inline std::string name_of(MatmulKernel kernel) {
    return kernel == MatmulKernel::kAvx2 ? "avx2" : kernel == MatmulKernel::kAvxVnni ? "avxvnni" : "avx512";
}

// Tests of a kernel, which are skipped where the CPU does not run it.
template <class Base>
class OfKernel : public Base {
protected:
    void use(MatmulKernel kernel) {
        install_matmul();
        if (!matmul_runs(kernel)) {
            GTEST_SKIP() << "this CPU does not run that kernel";
        }
        use_matmul(kernel);
    }
    void TearDown() override { use_matmul(install_matmul()); }
};

struct Matrix {
    ggml_type type;
    size_t rows, values;
    std::vector<char> data;      // in ggml's layout
    std::vector<float> numbers;  // what it says

    size_t row_bytes() const { return ggml_row_size(type, static_cast<int64_t>(values)); }
    // After `data` was changed.
    void read_numbers() {
        numbers.resize(rows * values);
        ggml_get_type_traits(type)->to_float(data.data(), numbers.data(), static_cast<int64_t>(rows * values));
    }
};

inline Matrix make_matrix(ggml_type type, size_t rows, size_t values, uint32_t seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0.01F, 0.05F);
    std::vector<float> numbers(rows * values);
    std::generate(numbers.begin(), numbers.end(), [&] { return normal(random); });
    Matrix made{type, rows, values, std::vector<char>(rows * ggml_row_size(type, static_cast<int64_t>(values))), {}};
    ggml_quantize_chunk(type, numbers.data(), made.data.data(), 0, static_cast<int64_t>(rows), static_cast<int64_t>(values), nullptr);
    made.read_numbers();
    return made;
}

inline std::vector<float> normal_numbers(size_t count, uint32_t seed, float size = 1) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, size);
    std::vector<float> made(count);
    std::generate(made.begin(), made.end(), [&] { return normal(random); });
    return made;
}

enum class Whose { kOurs, kGgml };

class Product {
public:
    explicit Product(const Matrix& matrix, Whose whose = Whose::kOurs)
        : context_(ggml_init({.mem_size = 1 << 20, .mem_buffer = nullptr, .no_alloc = true}), ggml_free),
          weights_(ggml_new_tensor_2d(context_.get(), matrix.type, static_cast<int64_t>(matrix.values), static_cast<int64_t>(matrix.rows))) {
        buffer_.reset(ggml_backend_alloc_ctx_tensors_from_buft(context_.get(), whose == Whose::kOurs ? ours() : ggml_backend_cpu_buffer_type()));
        ggml_backend_tensor_set(weights_, matrix.data.data(), 0, matrix.data.size());
    }

    // `padding`: floats between the input's rows, which then are no run of memory.
    std::vector<float> compute(const std::vector<float>& input, int64_t rows, int threads, size_t padding = 0) const {
        const auto values = static_cast<size_t>(weights_->ne[0]);
        const size_t input_bytes = static_cast<size_t>(rows) * (values + padding) * sizeof(float);
        const size_t output_bytes = static_cast<size_t>(rows * weights_->ne[1]) * sizeof(float);
        std::unique_ptr<ggml_context, void (*)(ggml_context*)> context(
            ggml_init({.mem_size = input_bytes + output_bytes + (8u << 20), .mem_buffer = nullptr, .no_alloc = false}), ggml_free);
        ggml_tensor* whole = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, static_cast<int64_t>(values + padding), rows);
        ggml_tensor* from = ggml_view_2d(context.get(), whole, weights_->ne[0], rows, whole->nb[1], 0);
        for (size_t row = 0; row < static_cast<size_t>(rows); ++row) {
            std::copy_n(input.data() + row * values, values, static_cast<float*>(whole->data) + row * (values + padding));
        }
        ggml_tensor* product = ggml_mul_mat(context.get(), weights_, from);
        std::fill_n(static_cast<float*>(product->data), ggml_nelements(product), 12345.0F);
        ggml_cgraph* graph = ggml_new_graph(context.get());
        ggml_build_forward_expand(graph, product);
        ggml_graph_compute_with_ctx(context.get(), graph, threads);
        const auto* found = static_cast<const float*>(product->data);
        return {found, found + ggml_nelements(product)};
    }

private:
    static ggml_backend_buffer_type_t ours() {
        const auto list = reinterpret_cast<ggml_backend_dev_get_extra_bufts_t>(ggml_backend_reg_get_proc_address(
            ggml_backend_dev_backend_reg(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU)), "ggml_backend_dev_get_extra_bufts"));
        for (ggml_backend_buffer_type_t* type = list(nullptr); *type != nullptr; ++type) {
            if (std::string(ggml_backend_buft_name(*type)) == "CPU_PACKED") {
                return *type;
            }
        }
        GGML_ABORT("install_matmul() was not called");
    }

    std::unique_ptr<ggml_context, void (*)(ggml_context*)> context_;
    ggml_tensor* weights_;
    std::unique_ptr<ggml_backend_buffer, void (*)(ggml_backend_buffer_t)> buffer_{nullptr, ggml_backend_buffer_free};
};

}  // namespace gantry::engine::kernels
