#include "engine/kernels/matmul.h"

#include <ggml-backend-impl.h>
#include <ggml-cpu-impl.h>
#include <ggml-cpu.h>
#include <ggml.h>
#include <traits.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "base/platform/memory.h"
#include "engine/kernels/matmul_tile.h"

namespace gantry::engine::kernels {
namespace {

constexpr size_t kAlignment = 64;
constexpr int64_t kPackersMax = 16;

std::atomic<bool> used{true};

size_t aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// The sizes of one product: weights of `outputs` rows by `rows` activations.
struct Shape {
    explicit Shape(const ggml_tensor& op)
        : weights(*op.src[0]), input(*op.src[1]), packing(packing_of(weights.type)), values(static_cast<size_t>(weights.ne[0])),
          outputs(static_cast<size_t>(weights.ne[1])), rows(static_cast<size_t>(ggml_nrows(&input))), blocks(values / kBlockValues),
          quant_bytes(aligned(rows * values)), scale_bytes(aligned(rows * blocks * sizeof(ActivationScale))) {}
    const ggml_tensor &weights, &input;
    Packing packing;
    size_t values, outputs, rows, blocks, quant_bytes, scale_bytes;

    size_t work_bytes(size_t threads) const { return kAlignment + quant_bytes + scale_bytes + threads * sizeof(UnpackedTile); }
    // Rows are tokens, however the tensor's further dimensions count them.
    const float* input_row(size_t row) const {
        const auto i1 = static_cast<size_t>(input.ne[1]), i2 = static_cast<size_t>(input.ne[2]);
        return reinterpret_cast<const float*>(static_cast<const char*>(input.data) + row % i1 * input.nb[1] + row / i1 % i2 * input.nb[2] +
                                              row / i1 / i2 * input.nb[3]);
    }
    const char* group(size_t index) const {
        return index * kGroupRows < outputs ? static_cast<const char*>(weights.data) + index * packing.group_bytes(blocks) : nullptr;
    }
};

class MatmulTraits final : public ggml::cpu::tensor_traits {
public:
    bool work_size(int threads, const ggml_tensor* op, size_t& size) override {
        size = Shape(*op).work_bytes(static_cast<size_t>(threads));
        return true;
    }

