#pragma once
// ModelRunner on libllama and ggml; also the owner of the vocabulary, which tokenizing and chat templates use.
// Threads: load() any, forward()/truncate()/share_prefix() the engine's thread only; vocabulary functions any.

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "engine/llama_model_file.h"
#include "engine/model_runner.h"

namespace gantry::engine {

// What a cell of the KV cache holds. 8 bits take about half the memory, need flash attention, and cost a little accuracy.
enum class KvType { kF16, kQ8 };
// How attention is computed; the two lay cells out differently, so a context has one for good. kAuto: docs/adr/0007-flash-attention.md.
enum class FlashAttention { kAuto, kOff, kOn };

struct LlamaOptions {
    std::string model_path;
    uint32_t context_tokens = 0;   // 0: the model's own, cut to what fits memory with at least two sequences
    uint32_t max_sequences = 0;    // that run at once; 0: 64
    uint32_t threads = 0;          // 0: cores usable by this process
    uint32_t batch_rows = 0;       // 0: 512
    KvType kv_type = KvType::kF16;
    FlashAttention flash_attention = FlashAttention::kAuto;
    std::function<void(float)> on_progress;   // 0..1 while loading
};

class LlamaRunner : public ModelRunner {
public:
    // kInvalidArgument "invalid model file: ..." for what can't be loaded; kUnavailable when memory does not suffice.
    static Result<std::unique_ptr<LlamaRunner>> load(const LlamaOptions& options);
    // The same on a model that is loaded already (llama_model_file.h); path and on_progress of the options are not used then.
    static Result<std::unique_ptr<LlamaRunner>> create(LlamaModelPtr model, const LlamaOptions& options);
    virtual const llama_model* model() const = 0;      // lives as long as the runner
    virtual const llama_vocab* vocab() const = 0;
    virtual uint32_t trained_context_tokens() const = 0;
    virtual std::string description() const = 0;       // "llama 135M Q4_1", for people
};

}  // namespace gantry::engine
