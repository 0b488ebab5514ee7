#include "engine/kv_ledger.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"

namespace gantry::engine {

void KvLedger::append(Slot slot, uint32_t cells) {
    if (cells == 0) {
        return;
    }
    Holding& holding = at(slot);
    if (!holding.segments.empty() && segments_[holding.segments.back()].holders == 1) {
        segments_[holding.segments.back()].cells += cells;
    } else {
        holding.segments.push_back(new_segment(cells));
    }
    holding.length += cells;
    cells_used_ += cells;
}

void KvLedger::share(Slot from, Slot to, uint32_t length) {
    GANTRY_ASSERT(at(to).segments.empty() && from != to, "only an empty slot can take over a prefix");
    GANTRY_ASSERT(length <= at(from).length, "a slot cannot share more than it holds");
    uint32_t taken = 0;
    for (size_t i = 0; taken < length; ++i) {
        const uint32_t segment = at(from).segments[i];
        if (taken + segments_[segment].cells > length) {
            split(segment, length - taken);
        }
        segments_[segment].holders += 1;
        at(to).segments.push_back(segment);
        taken += segments_[segment].cells;
    }
    at(to).length = length;
}

void KvLedger::release(Slot slot) {
    for (uint32_t segment : at(slot).segments) {
        if (--segments_[segment].holders == 0) {
            cells_used_ -= segments_[segment].cells;
            free_segments_.push_back(segment);
        }
    }
    at(slot) = Holding{};
}

uint32_t KvLedger::exclusive_cells(Slot slot) const {
    uint32_t cells = 0;
    for (uint32_t segment : at(slot).segments) {
        cells += segments_[segment].holders == 1 ? segments_[segment].cells : 0;
    }
    return cells;
}

uint32_t KvLedger::new_segment(uint32_t cells) {
    if (free_segments_.empty()) {
        segments_.push_back(Segment{cells, 1});
        return static_cast<uint32_t>(segments_.size() - 1);
    }
    const uint32_t segment = free_segments_.back();
    free_segments_.pop_back();
    segments_[segment] = Segment{cells, 1};
    return segment;
}

// All holders of the segment get its tail as a segment of its own.
void KvLedger::split(uint32_t segment, uint32_t cells) {
    const uint32_t tail = new_segment(segments_[segment].cells - cells);
    segments_[tail].holders = segments_[segment].holders;
    segments_[segment].cells = cells;
    for (Holding& holding : slots_) {
        const auto place = std::find(holding.segments.begin(), holding.segments.end(), segment);
        if (place != holding.segments.end()) {
            holding.segments.insert(place + 1, tail);
        }
    }
}

std::optional<std::string> KvLedger::check_integrity() const {
    std::vector<uint32_t> holders(segments_.size(), 0);
    for (size_t slot = 0; slot < slots_.size(); ++slot) {
        uint32_t length = 0;
        for (uint32_t segment : slots_[slot].segments) {
            holders[segment] += 1;
            length += segments_[segment].cells;
        }
        if (length != slots_[slot].length) {
            return fmt::format("slot {} holds {} cells but says {}", slot, length, slots_[slot].length);
        }
    }
    uint32_t used = 0;
    for (size_t segment = 0; segment < segments_.size(); ++segment) {
        const bool is_free = std::find(free_segments_.begin(), free_segments_.end(), segment) != free_segments_.end();
        if (!is_free && holders[segment] != segments_[segment].holders) {
            return fmt::format("a segment of {} cells has {} holders but says {}", segments_[segment].cells, holders[segment],
                               segments_[segment].holders);
        }
        used += holders[segment] > 0 ? segments_[segment].cells : 0;
    }
    if (used != cells_used_) {
        return fmt::format("{} cells are held but {} are booked", used, cells_used_);
    }
    return std::nullopt;
}

}  // namespace gantry::engine
