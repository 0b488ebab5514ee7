#include "engine/fake_runner.h"

#include <algorithm>

#include "base/assert.h"
#include "engine/sampler.h"

namespace gantry::engine {
namespace {

uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdull;
    x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53ull;
    return x ^ (x >> 33);
}

}  // namespace

FakeRunner::FakeRunner(FakeRunnerOptions options)
    : options_(std::move(options)), cells_(options_.capacity.context_tokens), slots_(options_.capacity.slots) {}

uint64_t FakeRunner::advance(uint64_t state, TokenId token, int32_t position) {
    return mix(state * 31 + mix(static_cast<uint64_t>(token) << 32 | static_cast<uint32_t>(position)));
}

std::vector<float> FakeRunner::logits_of(uint64_t state, uint32_t vocabulary) {
    std::vector<float> logits(vocabulary);
    for (uint32_t token = 0; token < vocabulary; ++token) {
        logits[token] = static_cast<float>(mix(state + token) >> 40) * 0x1.0p-24f * 8.0f - 4.0f;
    }
    return logits;
}

std::vector<float> FakeRunner::logits_after(std::span<const TokenId> history, uint32_t vocabulary) {
    uint64_t state = 0;
    for (size_t i = 0; i < history.size(); ++i) {
        state = advance(state, history[i], static_cast<int32_t>(i));
    }
    return logits_of(state, vocabulary);
}

FakeRunner::Expected FakeRunner::expected(const SequenceRequest& request, const FakeRunnerOptions& options) {
    Expected expected;
    Sampler sampler;
    const SamplingParams& params = request.sampling;
    std::vector<TokenId> tokens = request.prompt;
    TokenCounts counts;
    for (TokenId token : tokens) {
        counts.try_emplace(token, 0);
    }
    const auto among = [](const std::vector<TokenId>& all, TokenId one) { return std::find(all.begin(), all.end(), one) != all.end(); };
    for (;;) {
        const std::vector<float> logits = logits_after(tokens, options.capacity.vocabulary);
        const auto drawn = sampler.sample(SampleInput{.logits = logits,
                                                      .params = params,
                                                      .counts = counts,
                                                      .index = static_cast<uint32_t>(expected.tokens.size()),
                                                      .end_tokens = options.end_tokens});
        GANTRY_ASSERT(drawn.ok(), "the reference always has a token");
        if ((among(options.end_tokens, drawn->token) && !params.ignore_eos) || among(params.stop_token_ids, drawn->token)) {
            expected.finish = FinishReason::kStop;
            return expected;
        }
        tokens.push_back(drawn->token);
        counts[drawn->token] += 1;
        expected.tokens.push_back(drawn->token);
        if (expected.tokens.size() == request.max_tokens || tokens.size() >= options.capacity.context_tokens) {
            return expected;
        }
    }
}

bool FakeRunner::is_end_of_generation(TokenId token) const {
    return std::find(options_.end_tokens.begin(), options_.end_tokens.end(), token) != options_.end_tokens.end();
}

void FakeRunner::check_contract(const Batch& batch) const {
    GANTRY_ASSERT(!batch.empty() && batch.size() <= options_.capacity.batch_rows, "a batch of 1 to batch_rows rows");
    std::vector<size_t> next(slots_.size());
    std::vector<bool> seen(slots_.size(), false);
    Slot previous = -1;
    for (size_t slot = 0; slot < slots_.size(); ++slot) {
        next[slot] = slots_[slot].size();
    }
    for (const BatchRow& row : batch) {
        GANTRY_ASSERT(row.slot >= 0 && static_cast<size_t>(row.slot) < slots_.size(), "a slot in range");
        GANTRY_ASSERT(row.token >= 0 && static_cast<uint32_t>(row.token) < options_.capacity.vocabulary, "a token in range");
        const auto slot = static_cast<size_t>(row.slot);
        GANTRY_ASSERT(row.slot == previous || !seen[slot], "the rows of a slot stand together");
        GANTRY_ASSERT(row.position >= 0 && static_cast<size_t>(row.position) == next[slot], "positions go on from the slot's length");
        seen[slot] = true;
        previous = row.slot;
        ++next[slot];
    }
}

