#include "engine_server/answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <iterator>
#include <optional>

#include "base/assert.h"
#include "engine_server/detokenizer.h"
#include "protocol/openai/errors.h"

namespace gantry::engine_server {
namespace {

using engine::FinishReason;
using engine::TokenEvent;
using protocol::openai::AnswerTimings;
using protocol::openai::AnswerWriter;
using protocol::openai::Generation;
using protocol::openai::Logprobs;
using protocol::openai::Usage;

// One sequence's answer as it grows.
struct Choice {
    explicit Choice(std::vector<std::string> stops) : detokenizer(std::move(stops)) {}

    Detokenizer detokenizer;
    uint64_t hub_key = 0;
    engine::SequenceId sequence = 0;
    bool begun = false;         // the stream has its role and its echo
    std::string finish_reason;  // empty: goes on
    std::string text;           // whole answers only
    Logprobs logprobs;          // streams: of tokens whose text is held back; whole answers: all
    uint32_t prompt_tokens = 0;
    uint32_t cached_tokens = 0;
    uint32_t completion_tokens = 0;
    AnswerTimings timings;
};

class Answer {
public:
    Answer(http::Exchange& exchange, Services& services, AnswerPlan plan)
        : exchange_(exchange),
          services_(services),
          model_(*services.model),
          plan_(std::move(plan)),
          writer_(plan_.kind, services.random, services.clock.wall(), plan_.model),
          changed_(services.io) {}

    ~Answer() { cancel_all(); }
    Answer(const Answer&) = delete;
    Answer& operator=(const Answer&) = delete;

    http::Task<void> run() {
        if (Status submitted = submit_all(); !submitted) {
            co_await respond_error(exchange_, submitted.error());
            co_return;
        }
        exchange_.on_client_gone([this] {
            cancel_all();
            gone_ = true;
            changed_.notify();
        });
        if (plan_.generation.stream) {
            co_await run_stream();
        } else {
            co_await run_whole();
        }
    }

private:
    Status submit_all();
    void cancel_all();
    void take(uint32_t index, const TokenEvent& event, std::string& out);
    void finish(uint32_t index, const char* reason, std::string& out);
    void emit(uint32_t index, const std::string& text, std::string& out);
    std::string take_events();
    void note_failure(const TokenEvent& event);
    protocol::openai::TokenLogprobView logprob_view(const TokenEvent& event) const;
    Usage usage() const;
    AnswerTimings timings() const;
    http::Task<void> run_stream();
    http::Task<void> run_whole();
    http::Task<bool> start_stream();
    bool open() const { return finished_ < choices_.size() && !failure_ && !gone_; }

