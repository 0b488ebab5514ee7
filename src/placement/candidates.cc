#include "placement/candidates.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <numeric>
#include <tuple>

namespace gantry::placement {
namespace {

using Slots = std::vector<Slot>;

constexpr uint64_t kVocabularyPadding = 64;   // vLLM's VocabParallelEmbedding, and SGLang's

// Chips that compute as one: the same chip of the same size, to a GiB. Of a chip that nobody knows the name says it.
using Chip = std::tuple<std::string, std::string, std::string, uint64_t>;
std::map<Chip, Slots> by_chip(const Slots& slots) {
    std::map<Chip, Slots> groups;
    for (const Slot& slot : slots) {
        const Device& device = *slot.device;
        groups[{device.vendor, device.chip, device.name, (device.memory_total_bytes + (1u << 29)) >> 30}].push_back(slot);
    }
    return groups;
}

// Accelerators that were named by hand for this worker, whether they are there and can be used or not.
uint32_t named_on(const View& view, const Asked& asked) {
    if (view.worker == nullptr) return static_cast<uint32_t>(view.accelerators.size());
    return static_cast<uint32_t>(std::count_if(asked.by_hand.begin(), asked.by_hand.end(), [&](const Chosen& chosen) {
        return chosen.device.vendor != "cpu" && chosen.is(*view.worker, chosen.device);
    }));
}

bool is_part(const Slot& slot) { return !slot.device->partition.empty(); }

bool has_unified(const Slots& slots) {
    return std::any_of(slots.begin(), slots.end(), [](const Slot& slot) { return slot.device->unified_memory; });
}

// Ranks that all take the same, on equal chips.
class Even {
public:
    Even(const View& view, const Asked& asked, Needs& needs, Kind kind) : view_(view), asked_(asked), needs_(needs), kind_(kind) {}

    // `slots`: equal chips, the roomiest first.
    std::optional<Candidate> of(const Slots& slots, uint32_t ranks, Length length) {
        const Need& need = needs_.of(slots.front().device->vendor, ranks, needs_.layers(), length);
        const uint64_t share = share_bytes(needs_, need.rank_bytes, *slots.front().device);
        const auto too_small = std::find_if(slots.begin(), slots.end(), [&](const Slot& slot) { return slot.room < share; });
        const auto fitting = needs_.known() ? static_cast<size_t>(too_small - slots.begin()) : slots.size();
        const bool parts = ranks > 1 && std::any_of(slots.begin(), slots.end(), is_part);   // CUDA shows a process one MIG part only
        if (fitting < ranks || parts) return std::nullopt;
        const uint64_t beside = has_unified(slots) ? share * ranks : 0;
        if (needs_.known() && need.memory_bytes + beside > view_.memory_room) return std::nullopt;
        Slots taken = chosen(Slots(slots.begin(), slots.begin() + static_cast<std::ptrdiff_t>(fitting)), ranks);
        std::sort(taken.begin(), taken.end(), [](const Slot& a, const Slot& b) {
            return std::tuple(a.worker->id, a.name()) < std::tuple(b.worker->id, b.name());
        });
        return Candidate{.kind = kind_, .good = length == needs_.good(), .slots = std::move(taken), .tried = length, .views = {&view_}};
    }

    // The fewest that have room for a good length; where none have, all that have for the least.
    std::optional<Candidate> fewest(const Slots& slots, const std::vector<uint32_t>& tried) {
        std::optional<Candidate> last;
        for (const uint32_t n : tried) {
            if (n > slots.size()) break;
            if (auto found = of(slots, n, needs_.good())) return found;
            if (auto found = of(slots, n, needs_.least())) last = std::move(found);
        }
        return last;
    }

private:
    // Of those that fit, the roomiest first, by the strategy as many as are wanted; others that are linked to each other before those.
    Slots chosen(Slots fitting, uint32_t ranks) const {
        const bool tight = needs_.known() && asked_.deployment.placement.strategy == PlacementStrategy::kBinpack;
        if (tight) std::reverse(fitting.begin(), fitting.end());
        for (size_t first = 0; ranks > 1 && first + ranks <= fitting.size(); ++first) {
            Slots taken;
            for (size_t i = first; i < fitting.size() && taken.size() < ranks; ++i) {
                if (std::all_of(taken.begin(), taken.end(), [&](const Slot& one) { return linked(one, fitting[i]); })) taken.push_back(fitting[i]);
            }
            if (taken.size() == ranks) return taken;
        }
        fitting.resize(ranks);
        return fitting;
    }

    const View& view_;
    const Asked& asked_;
    Needs& needs_;
    const Kind kind_;
};

// Devices of one vendor, the roomiest first, and the most layers for which each has room beside what an instance takes anyway: no more
// than the one before it has, and as many where both have the same room. Whether n of them do is then one look at a sum.
class Layered {
public:
    // `partly`: as many layers as there is room for, and the rest in memory; else all of them, on several devices.
    Layered(const View& view, Slots slots, Needs& needs, Length length, bool partly)
        : view_(view), slots_(std::move(slots)), needs_(needs), length_(length), partly_(partly) {
        uint32_t layers = needs.layers(), sum = 0;
        for (const Slot& slot : slots_) {
            while (layers > 0 && bytes_on(slot, layers) > slot.room) layers = fewer(slot, layers);
            if (layers == 0) break;
            most_.push_back(layers);
            sums_.push_back(sum += layers);
        }
        part_ = static_cast<size_t>(std::find_if(slots_.begin(), slots_.end(), is_part) - slots_.begin());
    }

