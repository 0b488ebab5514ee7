#pragma once
// The model's memory as the engine sees it: slots, the cells they hold, and what ended sequences left behind for others to go on from.
//
//   open  -> pinned by a sequence: advance() as rows are computed, extend() as tokens are drawn, cut() what was guessed wrongly
//   close -> parked: its cells stay for who has the same beginning, until make_room() or the budget needs them, the least recently
//            used first and from the end, so that beginnings in common stay longest
//
// Keeps the runner, the ledger (how many cells) and the prefix cache (which tokens) in step; nobody else touches the three.
// Where a memory cannot be cut at any point (PrefixSharing::kWhole) whole states are taken over, or nothing.
// Threads: the engine's.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/kv_ledger.h"
#include "engine/prefix_cache.h"

namespace gantry::engine {

inline constexpr uint32_t kShareMin = 4;   // tokens: below it a scan of all cells costs more than computing them again

class KvSpace {
public:
    // Of cells that no sequence runs in at most `parked_max` are kept.
    KvSpace(ModelRunner& runner, uint32_t parked_max);
    ~KvSpace();                               // leaves the runner's slots empty
    KvSpace(const KvSpace&) = delete;
    KvSpace& operator=(const KvSpace&) = delete;

    // Slots with a beginning in common, running or parked, the longest first.
    std::vector<PrefixMatch> matches(const std::string& salt, std::span<const TokenId> tokens) const;
    // How many of the match's tokens, `limit` at most, another slot can take over now.
    uint32_t usable(const PrefixMatch& match, uint32_t limit) const;

    // REQUIRES: fewer than slots() are pinned. Pins a slot for these tokens and returns it with the cells that it begins with: those of
    // `prefix` (length 0: none), where the runner can share them.
    struct Opened {
        Slot slot = -1;
        uint32_t length = 0;
    };
    Opened open(const std::string& salt, std::span<const TokenId> tokens, const PrefixMatch& prefix);
    // Into a pinned slot without cells. False: this memory can't, now or ever.
    bool share(Slot from, Slot to, uint32_t length);
    void advance(Slot slot, uint32_t cells) { ledger_.append(slot, cells); }
    void extend(Slot slot, TokenId token) { cache_.append(slot, token); }
    void cut(Slot slot, uint32_t length);
    // `keep`: its cells are what its tokens say.
    void close(Slot slot, bool keep);

    // Frees parked cells until so many are unused. REQUIRES: cells <= free_cells().
    void make_room(uint32_t cells);
    bool drop_parked();                       // true: there were some

    uint32_t slots() const { return capacity_.slots; }
    uint32_t length(Slot slot) const { return ledger_.length(slot); }
    uint32_t free_cells() const { return capacity_.context_tokens - ledger_.cells_pinned(); }    // unused or parked
    uint32_t cells_used() const { return ledger_.cells_used(); }
    uint32_t cells_parked() const { return ledger_.cells_used() - ledger_.cells_pinned(); }
    uint32_t pinned_cells(const PrefixMatch& prefix) const { return prefix.length ? ledger_.pinned_cells(prefix.slot, prefix.length) : 0; }
    bool can_share() const { return sharing_ != PrefixSharing::kNone; }
    bool can_cut() const { return capacity_.sharing == PrefixSharing::kAny; }
    uint64_t cells_evicted_total() const { return cells_evicted_total_; }

    // `running`: the tokens of the sequence in each slot, null where none runs. A text says what does not hold.
    std::optional<std::string> check_integrity(const std::vector<const std::vector<TokenId>*>& running) const;

private:
    friend struct EngineCorePeer;             // the simulation plants bugs through it

    bool parked(Slot slot) const { return cache_.holds(slot) && !ledger_.pinned(slot); }
    std::optional<Slot> least_recent(Slot except) const;
    std::optional<Slot> free_slot() const;
    Slot take_slot(Slot except);
    void evict(Slot slot, uint32_t keep);
    bool is_covered(Slot slot);

    ModelRunner& runner_;
    const RunnerCapacity capacity_;
    const uint32_t parked_max_;
    PrefixSharing sharing_;                   // kNone once the runner has said no
    KvLedger ledger_;
    PrefixCache cache_;
    std::vector<std::string> salts_;          // by slot
    std::vector<uint64_t> last_used_;         // by slot, in calls of touch()
    uint64_t uses_ = 0;
    uint64_t cells_evicted_total_ = 0;
};

}  // namespace gantry::engine
