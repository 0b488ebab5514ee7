#include "engine/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

namespace gantry::engine {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr uint32_t kLanes = 16;       // independent sums, so that the compiler may use vector registers without reordering floats
constexpr uint32_t kRunMax = 1024;    // also the length after which a float sum goes into a double
constexpr uint64_t kGatherMax = 1024; // candidates that are worth sorting; more: one more pass over the row first

// e^x for x <= 0, 0 below -87. Cephes' expf: 2^n times a polynomial, within 2 ulp, free of branches and calls.
inline float exp_below_zero(float x) {
    const float clamped = x < -87.0f ? -87.0f : x;
    constexpr float kRoundToInt = 12582912.0f;   // 1.5 * 2^23: adding it leaves no fraction
    const float n = (clamped * 1.44269504088896341f + kRoundToInt) - kRoundToInt;
    const float r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    const float power = std::bit_cast<float>((static_cast<int32_t>(n) + 127) << 23);
    return x < -87.0f ? 0.0f : p * power;
}

struct Peak {
    float max = -kInfinity;
    bool all_finite = true;
};

Peak find_peak(const float* values, size_t size) {
    float best[kLanes];
    float zero[kLanes];   // x * 0 is 0 for all that is finite, else NaN
    std::fill_n(best, kLanes, -kInfinity);
    std::fill_n(zero, kLanes, 0.0f);
    size_t i = 0;
    for (; i + kLanes <= size; i += kLanes) {
        for (uint32_t lane = 0; lane < kLanes; ++lane) {
            const float x = values[i + lane];
            best[lane] = x > best[lane] ? x : best[lane];
            zero[lane] += x * 0.0f;
        }
    }
    Peak peak;
    float sum = 0;
    for (; i < size; ++i) {
        peak.max = std::max(peak.max, values[i]);
        sum += values[i] * 0.0f;
    }
    for (uint32_t lane = 0; lane < kLanes; ++lane) {
        peak.max = std::max(peak.max, best[lane]);
        sum += zero[lane];
    }
    peak.all_finite = sum == 0.0f;
    return peak;
}

// Sum of e^((x - max) * inverse_temperature) over the values for which keep(index, x) holds.
template <class Keep>
double mass_of(const float* values, uint32_t size, float max, float inverse_temperature, Keep keep) {
    float sums[kLanes];
    std::fill_n(sums, kLanes, 0.0f);
    uint32_t i = 0;
    for (; i + kLanes <= size; i += kLanes) {
        for (uint32_t lane = 0; lane < kLanes; ++lane) {
            const float x = values[i + lane];
            const float weight = exp_below_zero((x - max) * inverse_temperature);
            sums[lane] += keep(static_cast<TokenId>(i + lane), x) ? weight : 0.0f;
        }
    }
    double total = 0;
    for (; i < size; ++i) {
        const float weight = exp_below_zero((values[i] - max) * inverse_temperature);
        total += keep(static_cast<TokenId>(i), values[i]) ? weight : 0.0f;
    }
    for (float sum : sums) {
        total += sum;
    }
    return total;
}

template <class Keep>
uint32_t count_of(const float* values, uint32_t size, Keep keep) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < size; ++i) {
        count += keep(static_cast<TokenId>(i), values[i]) ? 1u : 0u;
    }
    return count;
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

}  // namespace

double uniform_number(uint64_t seed, uint64_t index) {
    // The seed is mixed before the index is added, so that neighbouring seeds don't share numbers at shifted indices.
    const uint64_t bits = splitmix64(splitmix64(seed) + index);
    return static_cast<double>(bits >> 11) * 0x1.0p-53;
}

bool needs_counts(const SamplingParams& params) {
    return params.presence_penalty != 0.0f || params.frequency_penalty != 0.0f || params.repetition_penalty != 1.0f;
}

