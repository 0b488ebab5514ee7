#include "backends/progress.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <span>

namespace gantry::backends {
namespace {

struct Mark {
    std::string_view text;
    double from;
    double to = 0;   // of a line with a percentage: where 100 % is
};

constexpr Mark kVllm[] = {
    {"Starting to load model", 0.10},
    {"checkpoint shards:", 0.10, 0.60},
    {"Loading weights took", 0.60},
    {"Model loading took", 0.65},
    {"Dynamo bytecode transform time", 0.70},
    {"Warming up model for the compilation", 0.75},   // CPU
    {"Compiling a graph for", 0.75},
    {"torch.compile takes", 0.80},
    {"torch.compile took", 0.80},
    {"KV cache size:", 0.85},
    {"Capturing CUDA graphs", 0.85, 0.95},
    {"Warming up done", 0.93},                        // CPU
    {"init engine (profile, create kv cache, warmup model) took", 0.95},
    {"Starting vLLM", 0.97},
    {"Application startup complete", 1},
};

constexpr Mark kSglang[] = {
    {"Init torch distributed begin", 0.05},
    {"Load weight begin", 0.10},
    {"checkpoint shards:", 0.10, 0.60},
    {"Load weight end", 0.60},
    {"KV Cache is allocated", 0.70},
    {"Capture cuda graph begin", 0.75},
    {"Capturing batches", 0.75, 0.95},
    {"Capture cuda graph end", 0.95},
    {"Application startup complete", 0.97},
    {"The server is fired up and ready to roll", 1},
};

constexpr Mark kMindie[] = {
    {"Daemon start success!", 1},
};

constexpr Mark kLlamaServer[] = {
    {"loading model", 0.05},
    {"loaded meta data with", 0.10},
    {"threadpool init", 0.10},            // recent ones tell little unless asked to
    {"load_tensors: loading model tensors", 0.20},
    {"constructing llama_context", 0.70},
    {"warming up the model", 0.90},
    {"initializing, n_slots", 0.95},
    {"model loaded", 1},
};

std::span<const Mark> marks_of(BackendKind kind) {
    switch (kind) {
        case BackendKind::kVllm: return kVllm;
        case BackendKind::kSglang: return kSglang;
        case BackendKind::kMindie: return kMindie;
        case BackendKind::kLlamaServer: return kLlamaServer;
        case BackendKind::kEngine:
        case BackendKind::kCustom: return {};
    }
    return {};
}

// The first "56%" of `text`, as 0.56.
std::optional<double> percentage(std::string_view text) {
    for (size_t end = text.find('%'); end != std::string_view::npos; end = text.find('%', end + 1)) {
        size_t start = end;
        while (start > 0 && end - start < 3 && std::isdigit(static_cast<unsigned char>(text[start - 1])) != 0) --start;
        int value = 0;
        for (size_t at = start; at < end; ++at) value = value * 10 + (text[at] - '0');
        if (start < end) return std::min(value, 100) / 100.0;
    }
    return std::nullopt;
}

double of_line(std::string_view line, std::span<const Mark> marks) {
    double furthest = 0;
    for (const Mark& mark : marks) {
        const size_t at = line.find(mark.text);
        if (at == std::string_view::npos) continue;
        const double share = mark.to > mark.from ? percentage(line.substr(at)).value_or(0) : 0;
        furthest = std::max(furthest, mark.from + share * (mark.to - mark.from));
    }
    return furthest;
}

}  // namespace

double progress_of(BackendKind kind, std::string_view log) {
    const std::span<const Mark> marks = marks_of(kind);
    double furthest = 0;
    while (!log.empty() && !marks.empty()) {
        const size_t end = std::min(log.find_first_of("\r\n"), log.size());   // a bar is drawn again and again over one line
        furthest = std::max(furthest, of_line(log.substr(0, end), marks));
        log.remove_prefix(std::min(end + 1, log.size()));
    }
    return furthest;
}

}  // namespace gantry::backends
