#include "placement/suggestions.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "backends/backends.h"
#include "placement/survey.h"
#include "placement/texts.h"

namespace gantry::placement {
namespace {

// Bits a weight of llama.cpp's common quantizations, scales included (Llama 3 8B: tools/quantize/README.md), and of what vLLM and MindIE read.
struct Quantization {
    const char* name;
    double bits;
};
constexpr Quantization kGguf[] = {{"Q8_0", 8.5}, {"Q6_K", 6.6}, {"Q5_K_M", 5.7}, {"Q4_K_M", 4.9}, {"IQ3_M", 3.8}, {"Q2_K", 3.2}};
constexpr Quantization kSafetensors[] = {{"8 bits (FP8, W8A8)", 8.5}, {"4 bits (AWQ, GPTQ)", 4.8}};

constexpr size_t kHoldersTried = 64;   // other deployments whose end is tried, one by one: a decision must not take seconds

class Trying {
public:
    Trying(const Deployment& deployment, const Snapshot& snapshot, const Knowledge& knowledge, const Room& room)
        : wanted_(deployment), snapshot_(snapshot), knowledge_(knowledge), room_(room), workers_(surveyed_for(deployment, snapshot, room)) {}

    std::vector<Suggestion> run() {
        shorter_context();
        fewer_sequences();
        smaller_kv_type();
        offload();
        several_workers();
        more_devices();
        other_devices();
        smaller_quantization();
        stop_another();
        other_backend();
        return std::move(found_);
    }

private:
    // On the workers and devices that were asked for.
    std::optional<Placement> fits(const Deployment& changed, const Knowledge& knowledge) { return fitting(changed, snapshot_, knowledge, workers_); }
    std::optional<Placement> fits(const Deployment& changed) { return fits(changed, knowledge_); }
    // On others.
    std::optional<Placement> fits_elsewhere(const Deployment& changed) const {
        std::vector<Surveyed> workers = surveyed_for(changed, snapshot_, room_);
        return fitting(changed, snapshot_, knowledge_, workers);
    }

    void say(const char* change, std::string value, std::string text) { found_.push_back({change, std::move(value), std::move(text)}); }

    void shorter_context() {
        Deployment d = wanted_;
        d.options.context_tokens = 0;
        if (wanted_.options.context_tokens == 0) return;
        const auto placement = fits(d);
        if (!placement || placement->context_tokens >= wanted_.options.context_tokens) return;
        d.options.context_tokens = placement->context_tokens;
        if (!fits(d)) return;
        say("context_tokens", fmt::format("{}", placement->context_tokens), fmt::format("a context of {} tokens", placement->context_tokens));
    }

    void fewer_sequences() {
        Deployment d = wanted_;
        for (uint32_t n = wanted_.options.max_sequences / 2; n >= 1; n /= 2) {
            d.options.max_sequences = n;
            if (!fits(d)) continue;
            return say("max_sequences", fmt::format("{}", n), fmt::format("{} sequence{} at once", n, n == 1 ? "" : "s"));
        }
    }

    void smaller_kv_type() {
        const BackendKind kind = wanted_.backend;
        const char* type = kind == BackendKind::kEngine || kind == BackendKind::kLlamaServer ? "q8_0"
                           : kind == BackendKind::kVllm                                       ? "fp8"
                           : kind == BackendKind::kSglang                                     ? "fp8_e5m2"
                                                                                              : "";
        const std::string& now = wanted_.options.kv_type;
        if (*type == '\0' || !(now.empty() || now == "auto" || now.ends_with("16"))) return;
        Deployment d = wanted_;
        d.options.kv_type = type;
        if (fits(d)) say("kv_type", type, fmt::format("keys and values in {}", type));
    }

    void offload() {
        if (wanted_.placement.cpu_offload) return;
        Deployment d = wanted_;
        d.placement.cpu_offload = true;
        const auto p = fits(d);
        if (p) say("cpu_offload", "true", fmt::format("layers in memory: {} of {} would be on devices", p->layers_on_devices, p->layers));
    }

    void several_workers() {
        if (wanted_.placement.across_workers || !backends::backend(wanted_.backend).spanning()) return;
        Deployment d = wanted_;
        d.placement.across_workers = true;
        const auto p = fits(d);
        if (p) say("across_workers", "true", fmt::format("devices of {} workers together", p->workers().size()));
    }

    void more_devices() {
        if (wanted_.placement.device_count == 0) return;
        Deployment d = wanted_;
        d.placement.device_count = 0;
        const auto p = fits(d);
        if (!p) return;
        say("device_count", fmt::format("{}", p->ranks), fmt::format("{} device{}", p->ranks, p->ranks == 1 ? "" : "s"));
    }

    void other_devices() {
        Deployment d = wanted_;
        d.placement.device_types.clear();
        d.placement.devices.clear();
        if (wanted_.placement.device_types.empty() && wanted_.placement.devices.empty()) return;
        const auto p = fits_elsewhere(d);
        if (!p) return;
        const std::string there = to_string(p->claims.front().device);
        if (wanted_.placement.devices.empty()) {
            say("device_types", p->claims.front().device.vendor, fmt::format("devices of another type: {} would do", there));
        } else {
            say("devices", "", fmt::format("no devices chosen by hand: {} would do", there));
        }
    }

