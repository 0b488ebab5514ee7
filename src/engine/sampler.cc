#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace gantry::engine {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kLog2E = 1.44269504f;
constexpr float kTemperatureMin = 1e-6f;    // colder than any two logits that differ; and its inverse is finite
constexpr size_t kTopListMax = 1024;        // a longer top-k is found by thresholds
constexpr uint64_t kGatherMax = 1024;       // candidates that are worth ordering; more: one more pass over the row first
constexpr size_t kDrawListMax = 128;        // a longer list is drawn from in the row, which needs no order

float next_above(float x) { return std::nextafter(x, kInfinity); }

// The order of top-k and top-p.
bool better(const Candidate& a, const Candidate& b) { return a.logit != b.logit ? a.logit > b.logit : a.token < b.token; }

float highest(std::span<const LogitBlock> blocks) {
    float max = -kInfinity;
    for (const LogitBlock& block : blocks) {
        max = std::max(max, block.max);
    }
    return max;
}

uint64_t splitmix64(uint64_t x) {
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

bool is_greedy(const SamplingParams& params) {
    return !(params.temperature > 0.0f) || params.top_k == 1;
}

Error broken_row() {
    return internal_error("the model computed numbers that are not finite: its file may be damaged, or its weights overflow in "
                          "this precision; try another quantization of it");
}

}  // namespace

double uniform_number(uint64_t seed, uint64_t index) {
    // The seed is mixed before the index is added, so that neighbouring seeds don't share numbers at shifted indices.
    const uint64_t bits = splitmix64(splitmix64(seed) + index);
    return static_cast<double>(bits >> 11) * 0x1.0p-53;
}

Result<SampledToken> Sampler::sample(const SampleInput& input) {
    GANTRY_TRY(prepare(input));
    SampledToken sampled;
    if (is_greedy(input.params)) {
        sampled.token = first_at_max();
    } else {
        const Cut cut = find_support(input.params);
        const double uniform = uniform_number(input.params.seed, input.index);
        const bool short_list = listed_ && candidate_count_ <= kDrawListMax;
        sampled.token = short_list ? draw_listed(uniform) : draw(cut, uniform);
    }
    if (input.params.logprobs || input.params.top_logprobs > 0) {
        GANTRY_TRY(add_logprobs(input, sampled));
    }
    return sampled;
}

std::vector<TokenId> Sampler::support(const SampleInput& input) {
    std::vector<TokenId> tokens;
    if (!prepare(input)) {
        return tokens;
    }
    if (is_greedy(input.params)) {
        return {first_at_max()};
    }
    const Cut cut = find_support(input.params);
    for (const LogitBlock& block : row_.blocks()) {
        for (uint32_t i = 0; i < block.size; ++i) {
            if (block.has(i) && cut.keeps(block.token(i), block.values[i])) {
                tokens.push_back(block.token(i));
            }
        }
    }
    std::sort(tokens.begin(), tokens.end());
    return tokens;
}

Status Sampler::prepare(const SampleInput& input) {
    row_.arrange(input);
    if (!kernels_.find_peaks(row_.blocks())) {
        return broken_row();
    }
    const float max = highest(row_.blocks());
    if (max == kInfinity) {
        return broken_row();
    }
    if (max == -kInfinity) {
        return internal_error(input.allowed.empty() ? "no token is left to choose: every one is masked out"
                                                    : "no token is left to choose: what the answer must look like allows none that "
                                                      "this model can produce here");
    }
    scale_ = WeightScale{max, kLog2E / std::max(input.params.temperature, kTemperatureMin)};
    return Ok{};
}

// --- what may be drawn -------------------------------------------------------------------------------------------------

Sampler::Cut Sampler::find_support(const SamplingParams& params) {
    const float temperature = std::max(params.temperature, kTemperatureMin);
    listed_ = false;
    Cut cut;
    if (params.min_p > 0.0f) {
        cut.value = std::nextafter(scale_.peak + temperature * std::log(std::min(params.min_p, 1.0f)), -kInfinity);
    }
    if (params.top_k > 0 && static_cast<size_t>(params.top_k) <= kTopListMax) {
        pick_top(static_cast<size_t>(params.top_k), next_above(cut.value));
        listed_ = true;
        cut = cut_list(Need{candidate_count_, 0}, Weighed{});
    } else if (params.top_k > 0) {
        cut = narrow(Need{static_cast<uint64_t>(params.top_k), 0}, cut, 1.0f);
    }
    if (params.top_p < 1.0f) {
        const double share = std::max(params.top_p, 0.0f);
        if (listed_) {
            double all = 0;
            for (size_t i = 0; i < candidate_count_; ++i) {
                all += weight_of(candidates_[i].logit, scale_);
            }
            cut = cut_list(Need{1, all * share}, Weighed{});
        } else {
            cut = narrow(Need{1, weigh(LogitBand{}, cut).mass * share}, cut, temperature);
        }
    }
    return cut;
}

