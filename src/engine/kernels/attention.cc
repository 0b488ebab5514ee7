#include "engine/kernels/attention.h"

#include <ggml-backend-impl.h>
#include <ggml-cpu-impl.h>
#include <ggml.h>
#include <immintrin.h>
#include <traits.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>
#include <mutex>

#include "base/assert.h"
#include "engine/kernels/attention_tile.h"
#include "engine/kernels/matmul.h"

namespace gantry::engine::kernels {
namespace {

constexpr uint32_t kTileRows = 16;
constexpr uint32_t kTileQueries = 128;
constexpr uint32_t kFewQueries = 8;        // up to which a dot product each is quicker than lanes of them
constexpr uint32_t kFewRows = 16;          // a row and as many guesses as the engine makes
constexpr uint16_t kClosed = 0xfc00;       // -infinity in 16 bits

std::atomic<AttentionKernel> chosen{AttentionKernel::kNone};

// The sizes of one operation. Rows are tokens; the query heads are shared out evenly among the key-value heads.
struct Shape {
    explicit Shape(const ggml_tensor& op)
        : q(*op.src[0]), k(*op.src[1]), v(*op.src[2]), mask(*op.src[3]),
          dk(static_cast<uint32_t>(q.ne[0])), dv(static_cast<uint32_t>(v.ne[0])), rows(static_cast<uint32_t>(q.ne[1])),
          kv_heads(static_cast<uint32_t>(k.ne[2])), heads(static_cast<uint32_t>(q.ne[2] / k.ne[2])),
          cells(static_cast<uint32_t>(k.ne[1])), words((cells + 31) / 32),
          tile_rows(std::clamp(kTileQueries / heads, 1u, kTileRows)), tile_queries(tile_rows * heads) {}
    const ggml_tensor &q, &k, &v, &mask;
    uint32_t dk, dv, rows, kv_heads, heads, cells, words, tile_rows, tile_queries;
};

bool handles(const ggml_tensor& op) {
    if (op.op != GGML_OP_FLASH_ATTN_EXT || chosen.load(std::memory_order_relaxed) == AttentionKernel::kNone || !op.src[3] || op.src[4]) {
        return false;
    }
    float bias = 0, cap = 0;
    std::memcpy(&bias, op.op_params + 1, sizeof bias);
    std::memcpy(&cap, op.op_params + 2, sizeof cap);
    const ggml_tensor &q = *op.src[0], &k = *op.src[1], &v = *op.src[2], &mask = *op.src[3];
    const auto fits = [](int64_t size) { return size % 16 == 0 && size <= kHeadSizeMax; };
    return bias == 0 && cap == 0 && q.type == GGML_TYPE_F32 && k.type == GGML_TYPE_F16 && v.type == GGML_TYPE_F16 &&
           mask.type == GGML_TYPE_F16 && op.type == GGML_TYPE_F32 && fits(k.ne[0]) && fits(v.ne[0]) && q.ne[0] == k.ne[0] &&
           k.ne[2] == v.ne[2] && q.ne[2] % k.ne[2] == 0 && q.ne[2] / k.ne[2] <= kTileQueries && q.ne[3] == 1 && k.ne[3] == 1 &&
           mask.ne[2] == 1 && mask.ne[3] == 1 && q.nb[0] == sizeof(float) && k.nb[0] == 2 && v.nb[0] == 2 && mask.nb[0] == 2;
}

// One thread's part of ggml's work buffer, in the order of its members; a null base measures it.
struct Work {
    Work(char* base, const Shape& shape) : at_(base) {
        seen = take<uint32_t>(size_t{shape.words} * (shape.tile_rows + 1));
        all = take<uint32_t>(shape.words);
        list = take<int32_t>(shape.cells);
        open = take<uint32_t>(size_t{shape.words + 1} * shape.tile_rows);
        queries = take<const float*>(shape.tile_queries);
        out = take<float>(size_t{shape.tile_queries} * shape.dv);
        max = take<float>(shape.tile_queries);
        sum = take<float>(shape.tile_queries);
        scratch = take<float>(attention_scratch(shape.tile_queries, shape.dk, shape.dv));
        bytes = static_cast<size_t>(at_ - base);
    }
    uint32_t* seen;        // by row of the tile and the one after it: a bit a cell of the cache
    uint32_t* all;         // by all rows of the tile
    int32_t* list;         // their cells
    uint32_t* open;        // by row: a bit an entry of the list
    const float** queries;
    float* out;
    float* max;
    float* sum;
    float* scratch;
    size_t bytes;

private:
    template <class T>
    T* take(size_t count) {
        T* taken = reinterpret_cast<T*>(at_);
        at_ += (count * sizeof(T) + 63) / 64 * 64;
        return taken;
    }
    char* at_;
};

// A bit a cell that the row sees.
void read_mask(const Shape& shape, uint32_t row, uint32_t* words) {
    const char* mask = static_cast<const char*>(shape.mask.data) + row * shape.mask.nb[1];
    const __m256i closed = _mm256_set1_epi16(static_cast<int16_t>(kClosed));
    uint32_t word = 0;
    for (; (word + 1) * 32 <= shape.cells; ++word) {
        const auto* at = reinterpret_cast<const __m256i*>(mask + word * 64);
        const __m256i a = _mm256_cmpeq_epi16(_mm256_loadu_si256(at), closed);
        const __m256i b = _mm256_cmpeq_epi16(_mm256_loadu_si256(at + 1), closed);
        const __m256i bytes = _mm256_permute4x64_epi64(_mm256_packs_epi16(a, b), 0b11011000);
        words[word] = ~static_cast<uint32_t>(_mm256_movemask_epi8(bytes));
    }
    if (word < shape.words) {
        words[word] = 0;
        for (uint32_t cell = word * 32; cell < shape.cells; ++cell) {
            uint16_t value = 0;
            std::memcpy(&value, mask + cell * 2, 2);
            words[word] |= value != kClosed ? 1u << (cell % 32) : 0;
        }
    }
}

uint32_t count_bits(const uint32_t* words, uint32_t count) {
    uint32_t bits = 0;
    for (uint32_t i = 0; i < count; ++i) {
        bits += static_cast<uint32_t>(std::popcount(words[i]));
    }
    return bits;
}

// Rows from `first` on that see nearly the same cells: consecutive tokens of one sequence, mostly. Returns how many, with their
// masks in work.seen and the cells that any of them sees in work.all.
uint32_t gather_tile(const Shape& shape, uint32_t first, Work& work) {
    read_mask(shape, first, work.seen);
    std::memcpy(work.all, work.seen, shape.words * sizeof(uint32_t));
    uint32_t own = count_bits(work.seen, shape.words);
    uint32_t rows = 1;
    for (; rows < shape.tile_rows && first + rows < shape.rows; ++rows) {
        uint32_t* seen = work.seen + rows * shape.words;
        read_mask(shape, first + rows, seen);
        uint32_t together = 0;
        for (uint32_t i = 0; i < shape.words; ++i) {
            together += static_cast<uint32_t>(std::popcount(work.all[i] | seen[i]));
        }
        own = std::min(own, count_bits(seen, shape.words));
        if (together > own + own / 4 + kTileRows) {
            break;
        }
        for (uint32_t i = 0; i < shape.words; ++i) {
            work.all[i] |= seen[i];
        }
    }
    return rows;
}

// The cells of work.all as a list, and which of its entries each row sees.
uint32_t list_cells(const Shape& shape, uint32_t rows, Work& work) {
    const uint32_t stride = shape.words + 1;
    std::memset(work.open, 0, size_t{stride} * rows * sizeof(uint32_t));
    uint32_t count = 0;
    for (uint32_t i = 0; i < shape.words; ++i) {
        if (work.all[i] == 0) {
            continue;
        }
        for (uint32_t row = 0; row < rows; ++row) {
            const uint64_t bits = uint64_t{_pext_u32(work.seen[row * shape.words + i], work.all[i])} << (count % 32);
            work.open[row * stride + count / 32] |= static_cast<uint32_t>(bits);
            work.open[row * stride + count / 32 + 1] |= static_cast<uint32_t>(bits >> 32);
        }
        for (uint32_t left = work.all[i]; left != 0; left &= left - 1) {
            work.list[count++] = static_cast<int32_t>(i * 32 + static_cast<uint32_t>(std::countr_zero(left)));
        }
    }
    return count;
}

// What the cache holds and how many guesses are made must not change how a token's row rounds: a seed would not repeat. So a few rows
// are computed as one would be, and so is a prompt's last row, which a cached prompt has alone. All rows so would cost a sixth more.
bool use_lanes(const Shape& shape, uint32_t rows) {
    return shape.heads > kFewQueries || (shape.rows > kFewRows && rows * shape.heads > kFewQueries);
}

// The tile's last row sees all that the tile sees, and no row after it does.
bool ends_prompt(const Shape& shape, uint32_t first, uint32_t rows, Work& work) {
    const auto sees_all = [&](const uint32_t* seen) {
        for (uint32_t i = 0; i < shape.words; ++i) {
            if ((work.all[i] & ~seen[i]) != 0) {
                return false;
            }
        }
        return true;
    };
    if (!sees_all(work.seen + (rows - 1) * shape.words)) {
        return false;
    }
    if (first + rows == shape.rows) {
        return true;
    }
    uint32_t* next = work.seen + rows * shape.words;
    read_mask(shape, first + rows, next);
    return !sees_all(next);
}

void attend(const AttentionTile& tile) {
    chosen.load(std::memory_order_relaxed) == AttentionKernel::kAvx512 ? attend_avx512(tile) : attend_avx2(tile);
}

// The tile's rows `from` to `to`; its first is the operation's row `first`.
void compute_rows(const Shape& shape, const ggml_tensor& op, uint32_t first, uint32_t from, uint32_t to, uint32_t cells, uint32_t kv_head,
                  Work& work) {
    const uint32_t count = (to - from) * shape.heads;
    for (uint32_t i = 0; i < count; ++i) {
        const uint32_t row = first + from + i / shape.heads;
        const uint32_t head = kv_head * shape.heads + i % shape.heads;
        work.queries[i] = reinterpret_cast<const float*>(static_cast<const char*>(shape.q.data) + row * shape.q.nb[1] + head * shape.q.nb[2]);
    }
    float scale = 1;
    std::memcpy(&scale, op.op_params, sizeof scale);
    attend(AttentionTile{.queries = work.queries,
                         .count = count,
                         .heads = shape.heads,
                         .lanes = use_lanes(shape, to - from),
                         .scale = scale,
                         .dk = shape.dk,
                         .dv = shape.dv,
                         .cells = work.list,
                         .cell_count = cells,
                         .open = work.open + size_t{from} * (shape.words + 1),
                         .open_stride = shape.words + 1,
                         .k = static_cast<const char*>(shape.k.data) + kv_head * shape.k.nb[2],
                         .k_stride = shape.k.nb[1],
                         .v = static_cast<const char*>(shape.v.data) + kv_head * shape.v.nb[2],
                         .v_stride = shape.v.nb[1],
                         .out = work.out,
                         .max = work.max,
                         .sum = work.sum,
                         .scratch = work.scratch});
    for (uint32_t i = 0; i < count; ++i) {
        const uint32_t row = first + from + i / shape.heads;
        const uint32_t head = kv_head * shape.heads + i % shape.heads;
        auto* out = reinterpret_cast<float*>(static_cast<char*>(op.data) + head * op.nb[1] + row * op.nb[2]);
        const float by = work.sum[i] > 0 ? 1 / work.sum[i] : 0;
        for (uint32_t d = 0; d < shape.dv; ++d) {
            out[d] = work.out[i * shape.dv + d] * by;
        }
    }
}

class AttentionTraits final : public ggml::cpu::tensor_traits {
public:
    bool work_size(int threads, const ggml_tensor* op, size_t& size) override {
        size = static_cast<size_t>(threads) * (Work(nullptr, Shape(*op)).bytes + 64);
        return true;
    }
    // Every thread goes through all tiles, which costs little, and computes the pairs of a tile and a key-value head that are its.
    bool compute_forward(ggml_compute_params* params, ggml_tensor* op) override {
        const Shape shape(*op);
        const size_t bytes = Work(nullptr, shape).bytes;
        char* base = static_cast<char*>(params->wdata);
        base += (64 - reinterpret_cast<uintptr_t>(base) % 64) % 64;
        Work work(base + bytes * static_cast<size_t>(params->ith), shape);
        const auto threads = static_cast<uint32_t>(params->nth);
        uint32_t pair = static_cast<uint32_t>(params->ith);   // counted down to this thread's next one
        for (uint32_t first = 0; first < shape.rows;) {
            const uint32_t rows = gather_tile(shape, first, work);
            const uint32_t alone = use_lanes(shape, rows) != use_lanes(shape, 1) && ends_prompt(shape, first, rows, work) ? 1 : 0;
            uint32_t cells = 0;
            for (uint32_t kv_head = 0; kv_head < shape.kv_heads; ++kv_head, --pair) {
                if (pair > 0) {
                    continue;
                }
                pair = threads;
                cells = cells > 0 ? cells : list_cells(shape, rows, work);
                compute_rows(shape, *op, first, 0, rows - alone, cells, kv_head, work);
                if (alone) {
                    compute_rows(shape, *op, first, rows - 1, rows, cells, kv_head, work);
                }
            }
            first += rows;
        }
        return true;
    }
};

// To ggml a buffer type of no buffers: only its question who computes an operation is ever asked.
class AttentionHook final : public ggml::cpu::extra_buffer_type {
public:
    bool supports_op(ggml_backend_dev_t, const ggml_tensor*) override { return false; }
    ggml::cpu::tensor_traits* get_tensor_traits(const ggml_tensor* op) override { return handles(*op) ? &traits_ : nullptr; }

private:
    AttentionTraits traits_;
};

void hook_into_ggml() {
    install_matmul();
    // The device keeps a list of its own, made at the first question; asked before this hook joins, it never offers weights to it.
    ggml_backend_dev_t device = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    GANTRY_ASSERT(device != nullptr, "ggml has a CPU device");
    const auto list = reinterpret_cast<ggml_backend_dev_get_extra_bufts_t>(
        ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(device), "ggml_backend_dev_get_extra_bufts"));
    GANTRY_ASSERT(list != nullptr, "ggml's CPU device lists its buffer types");
    static_cast<void>(list(device));
    static AttentionHook hook;
    static ggml_backend_buffer_type type{};
    type.device = device;
    type.context = &hook;
    auto& types = ggml_backend_cpu_get_extra_buffer_types();
    types.insert(types.begin(), &type);
}

}  // namespace

AttentionKernel install_attention() {
    static std::once_flag once;
    std::call_once(once, [] {
        __builtin_cpu_init();
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
            chosen = AttentionKernel::kAvx512;
        } else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")) {
            chosen = AttentionKernel::kAvx2;
        }
        if (chosen != AttentionKernel::kNone) {
            hook_into_ggml();
        }
    });
    return chosen;
}

void use_attention(AttentionKernel kernel) { chosen = kernel; }

}  // namespace gantry::engine::kernels
