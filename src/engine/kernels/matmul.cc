#include "engine/kernels/matmul.h"

#include <cpuid.h>
#include <ggml-backend-impl.h>
#include <ggml-cpu-impl.h>
#include <ggml-cpu.h>
#include <ggml.h>
#include <traits.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <vector>

#include "engine/kernels/matmul_tile.h"
#include "engine/kernels/packed_buffer.h"

namespace gantry::engine::kernels {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kStepPanels = 4;         // at most, of a step of decoding; more are a prompt
constexpr size_t kTileGroups = 8;         // of a prompt's that are multiplied at a time
constexpr size_t kArrangedBlocks = 16;    // of a row at a time
static_assert(kArrangedBlocks % kSuperBlocks == 0 && kTileBlocks % kSuperBlocks == 0, "what shares a scale stays together");
constexpr size_t kAheadRows = 2;          // that are fetched before they are arranged: a prompt's come from the third cache
constexpr size_t kPiecesOfThread = 6;     // that a step's share falls into: more are shared out better, fewer are read better

std::atomic<MatmulKernel> chosen{MatmulKernel::kNone};

size_t aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// Shares out a product's groups. Each thread has a run of them, whose results lie side by side and apart from the others'; whoever is
// done with his takes pieces of the others', so a thread beside a busy neighbour gets fewer.
class Shares {
public:
    Shares(char* where, size_t groups, size_t threads, size_t piece)
        : next_(reinterpret_cast<std::atomic<size_t>*>(where)), groups_(groups), threads_(threads), piece_(piece) {}
    static size_t bytes(size_t threads) { return aligned(threads * sizeof(std::atomic<size_t>)); }

    void reset(size_t thread) { new (next_ + thread) std::atomic<size_t>(begin(thread)); }   // each its own, before all begin
    template <class Do>
    void take(size_t thread, Do part) const {
        for (size_t i = 0; i < threads_; ++i) {
            const size_t of = (thread + i) % threads_, end = begin(of + 1);
            for (size_t first = next_[of].fetch_add(piece_); first < end; first = next_[of].fetch_add(piece_)) {
                part(first, std::min(end, first + piece_));
            }
        }
    }

private:
    size_t begin(size_t thread) const { return groups_ * thread / threads_; }

    std::atomic<size_t>* next_;
    size_t groups_, threads_, piece_;
};

// The sizes of one product: weights of `outputs` rows by `rows` activations.
struct Shape {
    explicit Shape(const ggml_tensor& op)
        : weights(*op.src[0]), input(*op.src[1]), packing(packing_of(weights.type)), values(static_cast<size_t>(weights.ne[0])),
          outputs(static_cast<size_t>(weights.ne[1])), rows(static_cast<size_t>(ggml_nrows(&input))), blocks(values / kBlockValues),
          groups((outputs + kGroupRows - 1) / kGroupRows), activation_bytes(aligned(rows * blocks * activation_block_bytes(packing.by))) {}
    const ggml_tensor &weights, &input;
    Packing packing;
    size_t values, outputs, rows, blocks, groups, activation_bytes;

