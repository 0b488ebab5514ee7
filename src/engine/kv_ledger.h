#pragma once
// Who holds which KV cells, in numbers: what the runner does with its cells, kept on our side so that planning never has to ask
// it. A slot holds a list of segments; a segment held by several slots was shared and takes its cells once. A segment's cells
// come free when its last holder lets go. Threads: none, a plain value.

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
    void release(Slot slot);

    uint32_t length(Slot slot) const { return at(slot).length; }
    uint32_t cells_used() const { return cells_used_; }
    // Cells that would come free if this slot let go of everything.
    uint32_t exclusive_cells(Slot slot) const;
    // Counts all again; a text says what does not add up.
    std::optional<std::string> check_integrity() const;

private:
    struct Segment {
        uint32_t cells = 0;
        uint32_t holders = 0;
    };
    struct Holding {
        std::vector<uint32_t> segments;   // indices into segments_, in order of position
        uint32_t length = 0;
    };
    const Holding& at(Slot slot) const { return slots_.at(static_cast<size_t>(slot)); }
    Holding& at(Slot slot) { return slots_.at(static_cast<size_t>(slot)); }
    uint32_t new_segment(uint32_t cells);
    void split(uint32_t segment, uint32_t cells);

    std::vector<Holding> slots_;
    std::vector<Segment> segments_;
    std::vector<uint32_t> free_segments_;
    uint32_t cells_used_ = 0;
};

}  // namespace gantry::engine