Result<ForwardOutcome> FakeRunner::forward(const Batch& batch) {
    abort_flag_ = false;
    check_contract(batch);
    if (options_.on_forward) {
        if (auto answer = options_.on_forward(batch)) {
            return *answer;
        }
    }
    if (abort_flag_) {
        return ForwardOutcome::kAborted;
    }
    if (cells_used() + batch.size() > cells_.size()) {
        return ForwardOutcome::kNoSpace;
    }
    logits_.assign(batch.size(), {});
    size_t free_cell = 0;
    for (size_t i = 0; i < batch.size(); ++i) {
        const BatchRow& row = batch[i];
        std::vector<uint32_t>& slot = slots_[static_cast<size_t>(row.slot)];
        while (cells_[free_cell].owners > 0) {
            ++free_cell;
        }
        ++rows_computed_;
        const bool lose = options_.bug_loses_a_row && rows_computed_ % 50 == 0;
        const uint64_t before = slot.empty() ? 0 : cells_[slot.back()].state;
        cells_[free_cell] = Cell{lose ? before : advance(before, row.token, row.position), 1};
        slot.push_back(static_cast<uint32_t>(free_cell));
        if (row.wants_logits) {
            logits_[i] = logits_of(cells_[free_cell].state, options_.capacity.vocabulary);
            if (options_.on_logits) {
                options_.on_logits(row.slot, logits_[i]);
            }
        }
    }
    return ForwardOutcome::kDone;
}

std::span<const float> FakeRunner::logits(size_t row) const {
    GANTRY_ASSERT(row < logits_.size() && !logits_[row].empty(), "logits of a row that wanted none");
    return logits_[row];
}

void FakeRunner::drop(uint32_t cell) {
    if (!options_.bug_keeps_cells) {
        cells_[cell].owners -= 1;
    }
}

void FakeRunner::truncate(Slot slot, int32_t from_position) {
    std::vector<uint32_t>& cells = slots_.at(static_cast<size_t>(slot));
    GANTRY_ASSERT(from_position >= 0, "a position to truncate from");
    GANTRY_ASSERT(from_position == 0 || options_.capacity.sharing == PrefixSharing::kAny || static_cast<size_t>(from_position) >= cells.size(),
                  "only a memory of any cuts is cut in the middle");
    while (cells.size() > static_cast<size_t>(from_position)) {
        if (options_.bug_keeps_guesses && from_position > 0) {
            break;
        }
        drop(cells.back());
        cells.pop_back();
    }
}

bool FakeRunner::share_prefix(Slot from, Slot to, int32_t length) {
    const std::vector<uint32_t>& source = slots_.at(static_cast<size_t>(from));
    std::vector<uint32_t>& target = slots_.at(static_cast<size_t>(to));
    GANTRY_ASSERT(target.empty() && from != to, "a prefix goes into an empty slot");
    GANTRY_ASSERT(length > 0 && static_cast<size_t>(length) <= source.size(), "a prefix is no longer than its source");
    GANTRY_ASSERT(options_.capacity.sharing == PrefixSharing::kAny || static_cast<size_t>(length) == source.size(),
                  "a whole state is shared whole");
    if (!options_.can_share) {
        return false;
    }
    target.assign(source.begin(), source.begin() + length);
    for (uint32_t cell : target) {
        cells_[cell].owners += 1;
    }
    if (options_.bug_shares_wrong_cells && length > 2) {
        std::swap(target[static_cast<size_t>(length) - 1], target[static_cast<size_t>(length) / 2]);
    }
    return true;
}

uint32_t FakeRunner::cells_used() const {
    return static_cast<uint32_t>(std::count_if(cells_.begin(), cells_.end(), [](const Cell& cell) { return cell.owners > 0; }));
}

uint32_t FakeRunner::length(Slot slot) const { return static_cast<uint32_t>(slots_.at(static_cast<size_t>(slot)).size()); }

}  // namespace gantry::engine
