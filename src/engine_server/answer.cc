#include "engine_server/answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <type_traits>

#include "base/assert.h"
#include "engine_server/answer_splitter.h"
#include "engine_server/detokenizer.h"
#include "protocol/openai/errors.h"

namespace gantry::engine_server {
namespace {

using engine::FinishReason;
using protocol::openai::AnswerKind;
using protocol::openai::AnswerTimings;
using protocol::openai::AnswerWriter;
using protocol::openai::Generation;
using protocol::openai::LogprobsText;
using protocol::openai::ServiceTier;
using protocol::openai::Usage;

// A chunk holds no more text and log-probabilities than about this, however much has gathered:
// readers of events bound them (our gateway at 1 MiB).
constexpr size_t kChunkBytesMax = 64u << 10;

// One sequence's answer as it grows.
struct Choice {
    Choice(std::vector<std::string> stops, AnswerKind kind,
           std::shared_ptr<const AnswerSyntax> syntax)
        : detokenizer(std::move(stops)), said(std::move(syntax)), logprobs(kind) {}

    size_t bytes() const {
        return said.content.size() + said.reasoning.size() + logprobs.bytes();
    }

    Detokenizer detokenizer;
    AnswerSplitter said;        // streams: what is not written yet; whole answers: all
    uint64_t hub_key = 0;
    engine::SequenceId sequence = 0;
    bool begun = false;         // the stream has its role and its echo
    bool touched = false;       // has something for the stream's next write
    std::string finish_reason;  // empty: goes on
    LogprobsText logprobs;      // of tokens whose text may be held back
    uint32_t prompt_tokens = 0;
    uint32_t cached_tokens = 0;
    uint32_t completion_tokens = 0;
    uint32_t reasoning_tokens = 0;
    AnswerTimings timings;
};

engine::Priority priority_of(ServiceTier tier) {
    switch (tier) {
        case ServiceTier::kPriority: return engine::Priority::kHigh;
        case ServiceTier::kDefault: return engine::Priority::kNormal;
        case ServiceTier::kFlex: return engine::Priority::kBatch;
    }
    return engine::Priority::kNormal;
}

std::string_view shown_tier(const Generation& generation) {
    return generation.names_tier ? protocol::openai::name_of(generation.service_tier)
                                 : std::string_view();
}

class Answer {
public:
    Answer(http::Exchange& exchange, Services& services, AnswerPlan plan)
        : exchange_(exchange),
          services_(services),
          model_(*services.model),
          plan_(std::move(plan)),
          writer_(plan_.kind, services.random, services.clock.wall(), plan_.model,
                  shown_tier(plan_.generation)),
          changed_(services.io) {
        if (plan_.generation.deadline_ms > 0) {
            deadline_ = Deadline::at(exchange.request().received_at +
                                     std::chrono::milliseconds(plan_.generation.deadline_ms));
        }
    }

    ~Answer() { cancel_all(); }
    Answer(const Answer&) = delete;
    Answer& operator=(const Answer&) = delete;