    bool compute_forward(ggml_compute_params* params, ggml_tensor* op) override {
        const Shape shape(*op);
        const auto thread = static_cast<size_t>(params->ith), threads = static_cast<size_t>(params->nth);
        char* work = reinterpret_cast<char*>(aligned(reinterpret_cast<size_t>(params->wdata)));
        auto* quants = reinterpret_cast<int8_t*>(work);
        auto* scales = reinterpret_cast<ActivationScale*>(work + shape.quant_bytes);
        auto& tile = reinterpret_cast<UnpackedTile*>(work + shape.quant_bytes + shape.scale_bytes)[thread];
        for (size_t row = thread; row < shape.rows; row += threads) {
            quantise_avx512(shape.input_row(row), shape.values, shape.packing.offset, quants + row * shape.values, scales + row * shape.blocks);
        }
        if (thread == 0) {
            ggml_threadpool_chunk_set(params->threadpool, static_cast<int>(threads));
        }
        ggml_barrier(params->threadpool);
        const Activations activations{quants, scales, shape.values};
        const size_t tiles = (shape.outputs + kTileOutputs - 1) / kTileOutputs;
        // Whoever is done takes the next: a thread beside a busy neighbour gets fewer.
        for (size_t next = thread; next < tiles; next = static_cast<size_t>(ggml_threadpool_chunk_add(params->threadpool, 1))) {
            compute_tile(shape, activations, next, tile, static_cast<float*>(op->data));
        }
        return true;
    }

private:
    static void compute_tile(const Shape& shape, const Activations& activations, size_t index, UnpackedTile& tile, float* out) {
        const char* const groups[kTileGroups] = {shape.group(index * kTileGroups), shape.group(index * kTileGroups + 1)};
        const auto outputs = static_cast<uint32_t>(std::min<size_t>(kTileOutputs, shape.outputs - index * kTileOutputs));
        if (shape.rows == 1) {
            multiply_one_avx512(shape.packing, groups, shape.blocks, activations, out + index * kTileOutputs, outputs);
            return;
        }
        for (size_t first = 0; first < shape.blocks; first += kTileBlocks) {
            const auto count = static_cast<uint32_t>(std::min<size_t>(kTileBlocks, shape.blocks - first));
            unpack_avx512(shape.packing, groups, first, count, tile);
            multiply_avx512(shape.packing, tile, first, count, activations, shape.rows, out + index * kTileOutputs, shape.outputs, outputs,
                            first > 0);
        }
    }
};

// --- the buffer type ---------------------------------------------------------------------------------------------------

MatmulTraits traits;

ggml_backend_buffer_type_t buffer_type();

bool takes(const ggml_tensor& weights) {
    return used.load(std::memory_order_relaxed) && ggml_n_dims(&weights) == 2 && packing_of(weights.type).bits != 0 &&
           weights.ne[0] % kBlockValues == 0;
}

class MatmulType final : public ggml::cpu::extra_buffer_type {
public:
    bool supports_op(ggml_backend_dev_t, const ggml_tensor* op) override {
        return op->op == GGML_OP_MUL_MAT && op->src[0]->buffer && op->src[0]->buffer->buft == buffer_type() && takes(*op->src[0]) &&
               op->src[1]->type == GGML_TYPE_F32 && op->src[1]->nb[0] == sizeof(float) &&
               (!op->src[1]->buffer || ggml_backend_buft_is_host(op->src[1]->buffer->buft));
    }
    ggml::cpu::tensor_traits* get_tensor_traits(const ggml_tensor* op) override {
        return op->op == GGML_OP_MUL_MAT && op->src[0]->buffer && op->src[0]->buffer->buft == buffer_type() ? &traits : nullptr;
    }
};

// Each group is packed for itself, so every core takes some.
void set_tensor(ggml_backend_buffer_t, ggml_tensor* tensor, const void* data, size_t offset, size_t size) {
    GGML_ASSERT(offset == 0 && size == ggml_nbytes(tensor));
    const Packing packing = packing_of(tensor->type);
    const auto rows = static_cast<size_t>(tensor->ne[1]), values = static_cast<size_t>(tensor->ne[0]);
    const size_t groups = (rows + kGroupRows - 1) / kGroupRows;
    const size_t bytes = packing.group_bytes(values / kBlockValues);
    std::atomic<size_t> next{0};
    const auto pack = [&] {
        for (size_t group = next++; group < groups; group = next++) {
            pack_group(tensor->type, static_cast<const char*>(data), tensor->nb[1], rows, values, group,
                       static_cast<char*>(tensor->data) + group * bytes);
        }
    };
    std::vector<std::jthread> others;
    const int64_t cores = size < (1u << 20) ? 1 : std::min<int64_t>(platform::usable_cores(), kPackersMax);
    for (int64_t i = 1; i < cores; ++i) {
        others.emplace_back(pack);
    }
    pack();
}

ggml_backend_buffer_t alloc_buffer(ggml_backend_buffer_type_t type, size_t size) {
    ggml_backend_buffer_t buffer = ggml_backend_buft_alloc_buffer(ggml_backend_cpu_buffer_type(), size);
    if (buffer != nullptr) {
        platform::wish_huge_pages(ggml_backend_buffer_get_base(buffer), size);
        buffer->buft = type;
        buffer->iface.set_tensor = set_tensor;
        buffer->iface.get_tensor = nullptr;
        buffer->iface.cpy_tensor = nullptr;
    }
    return buffer;
}

ggml_backend_buffer_type_t buffer_type() {
    static MatmulType context;
    static ggml_backend_buffer_type type = [] {
        ggml_backend_buffer_type made{};
        made.iface.get_name = [](ggml_backend_buffer_type_t) { return "CPU_VNNI"; };
        made.iface.alloc_buffer = alloc_buffer;
        made.iface.get_alignment = [](ggml_backend_buffer_type_t) { return kAlignment; };
        made.iface.get_alloc_size = [](ggml_backend_buffer_type_t, const ggml_tensor* tensor) {
            return takes(*tensor) ? packed_bytes(packing_of(tensor->type), static_cast<size_t>(tensor->ne[1]), static_cast<size_t>(tensor->ne[0]))
                                  : ggml_nbytes(tensor);
        };
        made.device = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
        made.context = &context;
        return made;
    }();
    return &type;
}

bool cpu_can() {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
}

}  // namespace

bool install_matmul() {
    static const bool installed = [] {
        if (!cpu_can()) {
            return false;
        }
        auto& types = ggml_backend_cpu_get_extra_buffer_types();
        types.insert(types.begin(), buffer_type());   // before the device copies the list, which it does at the first question
        return true;
    }();
    return installed;
}

void use_matmul(bool use) { used = use; }

}  // namespace gantry::engine::kernels