    // On the `n` roomiest.
    std::optional<Candidate> on(uint32_t n) const {
        const uint32_t layers = needs_.layers();
        if (n == 0 || n > most_.size() || layers == 0 || (n > 1 && part_ < n) || (sums_[n - 1] < layers) != partly_) return std::nullopt;
        std::vector<uint32_t> parts = split(n, std::min(sums_[n - 1], layers));
        if (std::count(parts.begin(), parts.end(), 0u) > 0) return std::nullopt;
        const std::string& vendor = slots_.front().device->vendor;
        uint64_t memory = needs_.of(vendor, n, std::accumulate(parts.begin(), parts.end(), 0u), length_).memory_bytes;
        for (uint32_t i = 0; i < n; ++i) {
            if (slots_[i].device->unified_memory) memory += bytes_on(slots_[i], parts[i]);
        }
        if (memory > view_.memory_room) return std::nullopt;
        Candidate made{.kind = partly_ ? Kind::kPartly : Kind::kDevices, .good = length_ == needs_.good(), .tried = length_, .views = {&view_}};
        made.slots.assign(slots_.begin(), slots_.begin() + n);
        made.layers = std::move(parts);
        made.equal = by_chip(made.slots).size() == 1;
        return made;
    }

private:
    uint64_t bytes_on(const Slot& slot, uint32_t layers) const { return bytes_of_layers(slot.device->vendor, needs_, layers, length_, !partly_); }