// The best candidates, at most so many, best first. The highest logits of as many blocks bound the last of them from below, so
// most blocks are passed over; where that leaves too many, the bound rises as they come.
void Sampler::pick_top(size_t most, float from) {
    if (row_.blocks().size() > most) {
        scratch_.clear();
        for (const LogitBlock& block : row_.blocks()) {
            scratch_.push_back(block.max);
        }
        const auto last = scratch_.begin() + static_cast<std::ptrdiff_t>(most) - 1;
        std::nth_element(scratch_.begin(), last, scratch_.end(), std::greater<>());
        from = std::max(from, *last);
    }
    const size_t limit = std::max<size_t>(2 * most, kBlockMax);
    candidates_.resize(std::max(candidates_.size(), limit + kBlockMax));
    const auto begin = candidates_.begin();
    size_t count = 0;
    const auto keep_best = [&] {
        if (count > most) {
            const auto last = begin + static_cast<std::ptrdiff_t>(most) - 1;
            std::nth_element(begin, last, begin + static_cast<std::ptrdiff_t>(count), better);
            from = std::max(from, last->logit);
            count = most;
        }
    };
    for (const LogitBlock& block : row_.blocks()) {
        if (block.max >= from) {
            count += kernels_.gather(block, LogitBand{.from = from}, candidates_.data() + count);
            if (count > limit) {
                keep_best();
            }
        }
    }
    keep_best();
    std::sort(begin, begin + static_cast<std::ptrdiff_t>(count), better);
    candidate_count_ = count;
}

// The shortest beginning of the candidates, in their order, that meets the need on top of `sum`; the rest is dropped. Halving
// instead of sorting: only the half in which the end lies is looked at again. REQUIRES: there are candidates.
Sampler::Cut Sampler::cut_list(const Need& need, Weighed sum) {
    constexpr std::ptrdiff_t kSortMax = 32;
    GANTRY_ASSERT(candidate_count_ > 0, "a cut through no candidates");
    const auto begin = candidates_.begin();
    auto low = begin;
    auto high = begin + static_cast<std::ptrdiff_t>(candidate_count_);
    const auto add = [&](Weighed& to, const Candidate& candidate) {
        to.count += 1;
        to.mass += weight_of(candidate.logit, scale_);
    };
    while (high - low > kSortMax) {
        const auto middle = low + (high - low) / 2;
        std::nth_element(low, middle, high, better);
        Weighed with = sum;
        std::for_each(low, middle, [&](const Candidate& candidate) { add(with, candidate); });
        if (need.met(with)) {
            high = middle;
        } else {
            low = middle;
            sum = with;
        }
    }
    std::sort(low, high, better);
    auto last = low;
    for (add(sum, *last); !need.met(sum) && last + 1 < high; add(sum, *last)) {
        ++last;
    }
    candidate_count_ = static_cast<size_t>(last - begin) + 1;
    const auto ties = std::count_if(begin, last + 1, [&](const Candidate& candidate) { return candidate.logit == last->logit; });
    return Cut{last->logit, last->token, static_cast<uint64_t>(ties)};
}

