// EngineCore::check_integrity(): the invariants of the engine's state between two steps, each with the words that name it.
#include <fmt/format.h>

#include <algorithm>

#include "engine/engine_core.h"

namespace gantry::engine {

std::optional<std::string> EngineCore::check_integrity() const {
    std::vector<const std::vector<TokenId>*> tokens(by_slot_.size(), nullptr);
    for (size_t slot = 0; slot < by_slot_.size(); ++slot) {
        tokens[slot] = by_slot_[slot] ? &by_slot_[slot]->tokens : nullptr;
    }
    if (auto broken = kv_.check_integrity(tokens)) {
        return broken;
    }
    size_t running = 0;
    for (size_t slot = 0; slot < by_slot_.size(); ++slot) {
        const Sequence* sequence = by_slot_[slot];
        if (!sequence) {
            continue;
        }
        ++running;
        if (sequence->slot != static_cast<Slot>(slot)) {
            return fmt::format("slots: sequence {} is in slot {} but says {}", sequence->id, slot, sequence->slot);
        }
        if (sequence->computed != kv_.length(sequence->slot)) {
            return fmt::format("cells: sequence {} computed {} tokens but its slot holds {}", sequence->id, sequence->computed,
                               kv_.length(sequence->slot));
        }
        if (sequence->following && sequence->computed > 0) {
            return fmt::format("prefixes: sequence {} waits for tokens that it has", sequence->id);
        }
        if (sequence->computed >= sequence->length()) {
            return fmt::format("tokens: sequence {} has computed all {} tokens and none is left to go on from", sequence->id,
                               sequence->length());
        }
        if (sequence->length() >= capacity_.context_tokens) {
            return fmt::format("tokens: sequence {} fills the context and has not ended", sequence->id);
        }
    }
    for (size_t i = 0; i < waiting_.size(); ++i) {
        if (waiting_[i]->slot != -1 || waiting_[i]->computed != 0) {
            return fmt::format("slots: sequence {} waits but is in slot {}", waiting_[i]->id, waiting_[i]->slot);
        }
        if (i > 0 && std::pair(waiting_[i - 1]->request.priority, waiting_[i - 1]->id) >= std::pair(waiting_[i]->request.priority, waiting_[i]->id)) {
            return fmt::format("order: sequence {} waits behind {}", waiting_[i]->id, waiting_[i - 1]->id);
        }
    }
    if (running + waiting_.size() != open_.size()) {
        return fmt::format("lost: {} open, {} running, {} waiting", open_.size(), running, waiting_.size());
    }
    // Nobody overtakes the oldest for long: it is admitted first, never preempted while others run, and every plan of its kind of
    // row comes to it. A bound on decoding rows beyond a batch's size, and on ageing of the longest prompt.
    if (!open_.empty()) {
        const Sequence& oldest = *open_.begin()->second;
        const uint64_t patience = 64 + capacity_.slots + capacity_.context_tokens;
        if (oldest.slot >= 0 && step_ - oldest.last_row_step > patience) {
            return fmt::format("waiting: sequence {}, the oldest, got no row for {} steps", oldest.id, step_ - oldest.last_row_step);
        }
    }
    return std::nullopt;
}

}  // namespace gantry::engine