    http::Task<void> run() {
        if (exchange_.client_gone()) {
            co_return;
        }
        if (late()) {
            co_await respond_error(exchange_, too_late());
            co_return;
        }
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

    // As events arrive, whatever the client reads meanwhile.
    void take(uint32_t index, const SequenceEvents& events);
    bool take_token(uint32_t index, engine::TokenId token, const TokenLogprobs* logprobs);
    void finish(uint32_t index, bool cut);
    void fail(Error error);
    void give_up();
    size_t held_max() const {
        return plan_.generation.stream ? services_.limits.stream_backlog
                                       : services_.limits.whole_answer;
    }
    Error engine_failure(const engine::TokenEvent& event) const;
    bool late() const { return deadline_.passed(services_.clock.steady()); }
    Error too_late() const;
    protocol::openai::TokenLogprobView logprob_view(const TokenLogprobs& logprobs) const;

    bool kept(engine::TokenId token) const {
        return plan_.syntax && model_.kept_tokens.contains(token);
    }
    protocol::openai::ToolCall as_call(CallPiece& piece) const;

    // For the stream.
    void write_choice(uint32_t index, bool last);
    template <class... Arguments>
    void add_chunk(void (AnswerWriter::*chunk)(std::string&, Arguments...) const,
                   std::type_identity_t<Arguments>... arguments);
    std::string take_output();

    Usage usage() const;
    AnswerTimings timings() const;
    http::Task<bool> wait();
    http::Task<void> run_stream();
    http::Task<void> run_whole();
    http::Task<bool> start_stream();
    http::Task<void> end_stream(std::string output);
    bool open() const { return finished_ < choices_.size() && !failure_ && !gone_; }

    http::Exchange& exchange_;
    Services& services_;
    LoadedModel& model_;
    AnswerPlan plan_;
    AnswerWriter writer_;
    Deadline deadline_;
    http::Signal changed_;
    std::deque<Choice> choices_;
    std::string output_;  // chunks that are complete and not written yet
    size_t held_ = 0;     // bytes that wait for the client, about
    size_t finished_ = 0;
    std::optional<Error> failure_;
    bool gone_ = false;
};

Status Answer::submit_all() {
    GANTRY_ASSERT(plan_.schema.empty() == (plan_.grammar == nullptr), "an answer is held to its schema");
    const uint32_t total = static_cast<uint32_t>(plan_.prompts.size()) * plan_.generation.n;
    for (uint32_t index = 0; index < total; ++index) {
        Choice& choice = choices_.emplace_back(plan_.generation.stop, plan_.kind, plan_.syntax);
        choice.hub_key = services_.hub.add([this, index](const SequenceEvents& events) {
            take(index, events);
            if (plan_.generation.stream || !open()) {  // else nobody wants to know yet
                changed_.notify();
            }
        });
        engine::SequenceRequest request = sequence_request(plan_, index, deadline_);
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
    plan_.prompts = {};  // the engine has them
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

// ---- events

void Answer::take(uint32_t index, const SequenceEvents& events) {
    Choice& choice = choices_[index];
    const engine::TokenEvent& latest = events.latest;
    choice.prompt_tokens = latest.prompt_tokens;
    choice.cached_tokens = latest.cached_tokens;
    choice.timings = {latest.timings.queue_ms, latest.timings.prefill_ms,
                      latest.timings.decode_ms};
    choice.touched = true;
    if (late()) {  // also here, since the coroutine may be waiting for a slow client
        fail(too_late());
        return;
    }
    for (size_t i = 0; i < events.tokens.size(); ++i) {
        const TokenLogprobs* logprobs =
            i < events.logprobs.size() ? &events.logprobs[i] : nullptr;
        if (!take_token(index, events.tokens[i], logprobs)) {
            // What the engine still sent before it heard of that is not part of the answer.
            model_.engine->cancel(choice.sequence);
            finish(index, false);
            return;
        }
        if (held_ > held_max()) {
            give_up();
            return;
        }
    }
    if (!latest.finish) {
        return;
    }
    if (*latest.finish == FinishReason::kStop || *latest.finish == FinishReason::kLength) {
        choice.said.push(choice.detokenizer.finish());
        finish(index, *latest.finish == FinishReason::kLength);
        return;
    }
    fail(engine_failure(latest));
}

// False: a stop string is complete.
bool Answer::take_token(uint32_t index, engine::TokenId token, const TokenLogprobs* logprobs) {
    Choice& choice = choices_[index];
    ++choice.completion_tokens;
    if (logprobs != nullptr && plan_.generation.logprobs) {
        const size_t before = choice.logprobs.bytes();
        choice.logprobs.add(logprob_view(*logprobs));
        held_ += choice.logprobs.bytes() - before;
    }
    const bool armed = choice.completion_tokens > plan_.generation.min_tokens;
    const Detokenizer::Output piece =
        choice.detokenizer.push(model_.tokenizer->piece(token, kept(token)), armed);
    choice.said.push(piece.text);
    choice.reasoning_tokens += choice.said.in_reasoning() ? 1 : 0;
    held_ += piece.text.size();
    if (plan_.generation.stream &&
        choice.bytes() > kChunkBytesMax) {
        write_choice(index, false);
    }
    return !piece.stopped;
}

protocol::openai::TokenLogprobView Answer::logprob_view(const TokenLogprobs& logprobs) const {
    protocol::openai::TokenLogprobView view;
    view.token = model_.tokenizer->piece(logprobs.token.token, true);
    view.logprob = logprobs.token.logprob;
    for (const engine::TokenLogprob& top : logprobs.top) {
        view.top.emplace_back(model_.tokenizer->piece(top.token, true), top.logprob);
    }
    return view;
}

// `cut`: by its length. Whatever ends it, what was held back is clear now.
void Answer::finish(uint32_t index, bool cut) {
    Choice& choice = choices_[index];
    services_.hub.remove(choice.hub_key);
    choice.said.finish();
    choice.finish_reason = cut ? "length" : choice.said.calls() > 0 ? "tool_calls" : "stop";
    ++finished_;
    if (plan_.generation.stream) {
        write_choice(index, true);
        add_chunk(&AnswerWriter::finish_chunk, index, choice.finish_reason,
                  choice.detokenizer.stopped_by());
    }
}

void Answer::fail(Error error) {
    cancel_all();
    failure_ = std::move(error);
}

// More has gathered than may. The memory is given back; what the reader of a stream gets next, if it
// reads on at all, is the error.
void Answer::give_up() {
    if (plan_.generation.stream) {
        fail(unavailable("the answer was given up: its reader was too far behind", "slow_reader"));
    } else {
        fail(Error{ErrorCode::kTooLarge,
                   fmt::format("the answer is over {} bytes: ask for fewer tokens or "
                               "log-probabilities, or stream it",
                               held_max()),
                   {},
                   "answer_too_large"});
    }
    output_ = {};
    for (Choice& choice : choices_) {
        choice.touched = false;
        choice.said = AnswerSplitter(nullptr);
        choice.logprobs = LogprobsText(plan_.kind);
    }
}

Error Answer::engine_failure(const engine::TokenEvent& event) const {
    if (*event.finish != FinishReason::kError) {
        return unavailable("the engine is stopping: send the request again", "engine_stopping");
    }
    if (late()) {
        return too_late();
    }
    Error error = internal_error(event.error.empty() ? "the engine failed while it answered"
                                                     : event.error);
    error.reason = "engine_error";
    return error;
}

Error Answer::too_late() const {
    return Error{ErrorCode::kDeadlineExceeded,
                 fmt::format("the answer was not complete within the {} ms that 'deadline_ms' "
                             "allows: allow more, or ask for less",
                             plan_.generation.deadline_ms),
                 "deadline_ms", "deadline_exceeded"};
}

// The head of a call gets an id.
protocol::openai::ToolCall Answer::as_call(CallPiece& piece) const {
    const std::string id = piece.name.empty() ? "" : "call_" + services_.random.token(24);
    return {id, std::move(piece.name), std::move(piece.arguments)};
}

// ---- the stream's bytes

template <class... Arguments>
void Answer::add_chunk(void (AnswerWriter::*chunk)(std::string&, Arguments...) const,
                       std::type_identity_t<Arguments>... arguments) {
    output_ += "data: ";
    (writer_.*chunk)(output_, arguments...);
    output_ += "\n\n";
}

// What a choice has gathered, as one chunk. `last`: also tokens without a text of their own, such
// as those of a stop string.
void Answer::write_choice(uint32_t index, bool last) {
    Choice& choice = choices_[index];
    choice.touched = false;
    if (!choice.begun) {
        choice.begun = true;
        if (plan_.kind == AnswerKind::kChat) {
            add_chunk(&AnswerWriter::role_chunk, index);
        } else if (!plan_.echoes.empty()) {
            add_chunk(&AnswerWriter::text_chunk, index,
                      plan_.echoes[index / plan_.generation.n], "null");
        }
    }
    AnswerSplitter& said = choice.said;
    if (!said.reasoning.empty()) {
        add_chunk(&AnswerWriter::reasoning_chunk, index, said.reasoning);
        said.reasoning.clear();
    }
    if (!said.content.empty() || (last && !choice.logprobs.empty())) {
        const std::string logprobs = choice.logprobs.empty() ? "null" : choice.logprobs.take();
        add_chunk(&AnswerWriter::text_chunk, index, said.content, logprobs);
        said.content.clear();
    }
    for (CallPiece& piece : said.pieces) {
        add_chunk(&AnswerWriter::call_chunk, index, piece.index, as_call(piece));
    }
    said.pieces.clear();
}

std::string Answer::take_output() {
    for (uint32_t index = 0; index < choices_.size(); ++index) {
        if (choices_[index].touched && choices_[index].finish_reason.empty()) {
            write_choice(index, false);
        }
    }
    held_ = 0;
    return std::exchange(output_, {});
}

// ---- the totals

Usage Answer::usage() const {
    Usage usage;
    for (size_t i = 0; i < choices_.size(); ++i) {
        usage.completion_tokens += choices_[i].completion_tokens;
        usage.reasoning_tokens += choices_[i].reasoning_tokens;
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

// ---- answering

// For a change. False: none came for kPingAfter.
http::Task<bool> Answer::wait() {
    std::chrono::milliseconds patience = kPingAfter;
    if (!deadline_.never()) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_.time() -
                                                                       services_.clock.steady());
        patience = std::clamp(left, std::chrono::milliseconds(0), kPingAfter);
    }
    bool woken = co_await changed_.wait(patience);
    if (!woken && open() && late()) {
        fail(too_late());
        woken = true;
    }
    co_return woken;
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
    std::string output = take_output();
    while (open()) {
        if (output.empty()) {
            const bool woken = co_await wait();
            output = take_output();
            if (!woken && output.empty()) {
                output = http::kSsePing;
            }
            continue;  // what ended the answer in the meantime goes out with it
        }
        const bool delivered = co_await start_stream() && co_await exchange_.write(output);
        if (!delivered) {
            co_return;  // the destructor cancels
        }
        output = take_output();
    }
    if (gone_) {
        co_return;
    }
    if (failure_ && !exchange_.started()) {
        co_await respond_error(exchange_, *failure_);
        co_return;
    }
    co_await end_stream(std::move(output));
}

// `output`: what was not written before the answer's end.
http::Task<void> Answer::end_stream(std::string output) {
    output += take_output();
    if (failure_) {
        output += http::sse_event(protocol::openai::error_json(*failure_));
    } else {
        if (plan_.generation.include_usage) {
            add_chunk(&AnswerWriter::usage_chunk, usage(), timings());
        }
        output += take_output() + http::sse_event(protocol::openai::kStreamEnd);
    }
    const bool delivered = co_await start_stream() && co_await exchange_.write(output);
    if (delivered) {
        co_await exchange_.finish();
    }
}

http::Task<void> Answer::run_whole() {
    while (open()) {
        co_await wait();
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
        entry.text += choice.said.content;
        entry.reasoning = std::move(choice.said.reasoning);
        for (CallPiece& piece : choice.said.pieces) {
            if (piece.name.empty()) {
                entry.tool_calls.back().arguments += piece.arguments;
            } else {
                entry.tool_calls.push_back(as_call(piece));
            }
        }
        entry.finish_reason = choice.finish_reason;
        entry.stop_reason = choice.detokenizer.stopped_by();
        if (!choice.logprobs.empty()) {
            entry.logprobs = choice.logprobs.take();
        }
    }
    std::string body;
    writer_.answer(body, choices, usage(), timings());
    http::Response response = http::json_response(200, std::move(body));
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

engine::SequenceRequest sequence_request(const AnswerPlan& plan, uint32_t choice,
                                         Deadline deadline) {
    const Generation& generation = plan.generation;
    engine::SequenceRequest request;
    request.prompt = plan.prompts[choice / generation.n];
    request.sampling = plan.sampling;
    request.sampling.seed += choice;
    request.max_tokens = generation.max_tokens;
    request.priority = priority_of(generation.service_tier);
    request.deadline = deadline;
    request.cache_salt = generation.cache_salt;
    request.constraint = plan.grammar ? plan.grammar->start() : nullptr;
    return request;
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
    if (error.code == ErrorCode::kDeadlineExceeded) {
        response.headers.set("x-should-retry", "false");  // for SDKs: it is too late by now
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