    size_t work_bytes(size_t threads) const {
        return kAlignment + activation_bytes + Shares::bytes(threads) + threads * kTileGroups * sizeof(UnpackedTile);
    }
    // Rows are tokens, however the tensor's further dimensions count them.
    const float* input_row(size_t row) const {
        const auto i1 = static_cast<size_t>(input.ne[1]), i2 = static_cast<size_t>(input.ne[2]);
        return reinterpret_cast<const float*>(static_cast<const char*>(input.data) + row % i1 * input.nb[1] + row / i1 % i2 * input.nb[2] +
                                              row / i1 / i2 * input.nb[3]);
    }
    const char* block(size_t group, size_t index) const {
        return static_cast<const char*>(weights.data) + group * packing.group_bytes(blocks) + index * packing.block_bytes();
    }
};

const Arithmetic& arithmetic_in_use() {
    switch (chosen.load(std::memory_order_relaxed)) {
        case MatmulKernel::kAvx512: return kArithmeticAvx512;
        case MatmulKernel::kAvxVnni: return kArithmeticAvxVnni;
        default: return kArithmeticAvx2;   // kNone: of a model that was loaded before it was chosen
    }
}

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
        const Activations activations(work, shape.packing.by, shape.rows, shape.blocks);
        work += shape.activation_bytes;
        const bool step = activations.panels() <= kStepPanels;
        Shares shares(work, shape.groups, threads, step ? std::max<size_t>(1, shape.groups / (threads * kPiecesOfThread)) : kTileGroups);
        auto* tiles = reinterpret_cast<UnpackedTile*>(work + Shares::bytes(threads)) + thread * kTileGroups;
        const size_t scales = shape.blocks / shape.packing.scale_blocks;
        arrange(shape, activations, scales * thread / threads * shape.packing.scale_blocks,
                scales * (thread + 1) / threads * shape.packing.scale_blocks);
        shares.reset(thread);
        ggml_barrier(params->threadpool);
        shares.take(thread, [&](size_t first, size_t end) {
            const Groups groups{shape, activations, first, end, static_cast<float*>(op->data)};
            step ? multiply_step(groups) : multiply_prompt(groups, tiles);
        });
        return true;
    }

private:
    // Blocks `first` to `end` of all rows, some of a panel at a time: as much is written there as the first cache holds.
    static void arrange(const Shape& shape, const Activations& activations, size_t first, size_t end) {
        for (size_t panel = 0; panel < shape.rows; panel += activations.panel) {
            for (size_t some = first; some < end; some += kArrangedBlocks) {
                for (size_t row = panel; row < panel + activations.panel_rows(panel); ++row) {
                    arrange_row(shape, activations, panel, row, some, std::min(end, some + kArrangedBlocks));
                }
            }
        }
    }

    static void arrange_row(const Shape& shape, const Activations& activations, size_t panel, size_t row, size_t first, size_t end) {
        const float *from = shape.input_row(row), *ahead = shape.input_row(std::min(row + kAheadRows, shape.rows - 1));
        for (size_t at = first * kBlockValues; at < end * kBlockValues; at += kAlignment / sizeof(float)) {
            __builtin_prefetch(ahead + at);
        }
        for (size_t block = first; block < end; block += shape.packing.scale_blocks) {
            const float* values = from + block * kBlockValues;
            char* to = activations.at(panel, block) + (row - panel) * activations.block_bytes;
            switch (shape.packing.by) {
                case ActivationKind::kQuants:
                    quantise(values, shape.packing.scale_blocks, shape.packing.offset, reinterpret_cast<ActivationBlock*>(to),
                             activations.panel_rows(panel));
                    break;
                case ActivationKind::kFloats: std::memcpy(to, values, activations.block_bytes); break;
                case ActivationKind::kBf16: round_to_bf16_avx512(values, to); break;
            }
        }
    }

    // Some groups of a product.
    struct Groups {
        const Shape& shape;
        const Activations& activations;
        size_t first, end;
        float* out;

        // One of them by a panel, from some block on.
        PanelProduct panel(size_t group, size_t row, size_t block, size_t blocks) const {
            const auto outputs = static_cast<uint32_t>(std::min<size_t>(kGroupRows, shape.outputs - group * kGroupRows));
            return {.blocks = blocks, .scale_blocks = shape.packing.scale_blocks, .activations = activations.at(row, block),
                    .rows = activations.panel_rows(row), .out = out + row * shape.outputs + group * kGroupRows, .stride = shape.outputs,
                    .outputs = outputs, .add = block > 0};
        }
    };

    static void multiply_packed(const Shape& shape, const char* weights, const PanelProduct& panel) {
        switch (shape.packing.by) {
            case ActivationKind::kQuants: arithmetic_in_use().multiply_packed(shape.packing, weights, panel); break;
            case ActivationKind::kFloats: multiply_f16_avx512(weights, panel); break;
            case ActivationKind::kBf16: multiply_bf16_avx512(weights, panel); break;
        }
    }

    // Few rows: straight from the packed weights, as one stream of memory.
    static void multiply_step(const Groups& of) {
        for (size_t group = of.first; group < of.end; ++group) {
            for (size_t row = 0; row < of.shape.rows; row += of.activations.panel) {
                multiply_packed(of.shape, of.shape.block(group, 0), of.panel(group, row, 0, of.shape.blocks));
            }
        }
    }

    // Many rows repay unpacking. Some blocks of all these groups at a time, so that they stay in the second cache, a panel's results are
    // whole pieces of memory, and its activations are read once for all groups.
    static void multiply_prompt(const Groups& of, UnpackedTile* tiles) {
        const Arithmetic& arithmetic = arithmetic_in_use();
        const Shape& shape = of.shape;
        const bool unpacks = shape.packing.bits < 8;
        for (size_t block = 0; block < shape.blocks; block += kTileBlocks) {
            const size_t blocks = std::min(kTileBlocks, shape.blocks - block);
            for (size_t group = of.first; unpacks && group < of.end; ++group) {
                arithmetic.unpack(shape.packing, shape.block(group, block), blocks, tiles[group - of.first]);
            }
            for (size_t row = 0; row < shape.rows; row += of.activations.panel) {
                for (size_t group = of.first; group < of.end; ++group) {
                    const PanelProduct panel = of.panel(group, row, block, blocks);
                    unpacks ? arithmetic.multiply_tile(shape.packing, tiles[group - of.first], panel)
                            : multiply_packed(shape, shape.block(group, block), panel);
                }
            }
        }
    }
};

