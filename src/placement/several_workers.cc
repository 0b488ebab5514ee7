// One instance on devices of several workers: which, and how the model is split over them.
//
// Fewer workers are better than fewer devices: what passes between workers passes at every token. Of workers those with the most room come
// first, of one worker the roomiest devices. A worker without accelerators that would do takes part with its memory, where the backend
// computes there.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <tuple>

#include "placement/candidates.h"
#include "placement/estimates/overheads.h"

namespace gantry::placement {
namespace {

using Slots = std::vector<Slot>;

constexpr size_t kWorkersTried = 16;    // together
constexpr size_t kDevicesTried = 128;   // together; a decision must not take seconds

bool in_memory(const Slot& slot) { return slot.device->vendor == "cpu"; }

// As estimates know the device: memory of a worker that does not lead is one that computes for another.
std::string vendor_of(const Slot& slot) { return in_memory(slot) ? kMemoryElsewhere : slot.device->vendor; }

// What a worker brings along.
struct Team {
    const View* view = nullptr;
    Slots slots{};               // the roomiest first
    uint64_t room = 0;
};

std::vector<Team> teams_of(const std::vector<const View*>& views, bool with_memory) {
    std::vector<Team> teams;
    for (const View* view : views) {
        Team team{.view = view, .slots = view->accelerators};
        if (team.slots.empty() && with_memory && view->memory) team.slots = {*view->memory};
        for (const Slot& slot : team.slots) team.room += slot.room;
        if (!team.slots.empty()) teams.push_back(std::move(team));
    }
    std::sort(teams.begin(), teams.end(), [](const Team& a, const Team& b) {
        return std::tuple(b.room, a.view->worker->id) < std::tuple(a.room, b.view->worker->id);
    });
    return teams;
}

// The one that was named first by hand leads.
void lead_by_hand(std::vector<Team>& teams, const Asked& asked) {
    if (asked.by_hand.empty()) return;
    const Chosen& first = asked.by_hand.front();
    const auto named = std::find_if(teams.begin(), teams.end(), [&](const Team& team) { return first.is(*team.view->worker, first.device); });
    if (named != teams.end()) std::rotate(teams.begin(), named, named + 1);
}

// So many of the teams' devices, of each team one at least, the roomiest first; in the order of the teams.
std::optional<Slots> pick(const std::vector<Team>& teams, size_t workers, size_t devices) {
    Slots rest, taken;
    for (size_t i = 0; i < workers; ++i) {
        taken.push_back(teams[i].slots.front());
        rest.insert(rest.end(), teams[i].slots.begin() + 1, teams[i].slots.end());
    }
    if (taken.size() > devices || taken.size() + rest.size() < devices) return std::nullopt;
    std::sort(rest.begin(), rest.end(), roomier);
    taken.insert(taken.end(), rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(devices - taken.size()));
    const auto place_of = [&](const Slot& slot) {
        return std::find_if(teams.begin(), teams.end(), [&](const Team& team) { return team.view->worker == slot.worker; }) - teams.begin();
    };
    std::stable_sort(taken.begin(), taken.end(), [&](const Slot& a, const Slot& b) { return place_of(a) < place_of(b); });
    return taken;
}

// llama.cpp's: each device gets layers, as many as its room is of all room.
class ByLayers {
public:
    // Devices that have no room for one layer are left out.
    ByLayers(std::vector<Team> teams, const Asked& asked, Needs& needs) : asked_(asked), needs_(needs) {
        for (Team& team : teams) {
            left_out_ += std::erase_if(team.slots, [&](const Slot& slot) {
                return bytes_of_layers(vendor_of(slot), needs, 1, needs.least(), false) > slot.room;
            });
            if (!team.slots.empty()) teams_.push_back(std::move(team));
        }
    }