// The highest cut that keeps enough. Thresholds sink from the maximum, twice as far each time, until enough lies above; then
// the gap between the last two is halved until what lies in it is short enough to order.
Sampler::Cut Sampler::narrow(const Need& need, const Cut& within, float scale) {
    const float bottom = within.ties > 0 ? within.value : next_above(within.value);
    float above = next_above(scale_.peak);
    Weighed sum_above;   // of all that lies at or above it
    float from = above;
    Weighed sum;
    const auto plus = [](const Weighed& a, const Weighed& b) { return Weighed{a.count + b.count, a.mass + b.mass}; };
    for (float width = scale; ; width *= 2) {
        from = std::max(scale_.peak - width, bottom);
        if (!(from < above)) {
            from = bottom;
        }
        sum = plus(sum_above, weigh(LogitBand{from, above}, within));
        if (need.met(sum)) {
            break;
        }
        if (from <= bottom) {
            return within;   // fewer than asked for: all of them
        }
        above = from;
        sum_above = sum;
    }
    while (sum.count - sum_above.count > kGatherMax) {
        const float middle = from / 2 + above / 2;
        if (!(middle > from && middle < above)) {
            return cut_ties(need, sum_above, sum.count - sum_above.count, from);
        }
        const Weighed upper = plus(sum_above, weigh(LogitBand{middle, above}, within));
        if (need.met(upper)) {
            from = middle;
            sum = upper;
        } else {
            above = middle;
            sum_above = upper;
        }
    }
    listed_ = sum.count <= kGatherMax;
    gather(LogitBand{from, listed_ ? kInfinity : above}, within);
    if (candidate_count_ == 0) {   // rounding: what lies above was weighed in other parts, and just missed
        return Cut{.value = std::nextafter(above, -kInfinity)};
    }
    return cut_list(need, listed_ ? Weighed{} : sum_above);
}

// The cut through many logits of one value.
Sampler::Cut Sampler::cut_ties(const Need& need, const Weighed& sum_above, uint64_t tied, float value) {
    const double weight = weight_of(value, scale_);
    uint64_t ties = need.count > sum_above.count ? need.count - sum_above.count : 1;
    if (need.mass > sum_above.mass) {
        const double by_mass = weight > 0 ? std::ceil((need.mass - sum_above.mass) / weight) : static_cast<double>(tied);
        ties = std::max(ties, static_cast<uint64_t>(std::min(by_mass, static_cast<double>(tied))));
    }
    ties = std::min(ties, tied);
    listed_ = false;
    return Cut{value, nth_tie(value, ties - 1), ties};
}

// What `within` keeps of the band.
Weighed Sampler::weigh(const LogitBand& band, const Cut& within) const {
    const LogitBand open{std::max(band.from, next_above(within.value)), band.below};
    Weighed weighed = kernels_.weigh(row_.blocks(), open, scale_, nullptr);
    if (within.ties > 0 && band.from <= within.value && within.value < band.below) {
        weighed.count += within.ties;
        weighed.mass += static_cast<double>(within.ties) * weight_of(within.value, scale_);
    }
    return weighed;
}

// Lists what `within` keeps of the band.
void Sampler::gather(const LogitBand& band, const Cut& within) {
    const LogitBand wide{std::max(band.from, within.ties > 0 ? within.value : next_above(within.value)), band.below};
    candidate_count_ = 0;
    for (const LogitBlock& block : row_.blocks()) {
        if (block.max < wide.from) {
            continue;
        }
        candidates_.resize(std::max<size_t>(candidates_.size(), candidate_count_ + kBlockMax));
        Candidate* const out = candidates_.data() + candidate_count_;
        const uint32_t found = kernels_.gather(block, wide, out);
        const Candidate* const end =
            std::remove_if(out, out + found, [&](const Candidate& candidate) { return !within.keeps(candidate.token, candidate.logit); });
        candidate_count_ += static_cast<size_t>(end - out);
    }
}

// The token of the n-th logit of this value, from 0, by token. REQUIRES: there is one.
TokenId Sampler::nth_tie(float value, uint64_t n) const {
    const LogitBand band{value, next_above(value)};
    Candidate found[kBlockMax];
    std::vector<TokenId> others;   // of the changed ones, which stand in no order
    for (const LogitBlock& block : row_.blocks()) {
        const uint32_t count = block.tokens ? kernels_.gather(block, band, found) : 0;
        std::for_each(found, found + count, [&](const Candidate& candidate) { others.push_back(candidate.token); });
    }
    std::sort(others.begin(), others.end());
    auto other = others.begin();
    for (const LogitBlock& block : row_.blocks()) {
        const uint32_t count = block.tokens || block.max < value ? 0 : kernels_.gather(block, band, found);
        for (uint32_t i = 0; i < count; ++i) {
            for (; other != others.end() && *other < found[i].token; ++other) {
                if (n-- == 0) {
                    return *other;
                }
            }
            if (n-- == 0) {
                return found[i].token;
            }
        }
    }
    GANTRY_ASSERT(static_cast<uint64_t>(others.end() - other) > n, "fewer tokens of a value than were counted");
    return other[static_cast<std::ptrdiff_t>(n)];
}

