#include "placement/needs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace gantry::placement {
namespace {

constexpr uint32_t kStep = 256;                 // contexts are multiples of it: llama.cpp pads to it, vLLM's blocks divide it
constexpr uint32_t kEngineSequences = 64;       // the embedded engine's default (engine/llama_context_plan.cc)
constexpr uint32_t kLlamaServerSequences = 4;   // llama-server's (--parallel -1: tools/server/server.cpp of the pinned tree)

uint64_t times(uint64_t bytes, double factor) {   // bytes are 2^56 at most, the factor a small one
    return static_cast<uint64_t>(static_cast<double>(bytes) * std::clamp(factor, 0.0, 16.0));
}

}  // namespace

Needs::Needs(const Asked& asked, const Knowledge& knowledge) : asked_(asked), knowledge_(knowledge) {
    const BackendKind kind = asked.deployment.backend;
    shape_.backend = kind;
    shape_.options = asked.deployment.options;
    shares_cells_ = kind == BackendKind::kEngine || kind == BackendKind::kLlamaServer;
    takes_fraction_ = kind == BackendKind::kVllm || kind == BackendKind::kSglang || kind == BackendKind::kMindie;
    missing_ = why_unknown(knowledge);
}

std::string Needs::why_unknown(const Knowledge& knowledge) {
    if (asked_.deployment.backend == BackendKind::kCustom) return "what a command of your own takes nobody knows but the program";
    if (asked_.meta == nullptr) {
        const auto problem = knowledge.meta_problems.find(asked_.deployment.source);
        return problem == knowledge.meta_problems.end() ? "the model was not read yet" : problem->second;
    }
    const Need& need = of(usual_vendor(), 1, 0, least());
    return need.estimate.unknown.empty() ? "" : fmt::format("the model's files do not say: {}", fmt::join(need.estimate.unknown, ", "));
}

const char* Needs::usual_vendor() const {
    return shares_cells_ ? "cpu" : asked_.deployment.backend == BackendKind::kMindie ? "ascend" : "nvidia";
}

uint32_t Needs::layers() const { return shares_cells_ && asked_.meta != nullptr ? asked_.meta->layers : 0; }

const Correction& Needs::correction(const std::string& vendor) {
    const auto found = corrections_.find(vendor);
    if (found != corrections_.end()) return found->second;
    const Deployment& d = asked_.deployment;
    const Correction made = asked_.meta == nullptr ? Correction{}
                                                   : placement::correction(knowledge_.runs, d.backend, asked_.meta->architecture, vendor, d.source);
    return corrections_.emplace(vendor, made).first->second;
}

const Need& Needs::of(const std::string& vendor, uint32_t ranks, uint32_t layers_on_devices, Length length, bool pipelined, uint32_t stages) {
    const auto [at, is_new] = memo_.try_emplace({vendor, ranks, layers_on_devices, length, pipelined, stages});
    Need& need = at->second;
    if (is_new && asked_.meta == nullptr) need.estimate.unknown = {"the model's files"};
    if (!is_new || asked_.meta == nullptr) return need;
    shape_.vendor = vendor;
    shape_.ranks = ranks;
    shape_.layers_on_devices = layers_on_devices;
    shape_.context_tokens = length.context_tokens;
    shape_.sequences = length.sequences;
    shape_.pipelined = pipelined;
    shape_.stages = stages;
    need.estimate = estimate(*asked_.meta, shape_);
    const double factor = correction(vendor).factor;
    need.memory_bytes = times(need.estimate.memory_bytes, factor);
    for (const uint64_t rank : need.estimate.rank_bytes) need.rank_bytes = std::max(need.rank_bytes, times(rank, factor));
    return need;
}

uint32_t Needs::trained() const {
    return asked_.meta == nullptr || asked_.meta->context_length == 0 ? kContextGood : asked_.meta->context_length;
}

uint32_t Needs::sequences_least() const {
    const BackendOptions& options = asked_.deployment.options;
    if (options.max_sequences != 0) return options.max_sequences;
    if (shares_cells_) return asked_.deployment.backend == BackendKind::kEngine ? kEngineSequences : kLlamaServerSequences;
    return options.context_tokens != 0 ? 1 : 2;
}

Length Needs::least() const {
    const uint32_t given = asked_.deployment.options.context_tokens;
    return {given != 0 ? given : std::min(trained(), kContextMin), sequences_least()};
}

Length Needs::good() const {
    if (asked_.deployment.options.context_tokens != 0) return least();
    const uint32_t context = std::min(trained(), kContextGood);
    return {shares_cells_ ? 2 * context : context, sequences_least()};
}

Length Needs::booked(Length found) const {
    const bool twice = shares_cells_ && asked_.deployment.options.context_tokens == 0 && found != least();
    return {twice ? found.context_tokens / 2 : found.context_tokens, found.sequences};
}

Length Needs::settle(const std::function<bool(Length)>& fits) const {
    const BackendOptions& options = asked_.deployment.options;
    Length best = least();
    if (options.context_tokens == 0) {
        const uint32_t many = shares_cells_ ? 2 : 1;
        const uint32_t most = trained();
        const auto tried = [&](uint32_t context) { return fits({context * many, best.sequences}); };
        uint32_t low = best.context_tokens / kStep, high = most / kStep;   // in steps; low is taken to fit
        if (tried(most)) {
            best.context_tokens = most;
        } else {
            while (low < high) {
                const uint32_t middle = (low + high + 1) / 2;
                if (tried(middle * kStep)) {
                    low = middle;
                } else {
                    high = middle - 1;
                }
            }
            best.context_tokens = std::max(best.context_tokens, low * kStep);
        }
    }
    if (!shares_cells_ && options.max_sequences == 0) {
        // So many, and yet no more of a device than a team's chats fill: others may want to have the rest.
        const auto wanted = [&](uint32_t sequences) {
            return sequences <= kSequencesWanted && uint64_t{sequences} * best.context_tokens <= kTokensWanted;
        };
        while (wanted(best.sequences + 1) && fits({best.context_tokens, best.sequences + 1})) ++best.sequences;
    }
    return best;
}

}  // namespace gantry::placement
