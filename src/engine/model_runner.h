#pragma once
// The seam between scheduling and computing. LlamaRunner is libllama on ggml; FakeRunner is arithmetic for tests and the
// simulation. Nothing above knows of a CPU, a GPU or llama.cpp; nothing here knows of requests.

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace gantry::engine {

using TokenId = int32_t;
using Slot = int32_t;   // 0-based place of a running sequence = llama.cpp's seq_id

// What another sequence may take over of a slot's memory.
enum class PrefixSharing {
    kNone,
    kWhole,   // the state of all its tokens, or nothing: recurrent and hybrid memories
    kAny,     // any beginning: attention over all that was
};

struct RunnerCapacity {
    uint32_t context_tokens = 0;   // KV cells shared by all sequences = the most that one may use
    uint32_t slots = 0;            // sequences that hold cells: running and cached together
    uint32_t batch_rows = 0;       // rows of one forward at most
    uint32_t vocabulary = 0;
    uint32_t running = 0;          // sequences that run at once; 0: as many as slots
    uint32_t logit_rows = 0;       // rows with logits in one forward at most; 0: as many as rows
    PrefixSharing sharing = PrefixSharing::kAny;
    uint64_t cell_bytes = 0;       // memory of one cell; 0: unknown
};

// One row: a token at a position of a slot.
struct BatchRow {
    TokenId token = 0;
    int32_t position = 0;
    Slot slot = 0;
    bool wants_logits = false;
};
using Batch = std::vector<BatchRow>;

enum class ForwardOutcome {
    kDone,
    kNoSpace,    // no KV cells for the batch; nothing was computed
    kAborted,    // the abort flag was raised; the batch's rows are not in the cache
};

// What the system knows about the threads of the last forward; negative: not known.
struct ThreadEvidence {
    double waited_ms = -1;    // they were ready and had no core, all together
    double idle_cores = -1;   // that nobody used of late; looked at only while less than threads_max() are in use
};

class ModelRunner {
public:
    virtual ~ModelRunner() = default;
    virtual RunnerCapacity capacity() const = 0;
    virtual bool is_end_of_generation(TokenId token) const = 0;

    // Computes the rows and keeps their KV. Rows of one slot are contiguous in position and start at its length.
    virtual Result<ForwardOutcome> forward(const Batch& batch) = 0;
    // Logits of the batch's row `row` of the last forward; valid until the next one. REQUIRES: it wanted logits.
    virtual std::span<const float> logits(size_t row) const = 0;

    // Forgets all cells of a slot from `from_position` on (0: all).
    virtual void truncate(Slot slot, int32_t from_position) = 0;
    // Makes cells [0, length) of `from` belong to `to` as well. False: this memory can't share. REQUIRES: `to` is empty.
    virtual bool share_prefix(Slot from, Slot to, int32_t length) = 0;

    // Threads that the next forwards use, 1 to threads_max().
    virtual uint32_t threads_max() const { return 1; }
    virtual void set_threads(uint32_t threads) { static_cast<void>(threads); }
    virtual ThreadEvidence thread_evidence() const { return {}; }

    // Gives the memory of all cells back, or takes it again; every slot is empty after either. False: could not, still asleep.
    virtual bool set_asleep(bool asleep) { return !asleep; }

    // Raised from any thread to cut a running forward short; forward() lowers it when it starts.
    virtual std::atomic<bool>& abort_flag() = 0;
};

}  // namespace gantry::engine
