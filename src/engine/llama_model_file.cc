#include "engine/llama_model_file.h"

#include <fmt/format.h>
#include <ggml-cpu.h>
#include <llama.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>

#include "base/guarded.h"
#include "base/log.h"
#include "base/platform/memory.h"
#include "engine/kernels/attention.h"
#include "engine/kernels/matmul.h"
#include "engine/kernels/packed_buffer.h"

namespace gantry::engine {
namespace {

// Its messages come in pieces, from any thread; whole lines of warnings and errors go to our log, and the first error of a load is
// kept: it says why, those after it only that. What is said about a forward that we cut ourselves is dropped.
struct LogState {
    std::string line;
    ggml_log_level level = GGML_LOG_LEVEL_NONE;
    std::string first_error;
};

Guarded<kernels::PackedCacheOptions>& packed_cache() {
    static Guarded<kernels::PackedCacheOptions> options;
    return options;
}

thread_local const std::atomic<bool>* cut_forward = nullptr;   // while this thread is in forward(): its abort flag

Guarded<LogState>& log_state() {
    static Guarded<LogState> state;   // llama.cpp's log callback is one a process
    return state;
}

void on_llama_log(ggml_log_level level, const char* text, void*) {
    std::string line;
    log_state().with([&](LogState& state) {
        if (level != GGML_LOG_LEVEL_CONT) {
            state.level = level;
        }
        state.line += text;
        if (state.line.empty() || state.line.back() != '\n') {
            return;
        }
        state.line.pop_back();
        level = state.level;
        line = std::exchange(state.line, {});
        if (level == GGML_LOG_LEVEL_ERROR && state.first_error.empty()) {
            state.first_error = line;
        }
    });
    if (line.empty() || (cut_forward && cut_forward->load())) {
        return;
    }
    if (level == GGML_LOG_LEVEL_ERROR) {
        log::error("llama.cpp: {}", line);
    } else if (level == GGML_LOG_LEVEL_WARN) {
        log::warn("llama.cpp: {}", line);
    }
}

// The best kernel of attention that this CPU has.
kernels::AttentionKernel init_backend_once() {
    static const kernels::AttentionKernel best = [] {
        llama_log_set(on_llama_log, nullptr);
        llama_backend_init();
        return kernels::install_attention();   // and the products: before any weights find their place
    }();
    return best;
}

}  // namespace

void FreeLlama::operator()(llama_model* model) const { llama_model_free(model); }
void FreeLlama::operator()(llama_context* context) const { llama_free(context); }
void FreeLlama::operator()(ggml_threadpool* pool) const { ggml_threadpool_free(pool); }

void use_own_kernels(bool own) {
    const kernels::AttentionKernel best = init_backend_once();
    kernels::use_attention(own ? best : kernels::AttentionKernel::kNone);
    kernels::use_matmul(own ? kernels::install_matmul() : kernels::MatmulKernel::kNone);
}

void keep_packed_weights(const std::string& folder, uint64_t bytes_max) {
    packed_cache().with([&](kernels::PackedCacheOptions& options) {
        options.folder = folder;
        options.bytes_max = bytes_max;
    });
}

void mute_llama_log_when(const std::atomic<bool>* cut) { cut_forward = cut; }

// "error loading model: missing tensor 'x'" out of the first error line; paths don't get through.
std::string llama_error_reason(const std::string& path) {
    std::string line = log_state().with([](LogState& state) { return std::exchange(state.first_error, {}); });
    for (const char* mark : {"error loading model: ", "failed to load model from file: "}) {
        const size_t at = line.find(mark);
        if (at != std::string::npos) {
            line = line.substr(at + std::string(mark).size());
        }
    }
    const size_t colon = line.find(": ");
    if (colon != std::string::npos && line.find(' ') == colon + 1) {
        line = line.substr(colon + 2);   // the function's name
    }
    for (size_t at = line.find(path); at != std::string::npos && !path.empty(); at = line.find(path)) {
        line.replace(at, path.size(), "the file");
    }
    return line.empty() ? "llama.cpp could not read it" : line;
}

std::string llama_meta_text(const llama_model* model, const std::string& key) {
    char arch[64] = {};
    llama_model_meta_val_str(model, "general.architecture", arch, sizeof arch);
    char value[64] = {};
    llama_model_meta_val_str(model, (std::string(arch) + key).c_str(), value, sizeof value);
    return value;
}

int64_t llama_meta_number(const llama_model* model, const std::string& key, int64_t otherwise) {
    const long long number = std::strtoll(llama_meta_text(model, key).c_str(), nullptr, 10);
    return number > 0 ? number : otherwise;
}

std::string llama_description(const llama_model* model) {
    char architecture[64] = {};
    llama_model_meta_val_str(model, "general.architecture", architecture, sizeof architecture);
    char type[96] = {};   // "llama 256M Q4_1": its size is a guess by layers, so only the quantization is taken
    llama_model_desc(model, type, sizeof type);
    const std::string_view words(type);
    const uint64_t millions = (llama_model_n_params(model) + 500'000) / 1'000'000;
    return fmt::format("{} {}M{}", architecture, millions, words.substr(std::min(words.rfind(' '), words.size())));
}

bool generates_text(const llama_model* model) {
    const bool looks_ahead = llama_meta_text(model, ".attention.causal") == "false";   // BERT and its kin, whatever llama.cpp calls them
    return llama_model_has_decoder(model) && !llama_model_has_encoder(model) && !llama_model_is_diffusion(model) && !looks_ahead;
}

Result<LlamaModelPtr> load_llama_model(const std::string& path, const std::function<void(float)>& on_progress) {
    init_backend_once();
    struct stat file {};
    if (::stat(path.c_str(), &file) != 0 || !S_ISREG(file.st_mode)) {
        return invalid_argument("invalid model file: it does not exist or is not a file", "model");
    }
    const uint64_t available = platform::memory_figures().available_bytes;
    if (static_cast<uint64_t>(file.st_size) > available) {
        return unavailable(fmt::format("not enough memory for this model: its file has {} MiB, and {} MiB are available; choose a "
                                       "smaller quantization or stop another model", file.st_size >> 20, available >> 20),
                           "out_of_memory");
    }
    llama_model_params params = llama_model_default_params();
    params.load_mode = LLAMA_LOAD_MODE_MMAP;   // a quarter less CPU time than reading, and what is not repacked stays page cache
    std::function<void(float)> report_to = on_progress;
    params.progress_callback_user_data = &report_to;
    params.progress_callback = [](float progress, void* user) {
        const auto& report = *static_cast<std::function<void(float)>*>(user);
        if (report) {
            report(progress);
        }
        return true;
    };
    log_state().with([](LogState& state) { state.first_error.clear(); });
    kernels::PackedLoad packed(packed_cache().with([](const kernels::PackedCacheOptions& options) { return options; }), path);
    LlamaModelPtr model;
    try {
        model.reset(llama_model_load_from_file(path.c_str(), params));
    } catch (const std::bad_alloc&) {
        return unavailable("not enough memory to load this model: choose a smaller quantization or stop another model",
                           "out_of_memory");
    } catch (const std::exception&) {
        return invalid_argument("invalid model file: llama.cpp could not read it", "model");
    }
    if (!model) {
        const std::string reason = llama_error_reason(path);
        if (reason.find("allocate") != std::string::npos) {
            return unavailable("not enough memory to load this model: " + reason, "out_of_memory");
        }
        return invalid_argument("invalid model file: " + reason, "model");
    }
    if (llama_vocab_n_tokens(llama_model_get_vocab(model.get())) <= 0) {
        return invalid_argument("invalid model file: it has no vocabulary", "model");
    }
    try {
        packed.done();
    } catch (const std::exception& e) {   // no thread to be had: this cache is not worth a model
        log::warn("packed weights are not kept: {}", e.what());
    }
    return model;
}

}  // namespace gantry::engine