    http::Exchange& exchange_;
    Services& services_;
    LoadedModel& model_;
    AnswerPlan plan_;
    AnswerWriter writer_;
    http::Signal changed_;
    std::deque<Choice> choices_;
    std::vector<std::pair<uint32_t, TokenEvent>> events_;
    size_t finished_ = 0;
    std::optional<Error> failure_;
    bool gone_ = false;
};

Status Answer::submit_all() {
    GANTRY_ASSERT(plan_.schema.empty() == (plan_.grammar == nullptr), "an answer is held to its schema");
    const uint32_t total = static_cast<uint32_t>(plan_.prompts.size()) * plan_.generation.n;
    for (uint32_t index = 0; index < total; ++index) {
        Choice& choice = choices_.emplace_back(plan_.generation.stop);
        choice.hub_key = services_.hub.add([this, index](TokenEvent event) {
            events_.emplace_back(index, std::move(event));
            changed_.notify();
        });
        engine::SequenceRequest request;
        request.prompt = plan_.prompts[index / plan_.generation.n];
        request.sampling = plan_.sampling;
        request.sampling.seed += index;
        request.max_tokens = plan_.generation.max_tokens;
        request.constraint = plan_.grammar ? plan_.grammar->start() : nullptr;
        request.on_event = services_.hub.sender(choice.hub_key);
        Result<engine::SequenceId> sequence = model_.engine->submit(std::move(request));
        if (!sequence) {
            services_.hub.remove(choice.hub_key);
            choices_.pop_back();
            cancel_all();
            return sequence.error();
        }
        choice.sequence = *sequence;
    }
    return Ok{};
}

void Answer::cancel_all() {
    for (Choice& choice : choices_) {
        services_.hub.remove(choice.hub_key);
        if (choice.finish_reason.empty()) {
            model_.engine->cancel(choice.sequence);
        }
    }
}

protocol::openai::TokenLogprobView Answer::logprob_view(const TokenEvent& event) const {
    protocol::openai::TokenLogprobView view;
    view.token = model_.tokenizer->piece(*event.token, true);
    view.logprob = event.logprob ? event.logprob->logprob : 0;
    for (const engine::TokenLogprob& top : event.top_logprobs) {
        view.top.emplace_back(model_.tokenizer->piece(top.token, true), top.logprob);
    }
    return view;
}

// Appends to a stream what a choice has to say; whole answers gather it.
void Answer::emit(uint32_t index, const std::string& text, std::string& out) {
    Choice& choice = choices_[index];
    if (!plan_.generation.stream) {
        choice.text += text;
        return;
    }
    if (!choice.begun) {
        choice.begun = true;
        if (plan_.kind == protocol::openai::AnswerKind::kChat) {
            out += http::sse_event(json::serialize(writer_.role_chunk(index)));
        } else if (!plan_.echoes.empty()) {
            const std::string& echo = plan_.echoes[index / plan_.generation.n];
            out += http::sse_event(json::serialize(writer_.text_chunk(index, echo)));
        }
    }
    if (!text.empty()) {
        const Logprobs* logprobs = plan_.generation.logprobs ? &choice.logprobs : nullptr;
        out += http::sse_event(json::serialize(writer_.text_chunk(index, text, logprobs)));
        choice.logprobs.clear();
    }
}

void Answer::finish(uint32_t index, const char* reason, std::string& out) {
    Choice& choice = choices_[index];
    choice.finish_reason = reason;
    ++finished_;
    services_.hub.remove(choice.hub_key);
    if (!plan_.generation.stream) {
        return;
    }
    if (!choice.logprobs.empty()) {
        // Tokens without text of their own, such as those of a stop string.
        out += http::sse_event(json::serialize(writer_.text_chunk(index, "", &choice.logprobs)));
    }
    out += http::sse_event(json::serialize(writer_.finish_chunk(index, reason)));
}

void Answer::note_failure(const TokenEvent& event) {
    if (*event.finish == FinishReason::kError) {
        failure_ = internal_error(event.error.empty() ? "the engine failed while it answered"
                                                      : event.error);
        failure_->reason = "engine_error";
    } else {
        failure_ = unavailable("the engine is stopping: send the request again", "engine_stopping");
    }
}

void Answer::take(uint32_t index, const TokenEvent& event, std::string& out) {
    Choice& choice = choices_[index];
    if (!choice.finish_reason.empty()) {
        return;  // a stop string ended it; what the engine still sent before it heard of that is
                 // not part of the answer
    }
    choice.prompt_tokens = event.prompt_tokens;
    choice.cached_tokens = event.cached_tokens;
    choice.completion_tokens = event.completion_tokens;
    choice.timings = {event.timings.queue_ms, event.timings.prefill_ms, event.timings.decode_ms};
    if (event.token) {
        if (plan_.generation.logprobs) {
            choice.logprobs.push_back(logprob_view(event));
        }
        const bool armed = event.completion_tokens > plan_.generation.min_tokens;
        Detokenizer::Output piece =
            choice.detokenizer.push(model_.tokenizer->piece(*event.token), armed);
        emit(index, piece.text, out);
        if (piece.stopped) {
            model_.engine->cancel(choice.sequence);
            finish(index, "stop", out);
            return;
        }
    }
    if (!event.finish) {
        return;
    }
    if (*event.finish == FinishReason::kStop || *event.finish == FinishReason::kLength) {
        emit(index, choice.detokenizer.finish(), out);
        finish(index, *event.finish == FinishReason::kStop ? "stop" : "length", out);
        return;
    }
    note_failure(event);
}

// All that has arrived, as bytes for the stream.
std::string Answer::take_events() {
    std::string out;
    const auto events = std::exchange(events_, {});
    for (const auto& [index, event] : events) {
        take(index, event, out);
        if (failure_) {
            break;
        }
    }
    return out;
}

Usage Answer::usage() const {
    Usage usage;
    for (size_t i = 0; i < choices_.size(); ++i) {
        usage.completion_tokens += choices_[i].completion_tokens;
        if (i % plan_.generation.n == 0) {  // the choices of a prompt share it
            usage.prompt_tokens += choices_[i].prompt_tokens;
            usage.cached_tokens += choices_[i].cached_tokens;
        }
    }
    return usage;
}

// Of the slowest choice, part by part.
AnswerTimings Answer::timings() const {
    AnswerTimings timings;
    for (const Choice& choice : choices_) {
        timings.queue_ms = std::max(timings.queue_ms, choice.timings.queue_ms);
        timings.prefill_ms = std::max(timings.prefill_ms, choice.timings.prefill_ms);
        timings.decode_ms = std::max(timings.decode_ms, choice.timings.decode_ms);
    }
    return timings;
}

http::Task<bool> Answer::start_stream() {
    if (exchange_.started()) {
        co_return true;
    }
    http::Headers headers;
    headers.set("content-type", "text/event-stream");
    headers.set("cache-control", "no-cache");
    const bool delivered = co_await exchange_.start_stream(200, std::move(headers));
    co_return delivered;
}

http::Task<void> Answer::run_stream() {
    while (open()) {
        std::string out;
        if (events_.empty()) {
            const bool woken = co_await changed_.wait(kPingAfter);
            if (!woken && events_.empty()) {
                out = http::kSsePing;
            }
        }
        out += take_events();
        if (out.empty()) {
            continue;
        }
        if (failure_ && !exchange_.started()) {
            break;
        }
        const bool delivered = co_await start_stream() && co_await exchange_.write(out);
        if (!delivered) {
            co_return;  // the destructor cancels
        }
    }
    if (gone_) {
        co_return;
    }
    if (failure_ && !exchange_.started()) {
        co_await respond_error(exchange_, *failure_);
        co_return;
    }
    std::string end;
    if (failure_) {
        end = http::sse_event(protocol::openai::error_json(*failure_));
    } else {
        if (plan_.generation.include_usage) {
            end += http::sse_event(json::serialize(writer_.usage_chunk(usage(), timings())));
        }
        end += http::sse_event(protocol::openai::kStreamEnd);
    }
    const bool delivered = co_await exchange_.write(end);
    if (delivered) {
        co_await exchange_.finish();
    }
}

http::Task<void> Answer::run_whole() {
    while (open()) {
        if (events_.empty()) {
            co_await changed_.wait(kPingAfter);
        }
        take_events();
    }
    if (gone_) {
        co_return;
    }
    if (failure_) {
        co_await respond_error(exchange_, *failure_);
        co_return;
    }
    std::vector<protocol::openai::Choice> choices;
    for (uint32_t index = 0; index < choices_.size(); ++index) {
        Choice& choice = choices_[index];
        protocol::openai::Choice& entry = choices.emplace_back();
        entry.index = index;
        if (!plan_.echoes.empty()) {
            entry.text = plan_.echoes[index / plan_.generation.n];
        }
        entry.text += choice.text;
        entry.finish_reason = choice.finish_reason;
        entry.logprobs = plan_.generation.logprobs ? &choice.logprobs : nullptr;
    }
    http::Response response =
        http::json_response(200, json::serialize(writer_.answer(choices, usage(), timings())));
    co_await exchange_.respond(std::move(response));
}

}  // namespace

Result<engine::SamplingParams> make_sampling(const Generation& generation, uint32_t vocabulary,
                                             RandomSource& random) {
    const auto known = [vocabulary](int32_t token) {
        return token >= 0 && static_cast<uint32_t>(token) < vocabulary;
    };
    engine::SamplingParams sampling;
    sampling.temperature = static_cast<float>(generation.temperature);
    sampling.top_p = static_cast<float>(generation.top_p);
    sampling.min_p = static_cast<float>(generation.min_p);
    sampling.top_k = generation.top_k;
    sampling.presence_penalty = static_cast<float>(generation.presence_penalty);
    sampling.frequency_penalty = static_cast<float>(generation.frequency_penalty);
    sampling.repetition_penalty = static_cast<float>(generation.repetition_penalty);
    for (const auto& [token, bias] : generation.logit_bias) {
        if (!known(token)) {
            return invalid_argument(
                fmt::format("'logit_bias' names token {}, and this model's tokens are 0 to {}",
                            token, vocabulary - 1),
                "logit_bias");
        }
        sampling.logit_bias.emplace_back(token, static_cast<float>(bias));
    }
    for (const int32_t token : generation.stop_token_ids) {
        if (!known(token)) {
            return invalid_argument(
                fmt::format("'stop_token_ids' names token {}, and this model's tokens are 0 to {}",
                            token, vocabulary - 1),
                "stop_token_ids");
        }
        sampling.stop_token_ids.push_back(token);
    }
    constexpr double kSeeds = 9007199254740992.0;  // 2^53: as many as uniform() can tell apart
    sampling.seed =
        generation.seed ? *generation.seed : static_cast<uint64_t>(random.uniform() * kSeeds);
    sampling.logprobs = generation.logprobs;
    sampling.top_logprobs = generation.top_logprobs;
    sampling.ignore_eos = generation.ignore_eos;
    sampling.min_tokens = generation.min_tokens;
    return sampling;
}

http::Task<void> answer(http::Exchange& exchange, Services& services, AnswerPlan plan) {
    Answer answering(exchange, services, std::move(plan));
    co_await answering.run();
}

http::Response error_response(const Error& error) {
    http::Response response = http::json_response(protocol::openai::http_status(error.code),
                                                  protocol::openai::error_json(error));
    if (error.code == ErrorCode::kRateLimited || error.code == ErrorCode::kUnavailable) {
        response.headers.set("retry-after", "1");
    }
    return response;
}

http::Task<void> respond_error(http::Exchange& exchange, Error error) {
    if (!exchange.client_gone()) {
        http::Response response = error_response(error);
        co_await exchange.respond(std::move(response));
    }
}

}  // namespace gantry::engine_server
