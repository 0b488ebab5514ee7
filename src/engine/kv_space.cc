#include "engine/kv_space.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"

namespace gantry::engine {
namespace {

constexpr uint32_t kEvictCells = 256;   // cut from a parked end at once, where it has them: a scan of all cells each time

}  // namespace

KvSpace::KvSpace(ModelRunner& runner, uint32_t parked_max)
    : runner_(runner),
      capacity_(runner.capacity()),
      parked_max_(parked_max),
      sharing_(capacity_.sharing),
      ledger_(capacity_.slots),
      salts_(capacity_.slots),
      last_used_(capacity_.slots, 0) {
    GANTRY_ASSERT(capacity_.slots > 0 && capacity_.slots <= kSlotsMax, "a runner has 1 to 256 slots");
}

KvSpace::~KvSpace() {
    for (Slot slot = 0; slot < static_cast<Slot>(capacity_.slots); ++slot) {
        if (cache_.holds(slot)) {
            runner_.truncate(slot, 0);
        }
    }
}

std::vector<PrefixMatch> KvSpace::matches(const std::string& salt, std::span<const TokenId> tokens) const {
    return can_share() ? cache_.match(salt, tokens, std::min(kShareMin, static_cast<uint32_t>(tokens.size()))) : std::vector<PrefixMatch>{};
}

uint32_t KvSpace::usable(const PrefixMatch& match, uint32_t limit) const {
    const uint32_t held = ledger_.length(match.slot);
    const uint32_t most = std::min(match.length, limit);
    switch (sharing_) {
        case PrefixSharing::kAny: return std::min(held, most);
        case PrefixSharing::kWhole: return held <= most ? held : 0;
        case PrefixSharing::kNone: break;
    }
    return 0;
}

KvSpace::Opened KvSpace::open(const std::string& salt, std::span<const TokenId> tokens, const PrefixMatch& prefix) {
    Opened opened;
    const Slot source = prefix.length > 0 ? prefix.slot : -1;
    const bool is_parked = source >= 0 && parked(source);
    const bool ends_there = is_parked && ledger_.length(source) == prefix.length;
    const bool last_resort = is_parked && !free_slot() && !least_recent(source);   // it is the only slot to be had
    if ((ends_there && sharing_ == PrefixSharing::kAny) || last_resort) {
        // Goes on where the other one ended: nothing to copy, and no further slot.
        opened = Opened{source, prefix.length};
        if (!ends_there) {
            evict(source, prefix.length);
        }
        for (TokenId token : tokens.subspan(prefix.length)) {
            cache_.append(source, token);
        }
    } else {
        opened.slot = take_slot(source);
        cache_.insert(opened.slot, salt, tokens);
        salts_[static_cast<size_t>(opened.slot)] = salt;
        opened.length = source >= 0 && share(source, opened.slot, prefix.length) ? prefix.length : 0;
    }
    ledger_.pin(opened.slot, true);
    return opened;
}

bool KvSpace::share(Slot from, Slot to, uint32_t length) {
    last_used_[static_cast<size_t>(from)] = ++uses_;
    if (!can_share() || !runner_.share_prefix(from, to, static_cast<int32_t>(length))) {
        sharing_ = PrefixSharing::kNone;   // a memory that says no would go on to say it
        return false;
    }
    ledger_.share(from, to, length);
    return true;
}

void KvSpace::cut(Slot slot, uint32_t length) {
    runner_.truncate(slot, static_cast<int32_t>(length));
    ledger_.truncate(slot, length);
}

void KvSpace::close(Slot slot, bool keep) {
    const uint32_t length = ledger_.length(slot);
    cache_.truncate(slot, std::min(length, cache_.length(slot)));
    if (!keep || !can_share() || length < kShareMin || is_covered(slot)) {
        evict(slot, 0);
    } else {
        last_used_[static_cast<size_t>(slot)] = ++uses_;
        ledger_.pin(slot, false);
    }
    if (cells_parked() > parked_max_) {   // what it shared with parked slots only is theirs now
        make_room(capacity_.context_tokens - ledger_.cells_used() + cells_parked() - parked_max_);
    }
}

// Whether another slot holds all that this one holds: then it is not worth its place.
bool KvSpace::is_covered(Slot slot) {
    const uint32_t length = ledger_.length(slot);
    for (const PrefixMatch& match : cache_.match(salts_[static_cast<size_t>(slot)], cache_.path(slot), length)) {
        if (match.slot != slot && usable(match, length) == length) {
            last_used_[static_cast<size_t>(match.slot)] = ++uses_;
            return true;
        }
    }
    return false;
}

void KvSpace::make_room(uint32_t cells) {
    while (capacity_.context_tokens - ledger_.cells_used() < cells) {
        const std::optional<Slot> oldest = least_recent(-1);
        GANTRY_ASSERT(oldest.has_value(), "cells that no sequence holds belong to parked slots");
        const uint32_t length = ledger_.length(*oldest);
        const uint32_t missing = cells - (capacity_.context_tokens - ledger_.cells_used());
        const uint32_t wanted = std::min(ledger_.exclusive_tail(*oldest), (missing + kEvictCells - 1) / kEvictCells * kEvictCells);
        const bool in_part = can_cut() && wanted > 0 && length - wanted >= kShareMin;
        evict(*oldest, in_part ? length - wanted : 0);
    }
}

bool KvSpace::drop_parked() {
    bool any = false;
    while (const std::optional<Slot> oldest = least_recent(-1)) {
        evict(*oldest, 0);
        any = true;
    }
    return any;
}

std::optional<Slot> KvSpace::least_recent(Slot except) const {
    std::optional<Slot> oldest;
    for (Slot slot = 0; slot < static_cast<Slot>(capacity_.slots); ++slot) {
        if (slot != except && parked(slot) &&
            (!oldest || last_used_[static_cast<size_t>(slot)] < last_used_[static_cast<size_t>(*oldest)])) {
            oldest = slot;
        }
    }
    return oldest;
}

std::optional<Slot> KvSpace::free_slot() const {
    for (Slot slot = 0; slot < static_cast<Slot>(capacity_.slots); ++slot) {
        if (!cache_.holds(slot)) {
            return slot;
        }
    }
    return std::nullopt;
}

Slot KvSpace::take_slot(Slot except) {
    if (const std::optional<Slot> slot = free_slot()) {
        return *slot;
    }
    const std::optional<Slot> oldest = least_recent(except);
    GANTRY_ASSERT(oldest.has_value(), "more sequences than slots");
    evict(*oldest, 0);
    return *oldest;
}

void KvSpace::evict(Slot slot, uint32_t keep) {
    const uint32_t before = ledger_.cells_used();
    const bool was_pinned = ledger_.pinned(slot);
    cut(slot, keep);
    if (keep == 0) {
        ledger_.release(slot);
        cache_.remove(slot);
    } else {
        cache_.truncate(slot, keep);
    }
    cells_evicted_total_ += was_pinned ? 0 : before - ledger_.cells_used();
}

std::optional<std::string> KvSpace::check_integrity(const std::vector<const std::vector<TokenId>*>& running) const {
    if (auto broken = ledger_.check_integrity()) {
        return "cells: " + *broken;
    }
    if (auto broken = cache_.check_integrity()) {
        return "prefixes: " + *broken;
    }
    if (ledger_.cells_used() > capacity_.context_tokens) {
        return fmt::format("cells: {} of {} in use", ledger_.cells_used(), capacity_.context_tokens);
    }
    if (cells_parked() > parked_max_) {
        return fmt::format("cells: {} are parked, and {} may be", cells_parked(), parked_max_);
    }
    for (Slot slot = 0; slot < static_cast<Slot>(capacity_.slots); ++slot) {
        const std::vector<TokenId>* tokens = running[static_cast<size_t>(slot)];
        if (ledger_.pinned(slot) != (tokens != nullptr)) {
            return fmt::format("slots: slot {} is {}, but {} runs in it", slot, tokens ? "not pinned" : "pinned", tokens ? "one" : "none");
        }
        if (!cache_.holds(slot) && ledger_.length(slot) != 0) {
            return fmt::format("cells: the free slot {} still holds {}", slot, ledger_.length(slot));
        }
        if (tokens && cache_.path(slot) != *tokens) {
            return fmt::format("prefixes: slot {} has another path than its sequence", slot);
        }
        if (parked(slot) && cache_.length(slot) != ledger_.length(slot)) {
            return fmt::format("prefixes: slot {} is parked with {} tokens and {} cells", slot, cache_.length(slot), ledger_.length(slot));
        }
    }
    return std::nullopt;
}

}  // namespace gantry::engine
