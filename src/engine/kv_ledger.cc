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
        cells_used_ += cells;
        cells_pinned_ += holding.pinned ? cells : 0;
    } else {
        hold(holding, new_segment(cells));
    }
    holding.length += cells;
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
        hold(at(to), segment);
        taken += segments_[segment].cells;
    }
    at(to).length = length;
}

void KvLedger::truncate(Slot slot, uint32_t length) {
    Holding& holding = at(slot);
    GANTRY_ASSERT(length <= holding.length, "a slot is cut to what it holds");
    while (holding.length > length) {
        const uint32_t last = holding.segments.back();
        const uint32_t begin = holding.length - segments_[last].cells;
        if (begin < length) {
            split(last, length - begin);
            continue;
        }
        holding.segments.pop_back();
        holding.length = begin;
        let_go(holding, last);
    }
}

void KvLedger::release(Slot slot) {
    truncate(slot, 0);
    at(slot).pinned = false;
}

void KvLedger::pin(Slot slot, bool pinned) {
    Holding& holding = at(slot);
    if (holding.pinned == pinned) {
        return;
    }
    holding.pinned = pinned;
    for (uint32_t index : holding.segments) {
        Segment& segment = segments_[index];
        if (pinned) {
            cells_pinned_ += ++segment.pins == 1 ? segment.cells : 0;
        } else {
            cells_pinned_ -= --segment.pins == 0 ? segment.cells : 0;
        }
    }
}

void KvLedger::hold(Holding& holding, uint32_t index) {
    Segment& segment = segments_[index];
    cells_used_ += ++segment.holders == 1 ? segment.cells : 0;
    if (holding.pinned) {
        cells_pinned_ += ++segment.pins == 1 ? segment.cells : 0;
    }
    holding.segments.push_back(index);
}

void KvLedger::let_go(Holding& holding, uint32_t index) {
    Segment& segment = segments_[index];
    if (holding.pinned) {
        cells_pinned_ -= --segment.pins == 0 ? segment.cells : 0;
    }
    if (--segment.holders == 0) {
        cells_used_ -= segment.cells;
        free_segments_.push_back(index);
    }
}

uint32_t KvLedger::exclusive_tail(Slot slot) const {
    uint32_t cells = 0;
    const std::vector<uint32_t>& segments = at(slot).segments;
    for (auto segment = segments.rbegin(); segment != segments.rend() && segments_[*segment].holders == 1; ++segment) {
        cells += segments_[*segment].cells;
    }
    return cells;
}

uint32_t KvLedger::pinned_cells(Slot slot, uint32_t length) const {
    uint32_t cells = 0;
    uint32_t begin = 0;
    for (uint32_t segment : at(slot).segments) {
        if (begin >= length) {
            break;
        }
        cells += segments_[segment].pins > 0 ? std::min(segments_[segment].cells, length - begin) : 0;
        begin += segments_[segment].cells;
    }
    return cells;
}

uint32_t KvLedger::new_segment(uint32_t cells) {
    if (free_segments_.empty()) {
        segments_.push_back(Segment{cells, 0, 0});
        return static_cast<uint32_t>(segments_.size() - 1);
    }
    const uint32_t segment = free_segments_.back();
    free_segments_.pop_back();
    segments_[segment] = Segment{cells, 0, 0};
    return segment;
}

// All holders of the segment get its tail as a segment of its own.
void KvLedger::split(uint32_t segment, uint32_t cells) {
    const uint32_t tail = new_segment(segments_[segment].cells - cells);
    segments_[tail].holders = segments_[segment].holders;
    segments_[tail].pins = segments_[segment].pins;
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
    std::vector<uint32_t> pins(segments_.size(), 0);
    for (size_t slot = 0; slot < slots_.size(); ++slot) {
        uint32_t length = 0;
        for (uint32_t segment : slots_[slot].segments) {
            holders[segment] += 1;
            pins[segment] += slots_[slot].pinned ? 1 : 0;
            length += segments_[segment].cells;
        }
        if (length != slots_[slot].length) {
            return fmt::format("slot {} holds {} cells but says {}", slot, length, slots_[slot].length);
        }
    }
    uint32_t used = 0;
    uint32_t pinned = 0;
    for (size_t segment = 0; segment < segments_.size(); ++segment) {
        const bool is_free = std::find(free_segments_.begin(), free_segments_.end(), segment) != free_segments_.end();
        if (!is_free && (holders[segment] != segments_[segment].holders || pins[segment] != segments_[segment].pins)) {
            return fmt::format("a segment of {} cells has {} holders but says {}", segments_[segment].cells, holders[segment],
                               segments_[segment].holders);
        }
        used += holders[segment] > 0 ? segments_[segment].cells : 0;
        pinned += pins[segment] > 0 ? segments_[segment].cells : 0;
    }
    if (used != cells_used_ || pinned != cells_pinned_) {
        return fmt::format("{} cells are held and {} pinned, but {} and {} are booked", used, pinned, cells_used_, cells_pinned_);
    }
    return std::nullopt;
}

}  // namespace gantry::engine
