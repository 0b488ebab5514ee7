// From a candidate to a placement: context and sequences settled, claims written.
#include <algorithm>
#include <cmath>

#include "placement/candidates.h"

namespace gantry::placement {
namespace {

class Placing {
public:
    Placing(const Candidate& candidate, const Asked& asked, Needs& needs)
        : candidate_(candidate), asked_(asked), needs_(needs), vendor_(candidate.slots.front().device->vendor),
          ranks_(static_cast<uint32_t>(candidate.slots.size())) {}

    Placement run(Estimate* used) {
        Placement placement;
        const BackendOptions& options = asked_.deployment.options;
        const bool by_layers = !candidate_.layers.empty();
        const Length length = !needs_.known() ? Length{options.context_tokens, options.max_sequences}
                              : by_layers     ? needs_.booked(candidate_.tried)
                                              : needs_.settle([this](Length tried) { return fits(tried); });
        const Need& need = need_of(length);
        placement.ranks = candidate_.kind == Kind::kMemory ? 1 : ranks_;
        placement.context_tokens = length.context_tokens;
        placement.sequences = length.sequences;
        placement.layers = asked_.meta == nullptr ? 0 : asked_.meta->layers;
        placement.layers_on_devices = candidate_.kind == Kind::kMemory ? 0 : by_layers ? candidate_.layers_on_devices() : placement.layers;
        placement.estimate_bytes = need.estimate.total();
        for (const Term& term : need.estimate.terms) placement.kv_bytes += term.name == "kv_cache" ? term.bytes : 0;
        claim(placement, need, length);
        if (used != nullptr) *used = need.estimate;
        return placement;
    }

private:
    const Need& need_of(Length length) {
        if (candidate_.kind == Kind::kMemory) return needs_.of("cpu", 1, 0, length);
        if (candidate_.layers.empty()) return needs_.of(vendor_, ranks_, needs_.layers(), length, false, candidate_.stages);
        if (candidate_.leads_in_memory()) return needs_.of(others_vendor(), ranks_ - 1, candidate_.layers_on_devices(), length);
        return needs_.of(vendor_, ranks_, candidate_.layers_on_devices(), length);
    }

    std::string others_vendor() const {
        const std::string& vendor = candidate_.slots.back().device->vendor;
        return vendor == "cpu" ? kMemoryElsewhere : vendor;
    }

    bool fits(Length length) {
        const Need& need = need_of(length);
        if (candidate_.kind == Kind::kMemory) return need.memory_bytes <= candidate_.slots.front().room;
        uint64_t beside = 0;
        for (const Slot& slot : candidate_.slots) {
            const uint64_t share = share_bytes(needs_, need.rank_bytes, *slot.device);
            if (share > slot.room) return false;
            if (slot.device->unified_memory) beside += share;
        }
        return std::all_of(candidate_.views.begin(), candidate_.views.end(), [&](const View* view) {
            return memory_on(*view, need) + beside <= view->memory_room;
        });
    }

    // A worker's part of the machine's memory.
    uint64_t memory_on(const View& view, const Need& need) const {
        const auto ranks = std::count_if(candidate_.slots.begin(), candidate_.slots.end(), [&](const Slot& s) { return s.worker == view.worker; });
        return need.memory_bytes * static_cast<uint64_t>(ranks) / ranks_;
    }

    // What isn't known is booked as far as it is, and nothing beyond what there is: a booking must not take others' room away.
    static uint64_t bounded(uint64_t bytes, uint64_t room) { return std::min(bytes, room); }

    // Of a device's memory, for backends that take a fraction of it. SGLang's is of what is free before it loads, and for weights and keys
    // and values alone; of what nobody knows the size of, the room there is.
    double fraction_of(const Slot& slot, uint64_t bytes, const Need& need) const {
        const uint64_t total = slot.device->memory_total_bytes;
        if (!needs_.known()) return total == 0 ? 0 : static_cast<double>(slot.room) / static_cast<double>(total);
        if (asked_.deployment.backend != BackendKind::kSglang) return vllm_memory_fraction(bytes, total);
        uint64_t kept = 0;
        for (const Term& term : need.estimate.terms) {
            if (term.where == Where::kDevice && (term.name == "weights" || term.name == "kv_cache")) kept += term.bytes / ranks_;
        }
        return vllm_memory_fraction(kept, slot.device->memory_free_bytes);
    }

    void claim(Placement& placement, const Need& need, Length length) {
        if (candidate_.kind == Kind::kMemory) {
            const Slot& slot = candidate_.slots.front();
            placement.claims.push_back({.worker_id = slot.worker->id, .device = slot.name(), .bytes = bounded(need.memory_bytes, slot.room)});
            return;
        }
        const bool even = candidate_.layers.empty();
        if (!even && candidate_.kind == Kind::kSeveralWorkers) return claim_layers(placement, length);
        for (uint32_t rank = 0; rank < ranks_; ++rank) {
            const Slot& slot = candidate_.slots[rank];
            const bool pipelined = candidate_.kind == Kind::kDevices;
            const uint64_t bytes = even ? need.rank_bytes : bytes_of_layers(vendor_, needs_, candidate_.layers[rank], length, pipelined);
            const uint64_t share = share_bytes(needs_, bytes, *slot.device);
            DeviceClaim claim{.worker_id = slot.worker->id, .device = slot.name(), .bytes = bounded(share, slot.room)};
            const uint32_t layers = needs_.layers();
            if (layers > 0) claim.layers = even ? layers / ranks_ + (rank < layers % ranks_ ? 1 : 0) : candidate_.layers[rank];
            if (needs_.takes_fraction()) claim.memory_fraction = fraction_of(slot, bytes, need);
            placement.claims.push_back(std::move(claim));
        }
        for (const View* view : candidate_.views) {
            const uint64_t bytes = bounded(memory_on(*view, need), view->memory_room);
            if (view->tells_memory && bytes > 0) placement.claims.push_back({.worker_id = view->worker->id, .device = {"cpu", 0}, .bytes = bytes});
        }
    }

    // Of several workers, each with layers of its own.
    void claim_layers(Placement& placement, Length length) {
        for (size_t i = 0; i < candidate_.slots.size(); ++i) {
            const Slot& slot = candidate_.slots[i];
            placement.claims.push_back({.worker_id = slot.worker->id,
                                        .device = slot.name(),
                                        .bytes = bounded(bytes_on(candidate_, i, candidate_.layers[i], needs_, length), slot.room),
                                        .layers = candidate_.layers[i]});
        }
        for (const View* view : candidate_.views) {
            const uint64_t bytes = bounded(memory_beside(candidate_, *view, needs_, length), view->memory_room);
            if (view->tells_memory && bytes > 0) placement.claims.push_back({.worker_id = view->worker->id, .device = {"cpu", 0}, .bytes = bytes});
        }
    }

    const Candidate& candidate_;
    const Asked& asked_;
    Needs& needs_;
    const std::string vendor_;
    const uint32_t ranks_;
};

}  // namespace

Placement place(const Candidate& candidate, const Asked& asked, Needs& needs, Estimate* used) { return Placing(candidate, asked, needs).run(used); }

}  // namespace gantry::placement
