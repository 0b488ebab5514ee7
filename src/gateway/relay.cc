#include "gateway/relay.h"

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <charconv>

#include "base/json.h"
#include "base/log.h"
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
constexpr int kStatusClientGone = 499;           // in records only; nobody is there to get it
constexpr std::chrono::seconds kDrainFor{1};
constexpr int kEngineRetrySeconds = 1;

http::ClientOptions client_options(const GatewayOptions& options) {
    http::ClientOptions out;
    out.connect_timeout = options.connect_timeout;
    out.header_timeout = options.answer_timeout;
    out.idle_timeout = options.idle_timeout;
    out.head_bytes = kHeadBytesMax;
    out.body_bytes = kAnswerBytesMax;
    return out;
}

Error engine_gone(const std::string& model) {
    return unavailable("The engine of model '" + model + "' failed. It is being restarted; try again in a moment.",
                       "engine_crashed");
}

Error too_slow(const std::string& model) {
    return Error{ErrorCode::kDeadlineExceeded, "The engine of model '" + model + "' did not answer in time. Try again.", {},
                 "upstream_timeout"};
}

bool has_content_type(const http::Headers& headers, std::string_view wanted) {
    const std::string_view value = headers.get("content-type");
    if (value.size() < wanted.size()) return false;
    const bool equal = std::equal(wanted.begin(), wanted.end(), value.begin(), [](char a, char b) {
        return a == (b >= 'A' && b <= 'Z' ? static_cast<char>(b - 'A' + 'a') : b);
    });
    return equal && (value.size() == wanted.size() || value[wanted.size()] == ';' || value[wanted.size()] == ' ');
}

// Only a plain number of seconds is passed on.
int retry_after_of(const http::Headers& headers) {
    const std::string_view text = headers.get("retry-after");
    int seconds = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    const bool whole = failure == std::errc() && end == text.data() + text.size();
    return whole ? std::clamp(seconds, 0, 120) : 0;
}

// Ends that the client brought about itself: the engine is as well as ever.
bool is_clients_doing(const Error& error) { return error.reason == "deadline_exceeded" || error.reason == "slow_reader"; }

uint32_t milliseconds(Duration duration) {
    return static_cast<uint32_t>(std::max<int64_t>(0, std::chrono::duration_cast<std::chrono::milliseconds>(duration).count()));
}

}  // namespace

Relay::Relay(http::asio::io_context& io, const Clock& clock, const GatewayOptions& options, Meter& meter,
             GatewayMetrics& metrics)
    : clock_(clock), client_(io, client_options(options)), io_(io), balancer_(clock), meter_(meter), metrics_(metrics) {}

Task<void> Relay::run(Exchange& exchange, Job job) {
    Refusal failure;
    Result<Upstream> upstream = co_await connect(exchange, job, failure);
    if (!upstream) {
        co_await fail(exchange, job, std::move(failure));
        co_return;
    }
    const int status = upstream->response->status();
    if (status != 200) {
        co_await refuse_upstream_error(exchange, job, *upstream);
    } else if (job.stream) {
        co_await relay_stream(exchange, job, *upstream);
    } else {
        co_await relay_whole(exchange, job, *upstream);
    }
}

http::Client::Call Relay::call_for(const Exchange& exchange, const Job& job, const Target& target) const {
    http::Client::Call call;
    call.method = "POST";
    call.target = job.target;
    // Built anew: nothing of the client's headers goes on, but the trace it belongs to.
    call.headers.add("content-type", "application/json");
    call.headers.add("x-request-id", exchange.request().id);
    if (!target.api_key.empty()) call.headers.add("authorization", "Bearer " + target.api_key);
    const std::string_view trace = exchange.request().headers.get("traceparent");
    if (!trace.empty() && trace.size() <= 64) call.headers.add("traceparent", std::string(trace));
    call.body = job.body;
    return call;
}