    // The most layers below `layers` that the device has room for.
    uint32_t fewer(const Slot& slot, uint32_t layers) const {
        uint32_t low = 0, high = layers - 1;
        while (low < high) {
            const uint32_t middle = (low + high + 1) / 2;
            if (bytes_on(slot, middle) <= slot.room) {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        return low;
    }

    // As many layers as `wanted` over the first n, each at most what it has room for, in proportion to their room.
    std::vector<uint32_t> split(uint32_t n, uint32_t wanted) const {
        double all = 0;
        for (uint32_t i = 0; i < n; ++i) all += static_cast<double>(slots_[i].room);
        std::vector<uint32_t> parts;
        uint32_t left = wanted;
        for (uint32_t i = 0; i < n; ++i) {
            const auto fair = static_cast<uint32_t>(wanted * (static_cast<double>(slots_[i].room) / std::max(all, 1.0)));
            parts.push_back(std::min({fair, most_[i], left}));
            left -= parts.back();
        }
        for (uint32_t i = 0; left > 0 && i < n; ++i) {
            const uint32_t more = std::min(left, most_[i] - parts[i]);
            parts[i] += more;
            left -= more;
        }
        return parts;
    }

    const View& view_;
    const Slots slots_;
    Needs& needs_;
    const Length length_;
    const bool partly_;
    std::vector<uint32_t> most_, sums_;   // of those that have room for one layer at least; of the first 1, 2, ... together
    size_t part_ = 0;                     // the first that is a part of a GPU: CUDA shows a process one such only
};

std::map<std::string, Slots> by_vendor(const Slots& slots) {
    std::map<std::string, Slots> groups;
    for (const Slot& slot : slots) groups[slot.device->vendor].push_back(slot);
    return groups;
}

// Devices of unequal chips or room, where no fewer equal ones do.
void unequal_devices(const View& view, const Asked& asked, Needs& needs, std::vector<Candidate>& out) {
    size_t enough = SIZE_MAX;   // equal ones
    for (const Candidate& c : out) enough = c.good ? std::min(enough, c.slots.size()) : enough;
    for (auto& [vendor, slots] : by_vendor(view.accelerators)) {
        const std::vector<uint32_t> tried = counts(slots.size(), view, asked, needs);
        const Layered good(view, slots, needs, needs.good(), false), least(view, slots, needs, needs.least(), false);
        std::optional<Candidate> found, fallback;
        for (const uint32_t n : tried) {
            if (n >= enough || found) break;
            if (n == 1) continue;
            found = good.on(n);
            if (auto made = found ? std::nullopt : least.on(n)) fallback = std::move(made);
        }
        if (!found) found = std::move(fallback);
        if (found) out.push_back(*std::move(found));
    }
}

// Of those with the most layers on devices the one with the fewest devices: each more takes a layer at least.
void partly_in_memory(const View& view, const Asked& asked, Needs& needs, std::vector<Candidate>& out) {
    if (!asked.backend.can_offload() || !asked.deployment.placement.cpu_offload || !view.tells_memory) return;
    for (auto& [vendor, slots] : by_vendor(view.accelerators)) {
        const std::vector<uint32_t> tried = counts(slots.size(), view, asked, needs);
        for (const Length length : {needs.good(), needs.least()}) {
            const Layered layered(view, slots, needs, length, true);
            std::optional<Candidate> most;
            for (auto n = tried.rbegin(); n != tried.rend() && !most; ++n) most = layered.on(*n);
            if (!most) continue;
            out.push_back(*std::move(most));
            break;
        }
    }
}

void memory_alone(const View& view, const Asked& asked, Needs& needs, std::vector<Candidate>& out) {
    if (!view.memory || asked.deployment.placement.device_count > 1) return;
    for (const Length length : {needs.good(), needs.least()}) {
        if (needs.known() && needs.of("cpu", 1, 0, length).memory_bytes > view.memory->room) continue;
        out.push_back({.kind = Kind::kMemory, .good = length == needs.good(), .slots = {*view.memory}, .tried = length, .views = {&view}});
        return;
    }
}

}  // namespace

std::vector<uint32_t> counts(size_t available, const View& view, const Asked& asked, const Needs& needs) {
    uint32_t forced = asked.deployment.placement.device_count;
    if (forced == 0 && !asked.by_hand.empty()) forced = named_on(view, asked);   // exactly those
    std::vector<uint32_t> tried;
    for (uint32_t n = forced != 0 ? forced : 1; n <= (forced != 0 ? forced : available) && n <= available; ++n) {
        if (!refuse_ranks(asked.meta, needs.shares_cells(), n)) tried.push_back(n);
        if (!needs.known() && !tried.empty()) break;
    }
    return tried;
}

bool roomier(const Slot& a, const Slot& b) {
    return std::tuple(b.room, a.instances, a.worker->id, a.name()) < std::tuple(a.room, b.instances, b.worker->id, b.name());
}

uint32_t Candidate::layers_on_devices() const { return std::accumulate(layers.begin() + (leads_in_memory() ? 1 : 0), layers.end(), 0u); }

bool Candidate::leads_in_memory() const { return kind == Kind::kSeveralWorkers && !layers.empty() && slots.front().device->vendor == "cpu"; }

Reason refuse_ranks(const ModelMeta* meta, bool by_layers, uint32_t ranks) {
    if (ranks <= 1 || meta == nullptr) return std::nullopt;
    if (by_layers) {
        if (meta->layers == 0 || ranks <= meta->layers) return std::nullopt;
        return fmt::format("{} layers can't be split over {} devices", meta->layers, ranks);
    }
    const auto cannot = [&](uint64_t number, const char* what) { return fmt::format("{} {} can't be split over {} devices", number, what, ranks); };
    if (meta->heads % ranks != 0) return cannot(meta->heads, "attention heads");
    // Fewer KV heads than ranks: each is kept on several.
    const bool whole = meta->heads_kv >= ranks ? meta->heads_kv % ranks == 0 : meta->heads_kv == 0 || ranks % meta->heads_kv == 0;
    if (!whole && meta->kv_lora_rank == 0) return cannot(meta->heads_kv, "KV heads");
    if (meta->vision_heads % ranks != 0) return cannot(meta->vision_heads, "heads of the vision tower");
    const uint64_t vocabulary = (meta->vocabulary + kVocabularyPadding - 1) / kVocabularyPadding * kVocabularyPadding;
    if (vocabulary % ranks != 0) return cannot(vocabulary, "rows of the vocabulary (padded)");
    return std::nullopt;
}

uint64_t bytes_of_layers(const std::string& vendor, Needs& needs, uint32_t layers, Length length, bool pipelined) {
    return needs.of(vendor, 1, std::min(layers + 1, needs.layers()), length, pipelined).rank_bytes;
}

bool linked(const Slot& a, const Slot& b) {
    const auto& links = a.device->links;
    return a.worker == b.worker && a.device->vendor == b.device->vendor && std::any_of(links.begin(), links.end(), [&](const DeviceLink& link) {
        const bool own = link.kind.starts_with("NV") || link.kind == "XGMI" || link.kind.starts_with("HCCS") || link.kind == "MX";
        return own && link.to == b.device->index;
    });
}

uint64_t share_bytes(const Needs& needs, uint64_t rank_bytes, const Device& device) {
    if (!needs.takes_fraction() || !needs.known()) return rank_bytes;
    const double fraction = vllm_memory_fraction(rank_bytes, device.memory_total_bytes);
    return std::max(rank_bytes, static_cast<uint64_t>(fraction * static_cast<double>(device.memory_total_bytes)));
}

std::vector<Candidate> candidates(const View& view, const Asked& asked, Needs& needs) {
    std::vector<Candidate> out;
    Even even(view, asked, needs, Kind::kDevices);
    for (const auto& [chip, slots] : by_chip(view.accelerators)) {
        if (auto found = even.fewest(slots, counts(slots.size(), view, asked, needs))) out.push_back(*std::move(found));
    }
    if (needs.layers() > 0 && needs.known()) {
        unequal_devices(view, asked, needs, out);
        if (out.empty()) partly_in_memory(view, asked, needs, out);
    }
    if (out.empty()) memory_alone(view, asked, needs, out);
    return out;
}

}  // namespace gantry::placement
