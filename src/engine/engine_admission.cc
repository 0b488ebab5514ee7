// EngineCore's admission: who gets a slot, whose cells it begins with, and who waits for a beginning that another one computes.
#include <fmt/format.h>

#include <algorithm>

#include "engine/engine_core.h"

namespace gantry::engine {
namespace {

bool comes_before(const Sequence& a, const Sequence& b) {
    return a.request.priority != b.request.priority ? a.request.priority < b.request.priority : a.id < b.id;
}

// Who computes a beginning in common: who is at it already, else the shorter one, which the planner takes first, else the older. A total
// order among those that have computed nothing, so nobody waits in a circle. Nobody waits for a lower class: it may wait long itself.
bool leads(const Sequence& other, const Sequence& sequence) {
    if (other.request.priority != sequence.request.priority) {
        return other.request.priority < sequence.request.priority;
    }
    if (other.computed > 0) {
        return true;
    }
    return other.length() != sequence.length() ? other.length() < sequence.length() : other.id < sequence.id;
}

}  // namespace

void EngineCore::admit() {
    end_expired();
    while (!waiting_.empty() && (admit_one(*waiting_.front()) || give_way(*waiting_.front()))) {
    }
    join_prefixes();
}

// Nobody waits for these any more.
void EngineCore::end_expired() {
    if (with_deadline_ == 0) {
        return;
    }
    const SteadyTime now = clock_.steady();
    std::vector<Sequence*> expired;
    for (const auto& [id, sequence] : open_) {
        if (sequence->request.deadline.passed(now)) {
            expired.push_back(sequence.get());
        }
    }
    for (Sequence* sequence : expired) {
        TokenEvent event;
        event.error = fmt::format("the request's deadline passed after {} tokens of its answer: allow more time, or ask for fewer tokens",
                                  sequence->generated());
        event.error_code = ErrorCode::kDeadlineExceeded;
        end(*sequence, std::move(event), FinishReason::kError);
    }
}

bool EngineCore::admit_one(Sequence& candidate) {
    const uint32_t most = capacity_.running > 0 ? std::min(capacity_.running, capacity_.slots) : capacity_.slots;
    AdmissionState state;
    state.running = running();
    state.free_slots = most - std::min(most, state.running);
    if (state.free_slots == 0) {
        return false;
    }
    const Prefix prefix = find_prefix(candidate);
    state.cells = capacity_.context_tokens;
    state.free_cells = kv_.free_cells();
    state.promised_cells = promised_cells();
    state.needed_cells = candidate.length() - (prefix.soon ? prefix.soon->length : kv_.pinned_cells(prefix.now));
    if (!planner_.admits(state)) {
        return false;
    }
    waiting_.pop_front();
    place(candidate, prefix);
    return true;
}

// A place for who is more urgent than somebody who runs: the youngest of the lowest class waits instead, its cells parked.
bool EngineCore::give_way(const Sequence& candidate) {
    Sequence* victim = nullptr;
    for (Sequence* sequence : by_slot_) {
        if (sequence && (!victim || comes_before(*victim, *sequence))) {
            victim = sequence;
        }
    }
    if (!victim || victim->request.priority <= candidate.request.priority) {
        return false;
    }
    preempt(*victim);
    return true;
}

void EngineCore::place(Sequence& sequence, const Prefix& prefix) {
    if (sequence.admitted_step == 0) {
        --never_admitted_;
    }
    sequence.admitted_step = step_;
    sequence.last_row_step = step_;
    sequence.following = prefix.soon;
    const KvSpace::Opened opened = kv_.open(sequence.request.cache_salt, sequence.tokens, prefix.soon ? PrefixMatch{} : prefix.now);
    sequence.slot = opened.slot;
    by_slot_[static_cast<size_t>(opened.slot)] = &sequence;
    if (opened.length > 0) {
        take_prefix(sequence, opened.length);
    }
}

void EngineCore::take_prefix(Sequence& sequence, uint32_t length) {
    sequence.computed = length;
    sequence.last_row_step = step_;
    if (sequence.first_row_at == SteadyTime{}) {
        sequence.first_row_at = clock_.steady();
    }
}

// What running prefills will still take.
uint32_t EngineCore::promised_cells() const {
    uint32_t cells = 0;
    for (const Sequence* sequence : by_slot_) {
        if (sequence) {
            cells += sequence->remaining() - (sequence->following ? sequence->following->length : 0);
        }
    }
    return cells;
}

// All but the last token can be shared: its row gives the logits. Who waits for an equal prompt shares that row, too.
EngineCore::Prefix EngineCore::find_prefix(const Sequence& sequence) const {
    Prefix prefix;
    const uint32_t limit = sequence.length() - 1;
    if (limit == 0) {
        return prefix;
    }
    const std::vector<PrefixMatch> matches = kv_.matches(sequence.request.cache_salt, sequence.tokens);
    for (const PrefixMatch& match : matches) {
        const uint32_t usable = match.slot == sequence.slot ? 0 : kv_.usable(match, limit);
        if (usable > prefix.now.length) {
            prefix.now = PrefixMatch{match.slot, usable};
        }
    }
    for (const PrefixMatch& match : matches) {
        const Sequence* other = at(match.slot);
        if (!other || other == &sequence || !leads(*other, sequence)) {
            continue;
        }
        const bool whole = match.length == sequence.length() && other->prompt_tokens == sequence.length() && other->generated() == 0;
        const uint32_t length = std::min(match.length, limit);
        const bool to_come = whole ? other->remaining() > 0 : kv_.can_cut() && kv_.length(match.slot) < length;
        const bool worth_it = length >= prefix.now.length + (whole ? 0 : kShareMin) && (!prefix.soon || length > prefix.soon->length);
        if (to_come && worth_it) {
            prefix.soon = Following{.leader = other->id, .slot = match.slot, .length = length, .whole = whole};
        }
    }
    return prefix;
}

void EngineCore::join_prefixes() {
    for (Sequence* sequence : by_slot_) {
        if (sequence && sequence->computed == 0) {
            join_prefix(*sequence);
        }
    }
}

// Found anew when the leader is gone or has arrived, so when it is cancelled or preempted another one simply leads.
void EngineCore::join_prefix(Sequence& sequence) {
    if (sequence.following) {
        const Sequence* leader = at(sequence.following->slot);
        // A leader that was put back and is here again may have nothing any more, and wait itself.
        const bool there = leader && leader->id == sequence.following->leader && leads(*leader, sequence);
        if (there && (sequence.following->whole ? leader->generated() == 0 : leader->computed < sequence.following->length)) {
            return;
        }
    }
    const Prefix prefix = find_prefix(sequence);
    sequence.following = prefix.soon;
    if (!prefix.soon && prefix.now.length > 0 && kv_.share(prefix.now.slot, sequence.slot, prefix.now.length)) {
        take_prefix(sequence, prefix.now.length);
    }
}

// Its tokens stay: they are computed again later, and the random numbers go on by (seed, index), so nobody sees it.
void EngineCore::preempt(Sequence& sequence) {
    ++preemptions_total_;
    leave_slot(sequence, true);
    enqueue(sequence);
}

void EngineCore::enqueue(Sequence& sequence) {
    const auto place = std::lower_bound(waiting_.begin(), waiting_.end(), &sequence,
                                        [](const Sequence* a, const Sequence* b) { return comes_before(*a, *b); });
    waiting_.insert(place, &sequence);
}

void EngineCore::leave_slot(Sequence& sequence, bool keep) {
    if (drafter_) {
        drafter_->forget(sequence.slot);
    }
    kv_.close(sequence.slot, keep);
    by_slot_[static_cast<size_t>(sequence.slot)] = nullptr;
    sequence.slot = -1;
    sequence.computed = 0;
    sequence.following.reset();
    sequence.draft.clear();
}

}  // namespace gantry::engine