// --- drawing -----------------------------------------------------------------------------------------------------------

TokenId Sampler::first_at_max() const {
    Candidate found[kBlockMax];
    TokenId first = std::numeric_limits<TokenId>::max();
    for (const LogitBlock& block : row_.blocks()) {
        if (block.max == scale_.peak && (block.tokens || block.first < first)) {
            const uint32_t count = kernels_.gather(block, LogitBand{.from = scale_.peak}, found);
            for (uint32_t i = 0; i < count; ++i) {
                first = std::min(first, found[i].token);
            }
        }
    }
    GANTRY_ASSERT(first != std::numeric_limits<TokenId>::max(), "the maximum must be in the row it was found in");
    return first;
}

// By token, so that a small change of the logits moves few draws.
TokenId Sampler::draw_listed(double uniform) {
    const auto begin = candidates_.begin();
    const auto end = begin + static_cast<std::ptrdiff_t>(candidate_count_);
    std::sort(begin, end, [](const Candidate& a, const Candidate& b) { return a.token < b.token; });
    double left = 0;
    for (auto at = begin; at != end; ++at) {
        left += weight_of(at->logit, scale_);
    }
    left *= uniform;
    TokenId last = -1;
    for (auto at = begin; at != end; ++at) {
        const double weight = weight_of(at->logit, scale_);
        if (weight > 0) {
            last = at->token;
            if (left < weight) {
                break;
            }
        }
        left -= weight;
    }
    return last;
}

// By block, then within the block, then among those at the cut's own value.
TokenId Sampler::draw(const Cut& cut, double uniform) {
    const LogitBand band{.from = next_above(cut.value)};
    const std::span<const LogitBlock> blocks = row_.blocks();
    block_mass_.resize(blocks.size());
    const Weighed inside = kernels_.weigh(blocks, band, scale_, block_mass_.data());
    const double tie = cut.ties > 0 ? weight_of(cut.value, scale_) : 0;
    double left = uniform * (inside.mass + static_cast<double>(cut.ties) * tie);
    for (size_t b = 0; b < blocks.size(); ++b) {
        if (left >= block_mass_[b]) {
            left -= block_mass_[b];
            continue;
        }
        float weights[kBlockMax];
        kernels_.weights(blocks[b], band, scale_, weights);
        uint32_t last = 0;
        for (uint32_t i = 0; i < blocks[b].size; ++i) {
            if (weights[i] > 0) {
                last = i;
                if (left < weights[i]) {
                    break;
                }
                left -= weights[i];
            }
        }
        return blocks[b].token(last);
    }
    if (tie > 0) {
        return nth_tie(cut.value, std::min(cut.ties - 1, static_cast<uint64_t>(left / tie)));
    }
    return first_at_max();   // only rounding at the far end leads here
}

Status Sampler::add_logprobs(const SampleInput& input, SampledToken& sampled) {
    if (!row_.is_raw()) {
        row_.arrange_raw(input.logits);
        if (!kernels_.find_peaks(row_.blocks())) {
            return broken_row();
        }
    }
    const WeightScale scale{highest(row_.blocks()), kLog2E};
    if (!std::isfinite(scale.peak)) {
        return broken_row();
    }
    const double sum = kernels_.weigh(row_.blocks(), LogitBand{}, scale, nullptr).mass;
    const float log_sum = scale.peak + static_cast<float>(std::log(sum));
    // JSON knows no infinity, and a masked row may hold one.
    const auto logprob = [&](float x) { return std::max(x - log_sum, -9999.0f); };
    sampled.logprob = TokenLogprob{sampled.token, logprob(input.logits[static_cast<size_t>(sampled.token)])};
    const size_t wanted = std::min<size_t>(input.params.top_logprobs, input.logits.size());
    if (wanted == 0) {
        return Ok{};
    }
    pick_top(wanted, std::numeric_limits<float>::lowest());
    for (size_t i = 0; i < candidate_count_; ++i) {
        sampled.top_logprobs.push_back(TokenLogprob{candidates_[i].token, logprob(candidates_[i].logit)});
    }
    for (size_t t = 0; sampled.top_logprobs.size() < wanted; ++t) {   // fewer are possible: the first of those that are not
        if (input.logits[t] == -kInfinity) {
            sampled.top_logprobs.push_back(TokenLogprob{static_cast<TokenId>(t), logprob(-kInfinity)});
        }
    }
    return Ok{};
}

}  // namespace gantry::engine