// The first instance that answers with anything but 502 and 503, or the last one's answer. On an error `failure` says what the
// client is told.
Task<Result<Relay::Upstream>> Relay::connect(Exchange& exchange, Job& job, Refusal& failure) {
    const std::vector<Target>& targets = job.model->targets;
    std::vector<bool> tried(targets.size(), false);
    size_t left = targets.size();
    failure = Refusal{502, engine_gone(job.model->name), kEngineRetrySeconds};
    for (std::optional<size_t> choice = balancer_.choose(targets, tried); choice; choice = balancer_.choose(targets, tried)) {
        const Target& target = targets[*choice];
        tried[*choice] = true;
        --left;
        Upstream upstream;
        upstream.lease = balancer_.lease(target.instance_id);
        job.record.instance_id = target.instance_id;
        exchange.on_client_gone([stop = upstream.stop]() mutable { stop.cancel(); });
        if (exchange.client_gone()) upstream.stop.cancel();
        http::Client::Call call = call_for(exchange, job, target);
        auto answer = co_await client_.send(target.endpoint, std::move(call), upstream.stop);
        if (answer) {
            upstream.response = std::move(answer).value();
            const int status = upstream.response->status();
            if ((status != 502 && status != 503) || left == 0) co_return Result<Upstream>(std::move(upstream));
        } else if (answer.error().code == ErrorCode::kCancelled) {
            failure = Refusal{kStatusClientGone, std::move(answer).error(), 0};
            co_return failure.error;
        } else if (answer.error().code == ErrorCode::kDeadlineExceeded) {
            balancer_.suspect(target.instance_id);
            failure = Refusal{504, too_slow(job.model->name), 0};
            co_return failure.error;
        }
        log::warn("request {}: instance {} of {} did not take it: {}", exchange.request().id, target.instance_id.text,
                  job.model->name, answer ? "it answered " + std::to_string((*upstream.response).status())
                                          : answer.error().message);
        balancer_.suspect(target.instance_id);
        if (left > 0) metrics_.retried();
    }
    co_return failure.error;
}

// The engine said no. Its reason is passed on in our shape; what is between us and it is not the client's business.
Task<void> Relay::refuse_upstream_error(Exchange& exchange, Job& job, Upstream& upstream) {
    int status = upstream.response->status();
    const int retry_after = retry_after_of(upstream.response->headers());
    Refusal failure{status, engine_gone(job.model->name), retry_after};
    Result<std::string> body = co_await upstream.response->read_all();
    if (!body && body.error().code == ErrorCode::kCancelled) {
        failure.status = kStatusClientGone;
    } else if (status == 401 || status == 403 || status < 400) {
        log::error("request {}: instance {} answered {}", exchange.request().id, upstream.lease.instance().text, status);
        balancer_.suspect(upstream.lease.instance());
        failure.status = 502;
    } else if (body) {
        const Result<json::value> parsed = parse_json(*body);
        const std::optional<Error> error = parsed ? openai::error_of(status, *parsed) : std::nullopt;
        failure.error = error ? *error
                              : openai::error_from_status(status, "The engine of this model answered with status " +
                                                                      std::to_string(status) + ".");
    }
    if ((failure.status == 502 || failure.status == 503) && failure.retry_after_s == 0) {
        failure.retry_after_s = kEngineRetrySeconds;
    }
    co_await fail(exchange, job, std::move(failure));
}

Task<void> Relay::relay_whole(Exchange& exchange, Job& job, Upstream& upstream) {
    Result<std::string> body = co_await upstream.response->read_all();
    if (!body) {
        const ErrorCode code = body.error().code;
        Refusal failure{502, engine_gone(job.model->name), kEngineRetrySeconds};
        if (code == ErrorCode::kCancelled) failure = Refusal{kStatusClientGone, body.error(), 0};
        if (code == ErrorCode::kDeadlineExceeded) failure = Refusal{504, too_slow(job.model->name), 0};
        if (code != ErrorCode::kCancelled) balancer_.suspect(upstream.lease.instance());
        co_await fail(exchange, job, std::move(failure));
        co_return;
    }
    Result<json::value> parsed = parse_json(*body);
    const bool answer = parsed && parsed->is_object() && (job.answer_key == nullptr || parsed->get_object().contains(job.answer_key));
    if (!answer) {
        // An error in a 200 is an error; anything else is no answer at all.
        std::optional<Error> error = parsed ? openai::error_of(500, *parsed) : std::nullopt;
        balancer_.suspect(upstream.lease.instance());
        Refusal failure{502, error ? *std::move(error) : engine_gone(job.model->name), kEngineRetrySeconds};
        co_await fail(exchange, job, std::move(failure));
        co_return;
    }
    json::object& fields = parsed->get_object();
    note_output(job);
    const std::optional<openai::Usage> usage = openai::usage_of(fields);
    if (usage) note_usage(job, *usage);
    job.record.estimated = !usage && job.computes;
    if (job.translator) {
        *body = json::serialize(job.translator->whole(fields));
    } else if (job.model->backend != BackendKind::kEngine) {
        fields["model"] = job.model->name;
        *body = json::serialize(fields);
    }
    meter(job, 200, exchange.client_gone());
    http::Response response = http::json_response(200, *std::move(body));
    co_await exchange.respond(std::move(response));
}

