#pragma once
// Who holds which KV cells, in numbers: what the runner does with its cells, kept on our side so that planning never has to ask
// it. A slot holds a list of segments; a segment held by several slots was shared and takes its cells once. A segment's cells
// come free when its last holder lets go. Slots are pinned while a sequence runs in them; cells that no pinned slot holds are the
// cache's and can be had. Threads: none, a plain value.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/model_runner.h"

namespace gantry::engine {

class KvLedger {
public:
    explicit KvLedger(uint32_t slots) : slots_(slots) {}

    void append(Slot slot, uint32_t cells);
    // REQUIRES: `to` is empty and `from` holds at least `length`.
    void share(Slot from, Slot to, uint32_t length);
    void truncate(Slot slot, uint32_t length);
    void release(Slot slot);               // unpins it too
    void pin(Slot slot, bool pinned);

    uint32_t length(Slot slot) const { return at(slot).length; }
    bool pinned(Slot slot) const { return at(slot).pinned; }
    uint32_t cells_used() const { return cells_used_; }
    uint32_t cells_pinned() const { return cells_pinned_; }
    // Cells at the slot's end that nobody else holds: what truncating it could free.
    uint32_t exclusive_tail(Slot slot) const;
    // Of its first `length` cells: those that pinned slots hold.
    uint32_t pinned_cells(Slot slot, uint32_t length) const;
    // Counts all again; a text says what does not add up.
    std::optional<std::string> check_integrity() const;

private:
    struct Segment {
        uint32_t cells = 0;
        uint32_t holders = 0;
        uint32_t pins = 0;                // holders that are pinned
    };
    struct Holding {
        std::vector<uint32_t> segments;   // indices into segments_, in order of position
        uint32_t length = 0;
        bool pinned = false;
    };
    const Holding& at(Slot slot) const { return slots_.at(static_cast<size_t>(slot)); }
    Holding& at(Slot slot) { return slots_.at(static_cast<size_t>(slot)); }
    uint32_t new_segment(uint32_t cells);
    void split(uint32_t segment, uint32_t cells);
    void hold(Holding& holding, uint32_t segment);
    void let_go(Holding& holding, uint32_t segment);

    std::vector<Holding> slots_;
    std::vector<Segment> segments_;
    std::vector<uint32_t> free_segments_;
    uint32_t cells_used_ = 0;
    uint32_t cells_pinned_ = 0;
};

}  // namespace gantry::engine
