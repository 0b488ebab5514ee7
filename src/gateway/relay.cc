#include "gateway/relay.h"

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <charconv>

#include "base/json.h"
#include "base/log.h"
#include "gateway/relay_texts.h"
#include "gateway/request_log.h"
#include "gateway/whole_answer.h"
#include "protocol/openai/errors.h"
#include "protocol/openai/upstream.h"

namespace gantry::gateway {
namespace {

namespace openai = protocol::openai;
using http::Exchange;
using http::Task;

constexpr size_t kEventBytesMax = 1u << 20;      // a line or event of an engine's stream
constexpr size_t kAnswerBytesMax = 64u << 20;    // an answer that is not streamed
constexpr size_t kHeadBytesMax = 64u << 10;
constexpr std::chrono::seconds kDrainFor{1};
constexpr std::string_view kRoot = "/v1";        // what a provider has its base path for

http::ClientOptions client_options(const GatewayOptions& options) {
    http::ClientOptions out;
    out.connect_timeout = options.connect_timeout;
    out.header_timeout = options.answer_timeout;
    out.idle_timeout = options.idle_timeout;
    out.head_bytes = kHeadBytesMax;
    out.body_bytes = kAnswerBytesMax;
    out.dialed_prefix = options.dialed_prefix;
    out.dialer = options.dialer;
    return out;
}

bool refuses_our_key(const Job& job, int status) { return job.model->outside && (status == 401 || status == 403); }

// A status that another model's answer may be better than.
bool another_may(const Job& job, int status) {
    return status == 500 || status == 502 || status == 503 || refuses_our_key(job, status) || (job.model->outside && status == 429);
}

// Why none of the model's instances may be asked now.
Refusal none_free(const Job& job, const Balancer::Choice& choice) {
    if (choice.why == Balancer::Choice::Why::kTried) return Refusal{502, engine_gone(job), kEngineRetrySeconds};
    if (choice.why == Balancer::Choice::Why::kFull) {
        return Refusal{429,
                       Error{ErrorCode::kRateLimited,
                             "The queue of model '" + job.record.model + "' is full. Try again in a moment, or send fewer requests at once.", {},
                             "queue_full"},
                       choice.retry_after_s};
    }
    return Refusal{503,
                   unavailable(whose(job) + " failed several times in a row and is given a rest. Try again in a moment.",
                               "circuit_open"),
                   choice.retry_after_s};
}

// Whether `model` in its answers is not the name that was asked for: our engine says its deployment's, others what they like.
bool answers_as_another(const Job& job) {
    if (job.media) return false;   // there none has it
    return job.model->outside || job.model->backend != BackendKind::kEngine || job.model->name != job.record.model;
}

// Without a count of tokens: four bytes of the request are about one.
Demand demand_of(const Job& job) {
    Demand demand;
    if (job.media) return demand;
    demand.prompt_tokens = static_cast<uint32_t>(job.body.text.size() / 4);
    demand.max_tokens = job.max_tokens;
    demand.writes = job.answer_key != nullptr && std::string_view(job.answer_key) == "choices";
    if (job.model->targets.size() > 1) {
        demand.prefix = prefix_chain(prompt_of(job.body.text), std::hash<std::string>{}(job.model->name));
    }
    return demand;
}

// Only a plain number of seconds is passed on.
int retry_after_of(const http::Headers& headers) {
    const std::string_view text = headers.get("retry-after");
    int seconds = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    const bool whole = failure == std::errc() && end == text.data() + text.size();
    return whole ? std::clamp(seconds, 0, 120) : 0;
}

uint32_t milliseconds(Duration duration) {
    return static_cast<uint32_t>(std::max<int64_t>(0, std::chrono::duration_cast<std::chrono::milliseconds>(duration).count()));
}

}  // namespace

Relay::Relay(http::asio::io_context& io, const Clock& clock, const GatewayOptions& options, Meter& meter,
             GatewayMetrics& metrics, WaitingRoom& waiting)
    : clock_(clock), client_(io, client_options(options)), io_(io), balancer_(clock, options.queue_limit), meter_(meter), metrics_(metrics),
      waiting_(waiting) {}

Task<void> Relay::run(Exchange& exchange, Job& job) {
    Upstream upstream;
    std::optional<Refusal> failure = co_await connect(exchange, job, upstream);
    if (failure) {
        upstream = {};   // before the answer: its instance is free
        co_await fail(exchange, job, *std::move(failure));
        co_return;
    }
    const int status = upstream.response->status();
    if (status != 200) {
        co_await refuse_upstream_error(exchange, job, upstream);
    } else if (job.answer == Answer::kText) {
        co_await relay_text(exchange, job, upstream);
    } else if (job.answer == Answer::kBytes) {
        co_await relay_bytes(exchange, job, upstream);
    } else if (job.answer == Answer::kEvents) {
        co_await relay_events(exchange, job, upstream);
    } else if (job.answer == Answer::kStream) {
        co_await relay_stream(exchange, job, upstream);
    } else {
        co_await relay_whole(exchange, job, upstream);
    }
    const UsageRecord& used = job.record;
    if (status == 200) upstream.lease.settle(used.prompt_tokens - std::min(used.cached_tokens, used.prompt_tokens), used.completion_tokens);
}

http::Client::Call Relay::call_for(const Exchange& exchange, const Job& job, const Target& target) const {
    http::Client::Call call;
    call.method = "POST";
    // Built anew: nothing of the client's headers goes on, but to our engines the trace it belongs to.
    if (const std::optional<Outside>& outside = job.model->outside) {
        call.target = outside->base_path + job.target.substr(kRoot.size());
        call.headers = headers_for_outside(target.api_key);
        call.body = body_for(job.body, *outside);
    } else {
        call.target = job.target;
        if (!target.api_key.empty()) call.headers.add("authorization", "Bearer " + target.api_key);
        call.headers.add("x-request-id", exchange.request().id);
        call.headers.add("traceparent", job.trace);
        call.body = job.body.text;
    }
    call.headers.add("content-type", job.body.content_type());
    return call;
}

// The model that was chosen, then the others of its route: before the first byte another answer is as good.
Task<std::optional<Refusal>> Relay::connect(Exchange& exchange, Job& job, Upstream& upstream) {
    for (size_t i = 0;; ++i) {
        job.model = job.ways[i];
        std::optional<Refusal> failure = co_await connect_or_wake(exchange, job, upstream);
        const int status = failure ? failure->status : upstream.response->status();
        const bool full = failure && status == 429;
        if (!failure && refuses_our_key(job, status)) {
            log::error("request {}: provider {} refuses our key for {}: it answered {}", exchange.request().id, job.record.instance_id.text,
                       job.model->name, status);
        }
        if (i + 1 == job.ways.size() || !(another_may(job, status) || full)) co_return failure;
        log::warn("request {}: {} has no answer for {}: {} is asked", exchange.request().id, job.model->name, job.record.model,
                  job.ways[i + 1]->name);
        metrics_.fell_back();
        upstream = {};
    }
}

// No coroutine of its own where the model is awake.
Task<std::optional<Refusal>> Relay::connect_or_wake(Exchange& exchange, Job& job, Upstream& upstream) {
    if (waiting_.needed(*job.model)) return wake_and_connect(exchange, job, upstream);
    return connect_to_model(exchange, job, upstream);
}

Task<std::optional<Refusal>> Relay::wake_and_connect(Exchange& exchange, Job& job, Upstream& upstream) {
    const HeldRequest request{job.model, job.stream, job.begun, job.live};
    WaitingRoom::Outcome held = co_await waiting_.hold(exchange, request);
    if (held.model == nullptr) co_return std::move(held.refusal);
    job.woken = std::move(held.routes);
    job.model = held.model;
    std::optional<Refusal> failure = co_await connect_to_model(exchange, job, upstream);
    co_return failure;
}

// The first instance that answers with anything but 502 and 503, or the last one's answer: in `upstream`. Else what the client is
// told.
Task<std::optional<Refusal>> Relay::connect_to_model(Exchange& exchange, Job& job, Upstream& upstream) {
    using Why = Balancer::Choice::Why;
    const std::vector<Target>& targets = job.model->targets;
    Demand demand = demand_of(job);
    demand.mean_answer = balancer_.mean_answer(targets);
    std::vector<bool> tried(targets.size(), false);
    size_t left = targets.size();
    for (Balancer::Choice choice = balancer_.choose(targets, tried, demand);; choice = balancer_.choose(targets, tried, demand)) {
        if (choice.why == Why::kFull) metrics_.queue_full(job.record.model);
        if (choice.why != Why::kChosen) co_return none_free(job, choice);
        const Target& target = targets[choice.index];
        if (left < targets.size()) metrics_.retried();
        tried[choice.index] = true;
        --left;
        upstream.lease = balancer_.lease(target, demand);
        job.record.instance_id = target.instance_id;
        exchange.on_client_gone([stop = upstream.stop]() mutable { stop.cancel(); });
        if (exchange.client_gone()) upstream.stop.cancel();
        job.live->set_attempt(target.instance_id, upstream.stop);
        http::Client::Call call = call_for(exchange, job, target);
        auto answer = co_await client_.send(target.endpoint, std::move(call), upstream.stop);
        if (answer) {
            upstream.response = std::move(answer).value();
            const int status = upstream.response->status();
            const bool whole = job.answer == Answer::kWhole || job.answer == Answer::kText;
            if (status == 200 && whole) {
                Result<std::string> body = co_await upstream.response->read_all();
                upstream.whole = std::move(body);
            } else if (status == 200 && job.answer == Answer::kBytes) {
                Result<std::string> first = co_await upstream.response->read();
                upstream.whole = std::move(first);
            }
            const bool broke_off = upstream.whole && !*upstream.whole && upstream.whole->error().code == ErrorCode::kUnavailable;
            const bool taken = status != 502 && status != 503;
            if (taken) upstream.lease.answered();
            else failed(upstream.lease, job);
            if ((taken && !broke_off) || left == 0) co_return std::nullopt;
            if (broke_off) failed(upstream.lease, job);
        } else if (answer.error().code == ErrorCode::kCancelled) {
            co_return gone(job, answer.error());
        } else {
            failed(upstream.lease, job);
            if (answer.error().code == ErrorCode::kDeadlineExceeded) co_return Refusal{504, too_slow(job), 0};
        }
        log::warn("request {}: instance {} of {} did not take it: {}", exchange.request().id, target.instance_id.text, job.record.model,
                  upstream.whole ? upstream.whole->error().message
                  : upstream.response ? "it answered " + std::to_string(upstream.response->status()) : answer.error().message);
        upstream = {};
    }
}

void Relay::failed(Balancer::Lease& lease, const Job& job) {
    if (!lease.failed()) return;
    metrics_.breaker_opened(job.record.model);
    log::warn("instance {} of {} failed in a row: it gets no requests for a while", lease.instance().text, job.record.model);
}

// The engine said no. Its reason is passed on in our shape; what is between us and it is not the client's business.
Task<void> Relay::refuse_upstream_error(Exchange& exchange, Job& job, Upstream& upstream) {
    int status = upstream.response->status();
    const int retry_after = retry_after_of(upstream.response->headers());
    Refusal failure{status, engine_gone(job), retry_after};
    Result<std::string> body = co_await upstream.response->read_all();
    if (!body && body.error().code == ErrorCode::kCancelled) {
        failure = gone(job, body.error());
    } else if (refuses_our_key(job, status)) {   // trying again won't help
        Error refused = unavailable(whose(job) + " refuses the key that this server has for it: its administrator has to set another.",
                                    "provider_refused");
        co_await fail(exchange, job, {502, std::move(refused)});
        co_return;
    } else if (job.media && (status == 404 || status == 405 || status == 501)) {
        const bool own_words = job.model->outside.has_value() && body.ok();
        const Result<json::value> parsed = own_words ? parse_json(*body) : Result<json::value>(internal_error(""));
        const std::optional<Error> error = parsed ? openai::error_of(status, *parsed) : std::nullopt;
        failure = Refusal(error ? *error : invalid_argument(whose(job) + " does not do this: it has no " + job.target + ". Choose another model.",
                                                            "model", "unsupported_operation"));
        if (error) failure.status = status == 501 ? 400 : status;
    } else if (status == 401 || status == 403 || status < 400) {
        log::error("request {}: instance {} answered {}", exchange.request().id, upstream.lease.instance().text, status);
        failed(upstream.lease, job);
        failure.status = 502;
    } else if (body) {
        const Result<json::value> parsed = parse_json(*body);
        const std::optional<Error> error = parsed ? openai::error_of(status, *parsed) : std::nullopt;
        failure.error = error ? *error
                              : openai::error_from_status(status, whose(job) + " answered with status " + std::to_string(status) + ".");
    }
    if ((failure.status == 502 || failure.status == 503) && failure.retry_after_s == 0) {
        failure.retry_after_s = kEngineRetrySeconds;
    }
    co_await fail(exchange, job, std::move(failure));
}

Task<void> Relay::relay_whole(Exchange& exchange, Job& job, Upstream& upstream) {
    Result<std::string>& body = *upstream.whole;
    std::optional<Refusal> failure = body ? take_whole(job, upstream, *body) : unread(job, upstream, body.error());
    if (failure) {
        co_await fail(exchange, job, *std::move(failure));
        co_return;
    }
    meter(exchange, job, 200, exchange.client_gone());
    http::Response response = http::json_response(200, *std::move(body));
    co_await exchange.respond(std::move(response));
}

Refusal Relay::unread(const Job& job, Upstream& upstream, const Error& why) {
    if (why.code == ErrorCode::kCancelled) return gone(job, why);
    failed(upstream.lease, job);
    if (why.code == ErrorCode::kDeadlineExceeded) return {504, too_slow(job), 0};
    return {502, engine_gone(job), kEngineRetrySeconds};
}

// Looks into a whole answer, which becomes the client's; or why it is none.
std::optional<Refusal> Relay::take_whole(Job& job, Upstream& upstream, std::string& body) {
    WholeAnswer answer = read_whole(body, {job.answer_key, job.record.model, answers_as_another(job), job.translator.get()});
    if (!answer.valid) {
        failed(upstream.lease, job);
        return Refusal{502, answer.error ? *std::move(answer.error) : engine_gone(job), kEngineRetrySeconds};
    }
    note_output(job, clock_.steady());
    if (job.media) {
        const Result<json::value> parsed = parse_json(body);
        if (parsed && parsed->is_object()) note_media(job, media_usage(parsed->get_object()));
        return std::nullopt;
    }
    if (answer.usage) note_usage(job, *answer.usage);
    if (answer.timings) metrics_.timings(job.record.model, *answer.timings);
    job.record.estimated = !answer.usage && job.computes;
    return std::nullopt;
}

Task<void> Relay::relay_stream(Exchange& exchange, Job& job, Upstream& upstream) {
    if (!has_content_type(upstream.response->headers(), "text/event-stream")) {
        // Nothing has been sent yet, so an honest status is possible.
        Result<std::string> body = co_await upstream.response->read_all();
        const Result<json::value> parsed = body ? parse_json(*body) : Result<json::value>(internal_error(""));
        std::optional<Error> error = parsed ? openai::error_of(500, *parsed) : std::nullopt;
        const bool cancelled = !body && body.error().code == ErrorCode::kCancelled;
        Refusal failure{502, error ? *std::move(error) : engine_gone(job), kEngineRetrySeconds};
        if (cancelled) failure = gone(job, body.error());
        else failed(upstream.lease, job);
        co_await fail(exchange, job, std::move(failure));
        co_return;
    }
    Error broken;
    End end = End::kClientGone;
    StreamRewriter rewriter({job.record.model, answers_as_another(job), job.wants_usage, job.translator.get()});
    bool begun = exchange.started();   // it was held
    if (!begun) {
        http::Headers headers = stream_headers();
        begun = co_await exchange.start_stream(200, std::move(headers));
    }
    if (begun) end = co_await pump(exchange, job, upstream, rewriter, broken);
    settle_usage(job, rewriter);
    if (end == End::kClientGone) {
        upstream.stop.cancel();
        upstream.response->cancel();
        meter(exchange, job, begun ? 200 : kStatusClientGone, true);
        co_return;
    }
    // The last event and the end of the body: only now, after the record is written, may the client believe it complete.
    meter(exchange, job, 200, job.live->cancelled() != nullptr && end != End::kDone, end == End::kBroken ? openai::reason_of(broken) : std::string());
    if (end == End::kBroken) {
        upstream.response->cancel();
        if (!is_clients_doing(broken)) {
            failed(upstream.lease, job);
            log::warn("request {}: the stream of instance {} broke: {}", exchange.request().id, upstream.lease.instance().text,
                      log::escape(broken.message, 200));
        }
        co_await exchange.write(rewriter.broken(broken));
        co_await exchange.finish();
        co_return;
    }
    co_await exchange.write(rewriter.end());
    co_await exchange.finish();
    co_await drain(upstream);
}

// The events that these bytes complete, as the client gets them.
Status Relay::take_events(std::string_view bytes, const Job& job, http::SseReader& reader, StreamRewriter& rewriter, std::string& out) const {
    reader.add(bytes);
    http::SseView event;
    for (bool any = false;; any = true) {
        const Result<bool> more = reader.next(event);
        if (!more) return engine_gone(job);
        if (!*more) {
            if (!any && bytes.front() == ':' && !reader.mid_event()) out = http::kSsePing;  // the engine is busy and says so; so do we
            return Ok{};
        }
        GANTRY_TRY(rewriter.take(event, out));
        if (rewriter.done()) return Ok{};
    }
}

// Passes events on until the stream's end.
Task<Relay::End> Relay::pump(Exchange& exchange, Job& job, Upstream& upstream, StreamRewriter& rewriter,
                             Error& broken) {
    http::SseReader reader(kEventBytesMax);
    std::string out = rewriter.begin();
    if (!out.empty()) {
        const bool written = co_await exchange.write(out);
        if (!written) co_return End::kClientGone;
    }
    End end = End::kBroken;
    for (;;) {
        const auto piece = upstream.response->try_read();
        if (!piece) {
            co_await upstream.response->wait();
            continue;
        }
        if (!*piece) {
            const ErrorCode why = piece->error().code;
            if (why == ErrorCode::kCancelled || exchange.client_gone()) end = End::kClientGone;
            broken = why == ErrorCode::kDeadlineExceeded ? too_slow(job) : engine_gone(job);
            if (job.live->cancelled() != nullptr && !exchange.client_gone()) {
                end = End::kBroken;
                broken = *job.live->cancelled();
            }
            break;
        }
        const std::string_view bytes = **piece;
        if (bytes.empty()) {  // the end of the body without [DONE]
            broken = engine_gone(job);
            break;
        }
        out.clear();
        Status taken = take_events(bytes, job, reader, rewriter, out);
        if (rewriter.output_events() > job.gaps.events()) {
            note_tokens(job, rewriter);
            upstream.lease.progress(rewriter.output_events());
        }
        if (!out.empty() && !exchange.try_write(out)) {
            const bool written = co_await exchange.write(out);
            if (!written) {
                end = End::kClientGone;
                break;
            }
        }
        if (!taken) {
            broken = std::move(taken).error();
            break;
        }
        if (rewriter.done()) {
            end = End::kDone;
            break;
        }
    }
    co_return end;
}

void Relay::settle_usage(Job& job, const StreamRewriter& rewriter) {
    metrics_.gaps(job.record.model, job.gaps);
    if (rewriter.timings()) metrics_.timings(job.record.model, *rewriter.timings());
    if (rewriter.usage()) {
        note_usage(job, *rewriter.usage());
        return;
    }
    // No figures from the engine: an event is about a token, and four bytes of the request are.
    job.record.estimated = true;
    job.record.completion_tokens = rewriter.output_events();
    job.record.prompt_tokens = job.output_seen ? static_cast<uint32_t>(job.body.text.size() / 4) : 0;
}

// Reads what is left behind [DONE], usually the end of the chunked body, so that the connection can be used again.
Task<void> Relay::drain(Upstream& upstream) {
    http::asio::steady_timer timer(io_, kDrainFor);
    timer.async_wait([stop = upstream.stop](const boost::system::error_code& failure) mutable {
        if (!failure) stop.cancel();
    });
    for (int pieces = 0; pieces < 16; ++pieces) {
        const Result<std::string> piece = co_await upstream.response->read();
        if (!piece || piece->empty()) break;
    }
    timer.cancel();
}

Task<void> Relay::fail(Exchange& exchange, Job& job, Refusal failure) {
    const bool cut_off = failure.status == kStatusClientGone || exchange.client_gone();
    const bool left = exchange.client_gone() || (cut_off && job.live->cancelled() == nullptr);
    job.record.estimated = job.computes;
    const int status = exchange.started() ? 200 : failure.status;   // of a stream that was held and gets an error event
    meter(exchange, job, cut_off ? kStatusClientGone : status, cut_off, left ? std::string() : openai::reason_of(failure.error));
    if (left) co_return;
    if (job.translator) failure.error = job.translator->renamed(std::move(failure.error));
    if (exchange.started()) {
        StreamRewriter rewriter({job.record.model, answers_as_another(job), job.wants_usage, job.translator.get()});
        const std::string events = rewriter.begin() + rewriter.broken(failure.error);
        co_await exchange.write(events);
        co_await exchange.finish();
        co_return;
    }
    http::Response response = answer_of(failure, exchange.request().path);
    co_await exchange.respond(std::move(response));
}

// Why an engine was left: the client did, or somebody cancelled the request, which the client is told.
Refusal Relay::gone(const Job& job, const Error& cancelled) const {
    return Refusal{kStatusClientGone, job.live->cancelled() != nullptr ? *job.live->cancelled() : cancelled, 0};
}

void Relay::note_tokens(Job& job, const StreamRewriter& rewriter) {
    const SteadyTime now = clock_.steady();
    note_output(job, now);
    job.gaps.add(now, rewriter.output_events());
    job.live->set_tokens(rewriter.output_events());
    if (rewriter.usage()) job.live->set_prompt_tokens(rewriter.usage()->prompt_tokens);
}

void Relay::note_output(Job& job, SteadyTime now) {
    if (job.output_seen) return;
    job.output_seen = true;
    const Duration passed = now - job.begun;
    job.record.ttft_ms = milliseconds(passed);
    metrics_.first_token(job.record.model, std::chrono::duration<double>(passed).count());
}

void Relay::note_usage(Job& job, const openai::Usage& usage) {
    job.record.estimated = false;
    job.record.prompt_tokens = usage.prompt_tokens;
    job.record.cached_tokens = usage.cached_tokens;
    job.record.completion_tokens = usage.completion_tokens;
    job.record.reasoning_tokens = usage.reasoning_tokens;
}

void Relay::meter(Exchange& exchange, Job& job, int status, bool aborted, const std::string& error) {
    job.record.status = status;
    job.record.aborted = aborted;
    job.record.at = clock_.wall();
    const Duration took = clock_.steady() - job.begun;
    job.record.duration_ms = milliseconds(took);
    meter_.append(job.record);
    job.lease.settle(uint64_t{job.record.prompt_tokens} + job.record.completion_tokens);
    metrics_.ended(job.record, took);
    exchange.log_fields = log_fields(principal(exchange), job.record, job.trace, error);
}

}  // namespace gantry::gateway