Task<void> Relay::relay_stream(Exchange& exchange, Job& job, Upstream& upstream) {
    if (!has_content_type(upstream.response->headers(), "text/event-stream")) {
        // Nothing has been sent yet, so an honest status is possible.
        Result<std::string> body = co_await upstream.response->read_all();
        const Result<json::value> parsed = body ? parse_json(*body) : Result<json::value>(internal_error(""));
        std::optional<Error> error = parsed ? openai::error_of(500, *parsed) : std::nullopt;
        balancer_.suspect(upstream.lease.instance());
        Refusal failure{502, error ? *std::move(error) : engine_gone(job.model->name), kEngineRetrySeconds};
        if (!body && body.error().code == ErrorCode::kCancelled) failure.status = kStatusClientGone;
        co_await fail(exchange, job, std::move(failure));
        co_return;
    }
    http::Headers headers;
    headers.add("content-type", "text/event-stream");
    headers.add("cache-control", "no-cache");
    Error broken;
    End end = End::kClientGone;
    StreamRewriter rewriter({job.model->name, job.model->backend != BackendKind::kEngine, job.wants_usage, job.translator.get()});
    const bool begun = co_await exchange.start_stream(200, std::move(headers));
    if (begun) end = co_await pump(exchange, job, upstream, rewriter, broken);
    settle_usage(job, rewriter);
    if (end == End::kClientGone) {
        upstream.stop.cancel();
        upstream.response->cancel();
        meter(job, begun ? 200 : kStatusClientGone, true);
        co_return;
    }
    // The last event and the end of the body: only now, after the record is written, may the client believe it complete.
    meter(job, 200, false);
    if (end == End::kBroken) {
        upstream.response->cancel();
        if (!is_clients_doing(broken)) {
            balancer_.suspect(upstream.lease.instance());
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
        Result<std::string> piece = co_await upstream.response->read();
        if (!piece) {
            if (piece.error().code == ErrorCode::kCancelled || exchange.client_gone()) end = End::kClientGone;
            broken = piece.error().code == ErrorCode::kDeadlineExceeded ? too_slow(job.model->name) : engine_gone(job.model->name);
            break;
        }
        if (piece->empty()) {  // the end of the body without [DONE]
            broken = engine_gone(job.model->name);
            break;
        }
        out.clear();
        Result<std::vector<http::SseEvent>> events = reader.feed(*piece);
        Status taken = Ok{};
        if (!events) {
            taken = engine_gone(job.model->name);
        } else if (events->empty() && piece->front() == ':' && !reader.mid_event()) {
            out = http::kSsePing;  // the engine is busy and says so; so do we
        } else {
            for (const http::SseEvent& event : *events) {
                taken = rewriter.take(event, out);
                if (!taken || rewriter.done()) break;
            }
        }
        if (rewriter.output_events() > 0) note_output(job);
        if (!out.empty()) {
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
    if (rewriter.usage()) {
        note_usage(job, *rewriter.usage());
        return;
    }
    // No figures from the engine: an event is about a token, and four bytes of the request are.
    job.record.estimated = true;
    job.record.completion_tokens = rewriter.output_events();
    job.record.prompt_tokens = job.output_seen ? static_cast<uint32_t>(job.body.size() / 4) : 0;
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
    const bool gone = failure.status == kStatusClientGone || exchange.client_gone();
    job.record.estimated = job.computes;
    meter(job, gone ? kStatusClientGone : failure.status, gone);
    if (gone) co_return;
    if (job.translator) failure.error = job.translator->renamed(std::move(failure.error));
    http::Response response = answer_of(failure, exchange.request().path);
    co_await exchange.respond(std::move(response));
}

void Relay::note_output(Job& job) {
    if (job.output_seen) return;
    job.output_seen = true;
    const Duration passed = clock_.steady() - job.begun;
    job.record.ttft_ms = milliseconds(passed);
    metrics_.first_token(job.model->name, std::chrono::duration<double>(passed).count());
}

void Relay::note_usage(Job& job, const openai::Usage& usage) {
    job.record.estimated = false;
    job.record.prompt_tokens = usage.prompt_tokens;
    job.record.cached_tokens = usage.cached_tokens;
    job.record.completion_tokens = usage.completion_tokens;
    job.record.reasoning_tokens = usage.reasoning_tokens;
}

void Relay::meter(Job& job, int status, bool aborted) {
    job.record.status = status;
    job.record.aborted = aborted;
    job.record.at = clock_.wall();
    job.record.duration_ms = milliseconds(clock_.steady() - job.begun);
    meter_.append(job.record);
    job.lease.settle(uint64_t{job.record.prompt_tokens} + job.record.completion_tokens);
    metrics_.request_done(job.record.operation, status);
    metrics_.tokens(job.model->name, job.record.prompt_tokens, job.record.completion_tokens);
}

}  // namespace gantry::gateway