// --- the buffer type ---------------------------------------------------------------------------------------------------

MatmulTraits traits;

ggml_backend_buffer_type_t buffer_type();

bool takes(const ggml_tensor& weights) {
    const MatmulKernel kernel = chosen.load(std::memory_order_relaxed);
    const Packing packing = packing_of(weights.type);
    if (kernel == MatmulKernel::kNone || ggml_n_dims(&weights) != 2 || packing.bits == 0 ||
        weights.ne[0] % (kBlockValues * packing.scale_blocks) != 0) {
        return false;
    }
    return packing.bits < 16 || (kernel == MatmulKernel::kAvx512 && (packing.by != ActivationKind::kBf16 || __builtin_cpu_supports("avx512bf16")));
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

ggml_backend_buffer_type_t buffer_type() {
    static MatmulType context;
    static ggml_backend_buffer_type type = [] {
        ggml_backend_buffer_type made{};
        made.iface.get_name = [](ggml_backend_buffer_type_t) { return "CPU_PACKED"; };
        made.iface.alloc_buffer = alloc_packed_buffer;
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

bool has_avx_vnni() {   // GCC 12 has no name for it
    uint32_t a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & (1u << 4)) != 0;
}

}  // namespace

bool matmul_runs(MatmulKernel kernel) {
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    switch (kernel) {
        case MatmulKernel::kNone: return true;
        case MatmulKernel::kAvx2: return avx2;
        case MatmulKernel::kAvxVnni: return avx2 && has_avx_vnni();
        case MatmulKernel::kAvx512:
            return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                   __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
    }
    return false;
}

MatmulKernel install_matmul() {
    static const MatmulKernel best = [] {
        for (const MatmulKernel kernel : {MatmulKernel::kAvx512, MatmulKernel::kAvxVnni, MatmulKernel::kAvx2}) {
            if (matmul_runs(kernel)) {
                auto& types = ggml_backend_cpu_get_extra_buffer_types();
                types.insert(types.begin(), buffer_type());   // before the device copies the list, which it does at the first question
                chosen = kernel;
                return kernel;
            }
        }
        return MatmulKernel::kNone;
    }();
    return best;
}

void use_matmul(MatmulKernel kernel) { chosen = kernel; }

}  // namespace gantry::engine::kernels