    // By the bits that a weight has now; how the file would really be quantized differs by layer.
    void smaller_quantization() {
        const auto meta = knowledge_.metas.find(wanted_.source);
        if (meta == knowledge_.metas.end() || meta->second.parameter_count == 0) return;
        const double now = 8.0 * static_cast<double>(meta->second.file_bytes) / static_cast<double>(meta->second.parameter_count);
        const auto try_each = [&](auto& list) {
            for (const Quantization& q : list) {
                if (q.bits >= 0.95 * now) continue;
                Knowledge changed;
                changed.runs = knowledge_.runs;
                changed.metas.emplace(wanted_.source, scaled(meta->second, q.bits / now));
                if (!fits(wanted_, changed)) continue;
                const uint64_t bytes = scaled(meta->second, q.bits / now).file_bytes;
                return say("quantization", q.name, fmt::format("the same model quantized to {}, about {}", q.name, size_text(bytes)));
            }
        };
        meta->second.format == "gguf" ? try_each(kGguf) : try_each(kSafetensors);
    }

    static ModelMeta scaled(ModelMeta meta, double by) {
        const auto scale = [by](uint64_t& bytes) { bytes = static_cast<uint64_t>(static_cast<double>(bytes) * by); };
        scale(meta.file_bytes);
        scale(meta.weights.embedding);
        scale(meta.weights.output);
        scale(meta.weights.other);
        for (uint64_t& layer : meta.weights.layers) scale(layer);
        for (auto& [type, bytes] : meta.bytes_of_type) scale(bytes);
        return meta;
    }

    // Of those whose end makes enough room the one that holds the least. Only the workers where it is can become roomy enough.
    void stop_another() {
        struct Holder {
            const Deployment* deployment = nullptr;
            std::vector<const Instance*> instances{};
            uint64_t bytes = 0;
        };
        std::map<DeploymentId, Holder> by_id;
        for (const Instance& i : snapshot_.instances) {
            if (i.placement.empty() || i.stopping || i.deployment_id == wanted_.id) continue;
            Holder& holder = by_id[i.deployment_id];
            holder.instances.push_back(&i);
            for (const DeviceClaim& claim : i.placement.claims) holder.bytes += claim.bytes;
        }
        std::vector<Holder> holders;
        for (const Deployment& d : snapshot_.deployments) {
            const auto found = by_id.find(d.id);
            if (found == by_id.end()) continue;
            holders.push_back(found->second);
            holders.back().deployment = &d;
        }
        std::sort(holders.begin(), holders.end(), [](const Holder& a, const Holder& b) {
            return std::tie(a.bytes, a.deployment->name) < std::tie(b.bytes, b.deployment->name);
        });
        std::vector<const Instance*> all;
        for (const Holder& holder : holders) all.insert(all.end(), holder.instances.begin(), holder.instances.end());
        if (holders.size() > 1 && !makes_room(all)) return;   // not even together
        for (size_t i = 0; i < std::min(holders.size(), kHoldersTried); ++i) {
            if (!makes_room(holders[i].instances)) continue;
            const std::string& name = holders[i].deployment->name;
            return say("stop", name, fmt::format("\"{}\" stopped, which frees {}", name, size_text(holders[i].bytes)));
        }
        if (holders.size() <= kHoldersTried) return;
        say("stop", "", fmt::format("the other {} deployments stopped, all of them; of one alone it was tried with the {} that hold the least",
                                    holders.size(), kHoldersTried));
    }

    bool makes_room(const std::vector<const Instance*>& stopped) const {
        std::set<WorkerId> freed;
        for (const Instance* i : stopped) {
            for (const DeviceClaim& claim : i->placement.claims) freed.insert(claim.worker_id);
        }
        Snapshot there;
        for (const Worker& w : snapshot_.workers) {
            if (wanted_.placement.across_workers || freed.contains(w.id)) there.workers.push_back(w);
        }
        Room room = room_.part(there.workers);
        for (const Instance* i : stopped) room.release(i->placement);
        std::vector<Surveyed> workers = surveyed_for(wanted_, there, room);
        return fitting(wanted_, there, knowledge_, workers).has_value();
    }

    void other_backend() {
        for (const BackendKind kind : kBackendKinds) {
            if (kind == wanted_.backend || kind == BackendKind::kCustom) continue;
            Deployment d = wanted_;
            d.backend = kind;
            d.options.extra_args.clear();
            d.options.binary.clear();
            d.options.kv_type.clear();
            if (!fits_elsewhere(d)) continue;
            return say("backend", gantry::to_string(kind), fmt::format("the backend {}", gantry::to_string(kind)));
        }
    }

    const Deployment& wanted_;
    const Snapshot& snapshot_;
    const Knowledge& knowledge_;
    const Room& room_;
    std::vector<Surveyed> workers_;
    std::vector<Suggestion> found_;
};

}  // namespace

std::vector<Suggestion> suggestions(const Deployment& deployment, const Snapshot& snapshot, const Knowledge& knowledge, const Room& room) {
    return Trying(deployment, snapshot, knowledge, room).run();
}

}  // namespace gantry::placement