Result<SampledToken> Sampler::sample(const SampleInput& input) {
    GANTRY_TRY(prepare(input));
    SampledToken sampled;
    if (is_greedy(input.params)) {
        sampled.token = first_at_max();
    } else {
        const Cut cut = find_support(input.params);
        sampled.token = draw(cut, uniform_number(input.params.seed, input.index));
    }
    if (input.params.logprobs || input.params.top_logprobs > 0) {
        add_logprobs(input, sampled);
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
    for (const Run& run : runs_) {
        for (uint32_t i = 0; i < run.size; ++i) {
            const TokenId token = run.first + static_cast<TokenId>(i);
            if (cut.keeps(token, run.values[i])) {
                tokens.push_back(token);
            }
        }
    }
    return tokens;
}

Status Sampler::prepare(const SampleInput& input) {
    const Peak raw = find_peak(input.logits.data(), input.logits.size());
    if (!raw.all_finite) {
        const bool broken = std::any_of(input.logits.begin(), input.logits.end(),
                                        [](float x) { return std::isnan(x) || x == kInfinity; });
        if (broken) {
            return internal_error("the model computed numbers that are not finite: its file may be damaged, or its weights "
                                  "overflow in this precision; try another quantization of it");
        }
    }
    raw_max_ = raw.max;
    collect_changes(input);
    make_runs(input.logits);
    max_ = raw.max;
    if (!changes_.empty()) {
        max_ = -kInfinity;
        for (const Run& run : runs_) {
            max_ = std::max(max_, find_peak(run.values, run.size).max);
        }
    }
    if (!std::isfinite(max_)) {
        return internal_error("no token is left to choose: every one is masked out");
    }
    inverse_temperature_ = input.params.temperature > 0.0f ? 1.0f / input.params.temperature : 1.0f;
    return Ok{};
}

void Sampler::collect_changes(const SampleInput& input) {
    const SamplingParams& params = input.params;
    changes_.clear();
    const auto in_range = [&](TokenId token) { return token >= 0 && static_cast<size_t>(token) < input.logits.size(); };
    const bool mask_end = params.ignore_eos || input.index < params.min_tokens;
    if (params.logit_bias.empty() && !mask_end && !needs_counts(params)) {
        return;
    }
    std::map<TokenId, float> changed;
    const auto logit = [&](TokenId token) -> float& {
        return changed.try_emplace(token, input.logits[static_cast<size_t>(token)]).first->second;
    };
    for (const auto& [token, bias] : params.logit_bias) {
        if (in_range(token)) {
            logit(token) += bias;
        }
    }
    if (needs_counts(params)) {
        for (const auto& [token, generated] : input.counts) {
            if (!in_range(token)) {
                continue;
            }
            float& value = logit(token);
            value = value > 0 ? value / params.repetition_penalty : value * params.repetition_penalty;
            if (generated > 0) {
                value -= params.frequency_penalty * static_cast<float>(generated) + params.presence_penalty;
            }
        }
    }
    if (mask_end) {
        for (TokenId token : input.end_tokens) {
            if (in_range(token)) {
                logit(token) = -kInfinity;
            }
        }
    }
    if (input.index < params.min_tokens) {
        for (TokenId token : params.stop_token_ids) {
            if (in_range(token)) {
                logit(token) = -kInfinity;
            }
        }
    }
    changes_.assign(changed.begin(), changed.end());
}

void Sampler::make_runs(std::span<const float> logits) {
    runs_.clear();
    const auto add = [&](uint32_t from, uint32_t to) {
        for (uint32_t at = from; at < to; at += kRunMax) {
            runs_.push_back(Run{static_cast<TokenId>(at), logits.data() + at, std::min(kRunMax, to - at)});
        }
    };
    uint32_t next = 0;
    for (const auto& [token, value] : changes_) {
        add(next, static_cast<uint32_t>(token));
        runs_.push_back(Run{token, &value, 1});
        next = static_cast<uint32_t>(token) + 1;
    }
    add(next, static_cast<uint32_t>(logits.size()));
}

Sampler::Cut Sampler::find_support(const SamplingParams& params) const {
    const float temperature = params.temperature;
    Cut cut;
    if (params.min_p > 0.0f) {
        cut.value = max_ + temperature * std::log(std::min(params.min_p, 1.0f));
        cut.last_tie = std::numeric_limits<TokenId>::max();
    }
    if (params.top_k > 0) {
        cut = narrow(Need{static_cast<uint64_t>(params.top_k), 0}, cut, 1.0f);
    }
    if (params.top_p < 1.0f) {
        const double all = weigh(cut.value, cut).mass;
        cut = narrow(Need{1, all * std::max(params.top_p, 0.0f)}, cut, temperature);
    }
    return cut;
}

// The highest cut that keeps enough. Thresholds sink from the maximum, twice as far each time, until enough lies above; then
// the gap between the last two is halved until what lies in it is short enough to sort.
Sampler::Cut Sampler::narrow(const Need& need, const Cut& within, float scale) const {
    const float bottom = std::max(within.value, std::numeric_limits<float>::lowest());
    float above = std::nextafter(max_, kInfinity);
    Weighed weighed_above;
    float from = above;
    Weighed weighed_from;
    for (float width = scale; ; width *= 2) {
        from = std::max(max_ - width, bottom);
        if (!(from < above)) {
            from = bottom;
        }
        weighed_from = weigh(from, within);
        if (need.met(weighed_from)) {
            break;
        }
        if (from <= bottom) {
            return within;   // fewer than asked for: all of them
        }
        above = from;
        weighed_above = weighed_from;
    }
    while (weighed_from.count - weighed_above.count > kGatherMax) {
        const float middle = from / 2 + above / 2;
        if (!(middle > from && middle < above)) {
            break;   // all of one value; the order among them is by token
        }
        const Weighed weighed = weigh(middle, within);
        if (need.met(weighed)) {
            from = middle;
            weighed_from = weighed;
        } else {
            above = middle;
            weighed_above = weighed;
        }
    }
    std::vector<std::pair<float, TokenId>> gathered;
    gathered.reserve(weighed_from.count - weighed_above.count);
    for (const Run& run : runs_) {
        for (uint32_t i = 0; i < run.size; ++i) {
            const float x = run.values[i];
            const TokenId token = run.first + static_cast<TokenId>(i);
            if (x >= from && x < above && within.keeps(token, x)) {
                gathered.emplace_back(x, token);
            }
        }
    }
    std::sort(gathered.begin(), gathered.end(), [](const auto& a, const auto& b) {
        return a.first != b.first ? a.first > b.first : a.second < b.second;
    });
    Weighed sum = weighed_above;
    for (const auto& [x, token] : gathered) {
        sum.count += 1;
        sum.mass += exp_below_zero((x - max_) * inverse_temperature_);
        if (need.met(sum)) {
            return Cut{x, token};
        }
    }
    return gathered.empty() ? within : Cut{gathered.back().first, gathered.back().second};
}

Sampler::Weighed Sampler::weigh(float from, const Cut& within) const {
    Weighed weighed;
    for (const Run& run : runs_) {
        const float value = within.value;
        const TokenId last_tie = within.last_tie - run.first;   // no overflow: both are >= -1 and first >= 0
        const auto keep = [=](TokenId i, float x) {
            return (x >= from) & ((x > value) | ((x == value) & (i <= last_tie)));
        };
        const uint32_t count = count_of(run.values, run.size, keep);
        if (count > 0) {
            weighed.count += count;
            weighed.mass += mass_of(run.values, run.size, max_, inverse_temperature_, keep);
        }
    }
    return weighed;
}

TokenId Sampler::first_at_max() const {
    for (const Run& run : runs_) {
        const float* end = run.values + run.size;
        const float* at = std::find(run.values, end, max_);
        if (at != end) {
            return run.first + static_cast<TokenId>(at - run.values);
        }
    }
    GANTRY_ASSERT(false, "the maximum must be in the row it was found in");
}

TokenId Sampler::draw(const Cut& cut, double uniform) {
    run_mass_.clear();
    double total = 0;
    for (const Run& run : runs_) {
        const float value = cut.value;
        const TokenId last_tie = cut.last_tie - run.first;
        const auto keep = [=](TokenId i, float x) { return (x > value) | ((x == value) & (i <= last_tie)); };
        run_mass_.push_back(mass_of(run.values, run.size, max_, inverse_temperature_, keep));
        total += run_mass_.back();
    }
    double left = uniform * total;
    TokenId last_kept = first_at_max();   // only rounding at the far end can leave the loops without an answer
    for (size_t r = 0; r < runs_.size(); ++r) {
        const Run& run = runs_[r];
        if (run_mass_[r] <= 0) {
            continue;
        }
        if (left >= run_mass_[r] && r + 1 < runs_.size()) {
            left -= run_mass_[r];
            continue;
        }
        for (uint32_t i = 0; i < run.size; ++i) {
            const TokenId token = run.first + static_cast<TokenId>(i);
            const double weight = exp_below_zero((run.values[i] - max_) * inverse_temperature_);
            if (!cut.keeps(token, run.values[i]) || weight <= 0) {
                continue;
            }
            last_kept = token;
            if (left < weight) {
                return token;
            }
            left -= weight;
        }
        return last_kept;
    }
    return last_kept;
}

void Sampler::add_logprobs(const SampleInput& input, SampledToken& sampled) const {
    double sum = 0;
    const float* values = input.logits.data();
    const auto all = [](TokenId, float) { return true; };
    for (size_t at = 0; at < input.logits.size(); at += kRunMax) {
        const auto size = static_cast<uint32_t>(std::min<size_t>(kRunMax, input.logits.size() - at));
        sum += mass_of(values + at, size, raw_max_, 1.0f, all);
    }
    const float log_sum = raw_max_ + static_cast<float>(std::log(sum));
    // JSON knows no infinity, and a masked row may hold one.
    const auto logprob = [&](float x) { return std::max(x - log_sum, -9999.0f); };
    sampled.logprob = TokenLogprob{sampled.token, logprob(values[static_cast<size_t>(sampled.token)])};

    const size_t wanted = std::min<size_t>(input.params.top_logprobs, input.logits.size());
    std::vector<TokenLogprob>& top = sampled.top_logprobs;
    for (size_t i = 0; wanted > 0 && i < input.logits.size(); ++i) {
        if (top.size() == wanted && !(values[i] > top.back().logprob)) {
            continue;
        }
        const auto place = std::upper_bound(top.begin(), top.end(), values[i],
                                            [](float x, const TokenLogprob& other) { return x > other.logprob; });
        top.insert(place, TokenLogprob{static_cast<TokenId>(i), values[i]});
        if (top.size() > wanted) {
            top.pop_back();
        }
    }
    for (TokenLogprob& entry : top) {
        entry.logprob = logprob(entry.logprob);
    }
}

}  // namespace gantry::engine
