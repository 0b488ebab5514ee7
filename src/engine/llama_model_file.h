#pragma once
// A model file in llama.cpp, whatever it is then used for: llama_runner generates text with it, llama_embedding_runner makes vectors.
// Threads: any; llama.cpp's log is one a process.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"

struct ggml_threadpool;
struct llama_context;
struct llama_model;
struct llama_vocab;

namespace gantry::engine {

struct FreeLlama {
    void operator()(llama_model* model) const;
    void operator()(llama_context* context) const;
    void operator()(ggml_threadpool* pool) const;
};
using LlamaModelPtr = std::unique_ptr<llama_model, FreeLlama>;
using LlamaContextPtr = std::unique_ptr<llama_context, FreeLlama>;   // to be destroyed before the two others
using LlamaThreadsPtr = std::unique_ptr<ggml_threadpool, FreeLlama>;

// Whether models loaded from now on, and contexts made, compute by kernels/ where it has something (the default) or by ggml's own code
// alone. One choice a process: REQUIRES that no model is in use that was loaded under the other.
void use_own_kernels(bool own);

// Where packed weights of models that are loaded from now on are kept between starts (kernels/packed_cache.h); at most so many bytes.
// Empty: nowhere, as at first. One choice a process.
void keep_packed_weights(const std::string& folder, uint64_t bytes_max);

// kInvalidArgument "invalid model file: ..." for what can't be loaded; kUnavailable when memory does not suffice. `on_progress` may
// be empty; it is called with 0..1.
Result<LlamaModelPtr> load_llama_model(const std::string& path, const std::function<void(float)>& on_progress);

// It continues texts: no encoder and no diffusion model.
bool generates_text(const llama_model* model);

// What the model's metadata has at "<architecture><key>", cut at 63 bytes; empty: nothing. The number: if it is one over 0.
std::string llama_meta_text(const llama_model* model, const std::string& key);
int64_t llama_meta_number(const llama_model* model, const std::string& key, int64_t otherwise);
// "llama 135M Q4_1", for people.
std::string llama_description(const llama_model* model);

// Why the last load failed or a context could not be made: the first error that llama.cpp logged since, without paths.
std::string llama_error_reason(const std::string& path);
// While `cut` is true, what llama.cpp says on this thread about a forward that we cut ourselves is dropped; null: nothing is.
void mute_llama_log_when(const std::atomic<bool>* cut);

}  // namespace gantry::engine