    std::optional<Candidate> best(bool exactly_these) {
        const size_t forced = asked_.deployment.placement.device_count;
        if (teams_.size() < 2 || (exactly_these && left_out_ > 0)) return std::nullopt;
        std::optional<Candidate> fallback, partly;
        size_t all = teams_.front().slots.size();   // of the first 1, 2, ... workers
        for (size_t workers = 2; workers <= std::min(teams_.size(), kWorkersTried); ++workers) {
            all += teams_[workers - 1].slots.size();
            if (exactly_these && workers < teams_.size()) continue;
            const size_t least = exactly_these ? all : forced != 0 ? forced : workers;
            const size_t most = exactly_these ? all : forced != 0 ? forced : std::min({all, kDevicesTried, size_t{needs_.layers()}});
            if (auto found = fewest(workers, least, most, needs_.good())) return found;
            if (!fallback) fallback = fewest(workers, least, most, needs_.least());
            if (!partly) partly = with(workers, most, needs_.least(), true);
        }
        return fallback ? fallback : partly;
    }

private:
    // Where some number of devices does, more do as well: of so many workers the fewest are found by halves.
    std::optional<Candidate> fewest(size_t workers, size_t low, size_t high, Length length) {
        if (low > high) return std::nullopt;
        std::optional<Candidate> found = with(workers, high, length, false);
        while (found && low < high) {
            const size_t middle = (low + high) / 2;
            if (auto smaller = with(workers, middle, length, false)) {
                found = std::move(smaller);
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        return found;
    }

    // `partly`: what finds no room on devices stays in the leading worker's memory.
    std::optional<Candidate> with(size_t workers, size_t devices, Length length, bool partly) {
        std::optional<Slots> slots = pick(teams_, workers, devices);
        if (!slots) return std::nullopt;
        Candidate made{.kind = Kind::kSeveralWorkers, .good = length == needs_.good(), .slots = *std::move(slots), .tried = length};
        for (size_t i = 0; i < workers; ++i) made.views.push_back(teams_[i].view);
        std::set<std::tuple<std::string, std::string, std::string>> chips;
        for (const Slot& slot : made.slots) chips.emplace(slot.device->vendor, slot.device->chip, slot.device->name);
        made.equal = chips.size() == 1;
        if (!split(made, partly) || !has_memory(made)) return std::nullopt;
        return made;
    }

    // The most layers that a device has room for.
    uint32_t most_on(const Candidate& made, size_t i) {
        const Slot& slot = made.slots[i];
        const bool leads = i == 0 && in_memory(slot);
        uint32_t low = 0, high = leads ? needs_.layers() - 1 : needs_.layers();   // one layer elsewhere at least
        while (low < high) {
            const uint32_t middle = (low + high + 1) / 2;
            if (bytes_on(made, i, middle, needs_, made.tried) <= slot.room) low = middle;
            else high = middle - 1;
        }
        return low;
    }

    bool split(Candidate& made, bool partly) {
        std::vector<uint32_t> most;
        double room = 0;
        for (size_t i = 0; i < made.slots.size(); ++i) {
            most.push_back(most_on(made, i));
            room += static_cast<double>(made.slots[i].room);
        }
        uint32_t left = needs_.layers();
        for (size_t i = 0; i < most.size(); ++i) {
            const double share = static_cast<double>(made.slots[i].room) / std::max(room, 1.0);
            const auto fair = std::max(1u, static_cast<uint32_t>(needs_.layers() * share));
            made.layers.push_back(std::min({fair, most[i], left}));
            left -= made.layers.back();
        }
        for (size_t i = 0; left > 0 && i < most.size(); ++i) {
            const uint32_t more = std::min(left, most[i] - made.layers[i]);
            made.layers[i] += more;
            left -= more;
        }
        // The rest stays in the leading worker's memory, where that may be; of one that computes there it was counted.
        const bool may_stay = !in_memory(made.slots.front()) && asked_.deployment.placement.cpu_offload && made.views.front()->tells_memory;
        if (left > 0 && !(partly && may_stay)) return false;
        return std::count(made.layers.begin(), made.layers.end(), 0u) == 0;
    }

    bool has_memory(const Candidate& made) {
        for (const View* view : made.views) {
            if (memory_beside(made, *view, needs_, made.tried) > view->memory_room) return false;
        }
        return true;
    }

    std::vector<Team> teams_;
    const Asked& asked_;
    Needs& needs_;
    size_t left_out_ = 0;
};

// Ranks that all take the same, on as many equal devices of each worker.
class Alike {
public:
    Alike(const Asked& asked, Needs& needs)
        : asked_(asked), needs_(needs), stages_(asked.backend.spanning()->split == backends::Spanning::Split::kStages) {}

    std::optional<Candidate> best(const std::vector<Team>& teams, bool exactly_these) {
        const size_t forced = asked_.deployment.placement.device_count;
        std::optional<Candidate> fallback;
        std::map<size_t, std::vector<Team>> able_by_devices;
        for (size_t workers = exactly_these ? teams.size() : 2; workers <= std::min(teams.size(), kWorkersTried); ++workers) {
            for (size_t each = 1; workers * each <= kDevicesTried; ++each) {
                if (forced != 0 && workers * each != forced) continue;
                const auto [at, is_new] = able_by_devices.try_emplace(each);
                std::vector<Team>& able = at->second;
                if (is_new) able = with_devices(teams, each, exactly_these);
                if (able.size() < workers) break;
                if (refuse(workers, each)) continue;
                if (auto found = of(able, workers, each, needs_.good())) return found;
                if (!fallback) fallback = of(able, workers, each, needs_.least());
            }
        }
        return fallback;
    }

private:
    static std::vector<Team> with_devices(const std::vector<Team>& teams, size_t each, bool exactly) {
        std::vector<Team> able;
        std::copy_if(teams.begin(), teams.end(), std::back_inserter(able),
                     [&](const Team& team) { return exactly ? team.slots.size() == each : team.slots.size() >= each; });
        return able;
    }

    bool refuse(size_t workers, size_t each) const {
        if (stages_ && (asked_.meta == nullptr || asked_.meta->layers < workers)) return true;
        return refuse_ranks(asked_.meta, false, static_cast<uint32_t>(stages_ ? each : workers * each)).has_value();
    }

    std::optional<Candidate> of(const std::vector<Team>& teams, size_t workers, size_t each, Length length) {
        Candidate made{.kind = Kind::kSeveralWorkers, .good = length == needs_.good(), .tried = length};
        made.stages = stages_ ? static_cast<uint32_t>(workers) : 1;
        const auto ranks = static_cast<uint32_t>(workers * each);
        const std::string& vendor = teams.front().slots.front().device->vendor;   // all are of one chip
        const Need& need = needs_.of(vendor, ranks, needs_.layers(), length, false, made.stages);
        for (const Team& team : teams) {
            if (made.views.size() == workers) break;
            const auto end = team.slots.begin() + static_cast<std::ptrdiff_t>(each);
            const bool usable = std::all_of(team.slots.begin(), end, [&](const Slot& slot) {
                const bool part_of_several = each > 1 && !slot.device->partition.empty();   // CUDA shows a process one MIG part only
                return !part_of_several && share_bytes(needs_, need.rank_bytes, *slot.device) <= slot.room;
            });
            if (!usable || need.memory_bytes / ranks * each > team.view->memory_room) continue;
            Slots own(team.slots.begin(), end);
            std::sort(own.begin(), own.end(), [](const Slot& a, const Slot& b) { return a.name() < b.name(); });
            made.slots.insert(made.slots.end(), own.begin(), own.end());
            made.views.push_back(team.view);
        }
        return made.views.size() == workers ? std::optional(std::move(made)) : std::nullopt;
    }

    const Asked& asked_;
    Needs& needs_;
    const bool stages_;
};

// Of each chip the teams that have it.
std::vector<std::vector<Team>> teams_by_chip(const std::vector<Team>& teams) {
    using Chip = std::tuple<std::string, std::string, std::string, uint64_t>;
    std::map<Chip, std::vector<Team>> groups;
    for (const Team& team : teams) {
        std::map<Chip, Team> own;
        for (const Slot& slot : team.slots) {
            const Device& d = *slot.device;
            Team& part = own[{d.vendor, d.chip, d.name, (d.memory_total_bytes + (1u << 29)) >> 30}];
            part.view = team.view;
            part.slots.push_back(slot);
            part.room += slot.room;
        }
        for (auto& [chip, part] : own) groups[chip].push_back(std::move(part));
    }
    std::vector<std::vector<Team>> out;
    for (auto& [chip, group] : groups) {
        std::stable_sort(group.begin(), group.end(), [](const Team& a, const Team& b) { return a.room > b.room; });
        out.push_back(std::move(group));
    }
    return out;
}

}  // namespace

uint64_t memory_beside(const Candidate& made, const View& view, Needs& needs, Length length) {
    const Slot& first = made.slots.front();
    if (view.worker == first.worker) {
        if (in_memory(first)) return 0;
        return needs.of(first.device->vendor, static_cast<uint32_t>(made.slots.size()), made.layers_on_devices(), length).memory_bytes;
    }
    const auto own = std::find_if(made.slots.begin(), made.slots.end(), [&](const Slot& s) { return s.worker == view.worker; });
    return in_memory(*own) ? 0 : device_overhead(kMemoryElsewhere).context_bytes + device_overhead(own->device->vendor).host_bytes;
}

uint64_t bytes_on(const Candidate& made, size_t slot, uint32_t layers, Needs& needs, Length length) {
    const Slot& on = made.slots[slot];
    const bool leads = slot == 0 && in_memory(on);
    if (!leads) return bytes_of_layers(vendor_of(on), needs, layers, length, false);
    return needs.of(vendor_of(made.slots.back()), 1, needs.layers() - std::min(layers, needs.layers()), length).memory_bytes;
}

bool names_several_workers(const std::vector<const View*>& views, const Asked& asked) {
    std::set<WorkerId> named;
    for (const Chosen& chosen : asked.by_hand) {
        for (const View* view : views) {
            if (!chosen.worker.empty() && chosen.is(*view->worker, chosen.device)) named.insert(view->worker->id);
        }
    }
    return named.size() > 1;
}

Reason cannot_take_part(const Worker& worker, const Asked& asked) {
    if (!asked.deployment.placement.across_workers) return "the deployment keeps an instance on one worker (across_workers is off)";
    if (!asked.backend.spanning()) return fmt::format("{} runs an instance on one worker alone", gantry::to_string(asked.deployment.backend));
    if (worker.data_address.empty()) {
        return "it knows no address at which other workers reach it, behind a NAT or a tunnel for one: start its gantry with "
               "--data-address to let it take part in instances of several workers";
    }
    return std::nullopt;
}

std::vector<Candidate> candidates_of_several(const std::vector<const View*>& views, const Asked& asked, Needs& needs) {
    std::vector<Candidate> out;
    std::vector<const View*> able;
    for (const View* view : views) {
        if (!cannot_take_part(*view->worker, asked)) able.push_back(view);
    }
    const bool exactly_these = names_several_workers(able, asked);
    if (able.size() < 2 || !needs.known()) return out;
    const bool by_layers = asked.backend.spanning()->split == backends::Spanning::Split::kLayers;
    std::vector<Team> teams = teams_of(able, by_layers);
    if (teams.size() < 2) return out;
    if (by_layers) {
        if (needs.layers() < 2) return out;
        lead_by_hand(teams, asked);
        if (auto found = ByLayers(std::move(teams), asked, needs).best(exactly_these)) out.push_back(*std::move(found));
        return out;
    }
    for (std::vector<Team>& group : teams_by_chip(teams)) {
        lead_by_hand(group, asked);
        if (auto found = Alike(asked, needs).best(group, exactly_these)) out.push_back(*std::move(found));
    }
    return out;
}

}  // namespace gantry::placement
