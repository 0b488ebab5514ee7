#include "engine/sampler_row.h"

#include <algorithm>

namespace gantry::engine {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr uint32_t kFill = 16;                // a block's size is a multiple of it
constexpr uint32_t kWords = kBlockMax / 32;   // of a block's mask

float with_penalties(float logit, uint32_t generated, const SamplingParams& params) {
    logit = logit > 0 ? logit / params.repetition_penalty : logit * params.repetition_penalty;
    return generated > 0 ? logit - (params.frequency_penalty * static_cast<float>(generated) + params.presence_penalty) : logit;
}

}  // namespace

bool needs_counts(const SamplingParams& params) {
    return params.presence_penalty != 0.0f || params.frequency_penalty != 0.0f || params.repetition_penalty != 1.0f;
}

void SamplerRow::arrange(const SampleInput& input) {
    size_ = input.logits.size();
    changed_tokens_.clear();
    changed_values_.clear();
    start_mask(input);
    if (!mask_.empty()) {
        collect_changes(input);
    }
    blocks_.clear();
    add_blocks(input.logits);
    add_changed_blocks();
}

void SamplerRow::arrange_raw(std::span<const float> logits) {
    size_ = logits.size();
    mask_.clear();
    blocks_.clear();
    add_blocks(logits);
}

// --- what is changed ---------------------------------------------------------------------------------------------------

// What the constraint allows, or everything; empty when the row stays as it is.
void SamplerRow::start_mask(const SampleInput& input) {
    const SamplingParams& params = input.params;
    const bool constrained = !input.allowed.empty();
    mask_.clear();
    if (!constrained && params.logit_bias.empty() && !params.ignore_eos && input.index >= params.min_tokens && !needs_counts(params)) {
        return;
    }
    const size_t words = (size_ + kBlockMax - 1) / kBlockMax * kWords;
    const auto given = input.allowed.first(std::min(words, input.allowed.size()));
    mask_.assign(given.begin(), given.end());
    mask_.resize(words, constrained ? 0u : ~0u);
}

void SamplerRow::collect_changes(const SampleInput& input) {
    const SamplingParams& params = input.params;
    for (const auto& [token, bias] : params.logit_bias) {
        if (take(token)) {
            changed_tokens_.push_back(token);
            changed_values_.push_back(input.logits[static_cast<size_t>(token)] + bias);
        } else if (float* value = changed(token)) {
            *value += bias;   // it is listed twice
        }
    }
    if (needs_counts(params)) {
        add_penalties(input);
    }
    const bool constrained = !input.allowed.empty();   // then it is the constraint that says where an end may stand
    const bool before_min = input.index < params.min_tokens;
    if (!constrained && (params.ignore_eos || before_min)) {
        remove(input.end_tokens);
    }
    if (!constrained && before_min) {
        remove(params.stop_token_ids);
    }
}

void SamplerRow::add_penalties(const SampleInput& input) {
    const SamplingParams& params = input.params;
    for (size_t i = 0; i < changed_tokens_.size(); ++i) {
        if (const uint32_t* generated = input.counts.find(changed_tokens_[i])) {
            changed_values_[i] = with_penalties(changed_values_[i], *generated, params);
        }
    }
    for (const auto& [token, generated] : input.counts) {
        const bool matters = generated > 0 || params.repetition_penalty != 1.0f;
        if (matters && take(token)) {
            changed_tokens_.push_back(token);
            changed_values_.push_back(with_penalties(input.logits[static_cast<size_t>(token)], generated, params));
        }
    }
}

// Takes the token out of its block. False: it was taken out before, is not allowed, or is none of the row's.
bool SamplerRow::take(TokenId token) {
    if (token < 0 || static_cast<size_t>(token) >= size_) {
        return false;
    }
    uint32_t& word = mask_[static_cast<size_t>(token) / 32];
    const uint32_t bit = 1u << (static_cast<uint32_t>(token) % 32);
    const bool there = (word & bit) != 0;
    word &= ~bit;
    return there;
}

float* SamplerRow::changed(TokenId token) {
    const auto at = std::find(changed_tokens_.begin(), changed_tokens_.end(), token);
    return at == changed_tokens_.end() ? nullptr : &changed_values_[static_cast<size_t>(at - changed_tokens_.begin())];
}

void SamplerRow::remove(std::span<const TokenId> tokens) {
    for (TokenId token : tokens) {
        float* const value = take(token) ? nullptr : changed(token);
        if (value) {
            *value = -kInfinity;
        }
    }
}

// --- blocks ------------------------------------------------------------------------------------------------------------

void SamplerRow::add_blocks(std::span<const float> logits) {
    for (size_t first = 0; first < logits.size(); first += kBlockMax) {
        LogitBlock block;
        if (!mask_.empty()) {
            const uint32_t* words = mask_.data() + first / 32;
            uint32_t any = 0;
            uint32_t all = ~0u;
            for (uint32_t w = 0; w < kWords; ++w) {
                any |= words[w];
                all &= words[w];
            }
            if (any == 0) {
                continue;
            }
            block.mask = all == ~0u ? nullptr : words;
        }
        block.values = logits.data() + first;
        block.first = static_cast<TokenId>(first);
        block.size = static_cast<uint32_t>(std::min<size_t>(kBlockMax, logits.size() - first));
        if (block.size % kFill != 0) {
            tail_.assign(block.values, block.values + block.size);
            tail_.resize((block.size / kFill + 1) * kFill, -kInfinity);
            block.values = tail_.data();
            block.size = static_cast<uint32_t>(tail_.size());
        }
        blocks_.push_back(block);
    }
}

void SamplerRow::add_changed_blocks() {
    const size_t filled = (changed_tokens_.size() + kFill - 1) / kFill * kFill;
    changed_tokens_.resize(filled, -1);
    changed_values_.resize(filled, -kInfinity);
    for (size_t at = 0; at < filled; at += kBlockMax) {
        LogitBlock block;
        block.values = changed_values_.data() + at;
        block.tokens = changed_tokens_.data() + at;
        block.size = static_cast<uint32_t>(std::min<size_t>(kBlockMax, filled - at));
        blocks_.push_back(block);
    }
}

}  // namespace gantry::engine
