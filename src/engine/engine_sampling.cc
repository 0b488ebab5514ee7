// EngineCore's last two verbs: the tokens that a forward's rows give, and what those who asked are told.
#include <algorithm>

#include "base/metrics.h"
#include "engine/engine_core.h"
#include "engine/engine_metrics.h"

namespace gantry::engine {
namespace {

constexpr double kAcceptanceWeight = 0.1;   // of the latest guess

}  // namespace

// --- sample ------------------------------------------------------------------------------------------------------------

void EngineCore::sample() {
    for (Sampled& sampled : sampled_) {
        sample_all(sampled);
    }
}

// The token after the sequence's last row; as long as it is what was guessed, the guess's own row gives the next. Each is drawn from
// its own row as it would be without guesses, so the answer is the same with and without them.
void EngineCore::sample_all(Sampled& sampled) {
    Sequence& sequence = *sampled.sequence;
    uint32_t right = 0;
    for (;;) {
        TokenEvent event = sample_one(sequence, sampled.row + right);
        const bool goes_on = !event.finish && right < sampled.drafts && event.token == sequence.draft[right];
        sampled.events.push_back(std::move(event));
        if (!goes_on) {
            break;
        }
        ++right;
    }
    if (sampled.drafts == 0) {
        return;
    }
    sequence.computed += right;
    kv_.cut(sequence.slot, sequence.computed);
    drafted_tokens_total_ += sampled.drafts;
    accepted_tokens_total_ += right;
    metrics_->drafted_tokens.Increment(sampled.drafts);
    metrics_->accepted_tokens.Increment(right);
    // What came after the first wrong guess says nothing about the sequence.
    for (uint32_t i = 0; i < std::min(right + 1, sampled.drafts); ++i) {
        sequence.acceptance += kAcceptanceWeight * ((i < right ? 1.0 : 0.0) - sequence.acceptance);
    }
}

TokenEvent EngineCore::sample_one(Sequence& sequence, size_t row) {
    const SamplingParams& params = sequence.request.sampling;
    TokenEvent event;
    TokenConstraint* constraint = sequence.request.constraint.get();
    const auto fail = [&](const std::string& message) {
        event.error = message;
        event.finish = FinishReason::kError;
        return std::move(event);
    };
    Result<SampledToken> drawn = sampler_.sample(SampleInput{.logits = runner_.logits(row),
                                                             .params = params,
                                                             .counts = sequence.counts,
                                                             .index = sequence.generated(),
                                                             .end_tokens = end_tokens_,
                                                             .allowed = constraint ? constraint->allowed() : std::span<const uint32_t>{}});
    if (!drawn) {
        return fail(drawn.error().message);
    }
    const TokenId token = drawn->token;
    if (may_end(sequence, token)) {
        event.finish = FinishReason::kStop;
        return event;
    }
    if (constraint && !constraint->accept(token)) {
        return fail("the answer left the form that was asked for, and was ended");
    }
    sequence.tokens.push_back(token);
    kv_.extend(sequence.slot, token);
    if (needs_counts(params)) {
        sequence.counts[token] += 1;
    }
    event.token = token;
    if (params.logprobs) {
        event.logprob = drawn->logprob;
        event.top_logprobs = std::move(drawn->top_logprobs);
    }
    const uint32_t max_tokens = sequence.request.max_tokens;
    if ((max_tokens > 0 && sequence.generated() >= max_tokens) || sequence.length() >= capacity_.context_tokens) {
        event.finish = FinishReason::kLength;
    }
    event.completion_tokens = sequence.generated();
    return event;
}

bool EngineCore::may_end(const Sequence& sequence, TokenId token) const {
    const SamplingParams& params = sequence.request.sampling;
    return (is_end_token(token) && (!params.ignore_eos || sequence.request.constraint)) ||
           std::find(params.stop_token_ids.begin(), params.stop_token_ids.end(), token) != params.stop_token_ids.end();
}

bool EngineCore::is_end_token(TokenId token) const {
    return std::binary_search(end_tokens_.begin(), end_tokens_.end(), token);
}

// --- publish -----------------------------------------------------------------------------------------------------------

void EngineCore::publish() {
    const SteadyTime now = clock_.steady();
    for (Sampled& sampled : sampled_) {
        Sequence& sequence = *sampled.sequence;
        if (sequence.first_token_at == SteadyTime{}) {
            sequence.first_token_at = now;
            const uint32_t cached = sequence.cached_tokens();
            prompt_tokens_total_ += sequence.prompt_tokens;
            cached_tokens_total_ += cached;
            metrics_->prompt_tokens.Increment(sequence.prompt_tokens);
            metrics_->cached_tokens.Increment(cached);
            metrics_->first_token.Observe(std::chrono::duration<double>(now - sequence.submitted_at).count());
        }
        sequence.last_token_at = now;
        for (TokenEvent& event : sampled.events) {
            if (event.token) {
                ++generated_tokens_total_;
                metrics_->generated_tokens.Increment();
            }
            if (event.finish) {
                const FinishReason reason = *event.finish;
                end(sequence, std::move(event), reason);   // the last event: nothing may touch the sequence after it
                break;
            }
            emit(sequence, std::move(event));
        }
    }
    sampled_.clear();
}

void EngineCore::end(Sequence& sequence, TokenEvent event, FinishReason reason) {
    event.finish = reason;
    event.completion_tokens = sequence.generated();
    if (sequence.slot >= 0) {
        leave_slot(sequence, reason != FinishReason::kError);
    } else {
        std::erase(waiting_, &sequence);
        never_admitted_ -= sequence.admitted_step == 0 ? 1 : 0;
    }
    with_deadline_ -= sequence.request.deadline.never() ? 0 : 1;
    // Out of the books before the callback, which may submit or look at the numbers.
    const std::unique_ptr<Sequence> last = std::move(open_.extract(sequence.id).mapped());
    emit(*last, std::move(event));
}

// The event says how many tokens there are up to its own: several may have been drawn in one step.
void EngineCore::emit(Sequence& sequence, TokenEvent event) {
    event.prompt_tokens = sequence.prompt_tokens;
    event.cached_tokens = sequence.cached_tokens();
    event.timings = timings_of(sequence, clock_.steady());
    if (sequence.request.on_event) {
        sequence.request.on_event(std::move(event));
    }
}

}  // namespace gantry::engine
