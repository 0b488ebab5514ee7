// The relay's answers of audio and images: texts in one piece, sound as it comes, events.

#include <charconv>
#include <cmath>

#include "base/ascii.h"
#include "base/json.h"
#include "base/log.h"
#include "gateway/relay.h"
#include "gateway/relay_texts.h"
#include "protocol/openai/errors.h"

namespace gantry::gateway {
namespace {

namespace openai = protocol::openai;
using http::Exchange;
using http::Task;

constexpr size_t kEventBytesMax = 32u << 20;   // of an event with an image
constexpr size_t kTypeMax = 100;

// "audio/mpeg; rate=1": the type alone, in lower case.
std::string bare_type(std::string_view type) {
    return lowered(type.substr(0, type.find_first_of("; \t")));
}

bool is_listed(const std::string& type, const std::string& types) {
    return !type.empty() && (" " + types + " ").find(" " + type + " ") != std::string::npos;
}

// What the client is told that it gets: the engine's words, where they are plain.
std::string shown_type(std::string_view type) {
    const bool plain = type.size() <= kTypeMax && std::all_of(type.begin(), type.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
    return plain ? std::string(type) : bare_type(type);
}

// Of a text that has no place for it; our engine says it so.
double audio_seconds(const http::Headers& headers) {
    const std::string_view text = headers.get("x-audio-seconds");
    double seconds = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    const bool number = failure == std::errc() && end == text.data() + text.size();
    return number && seconds > 0 && seconds <= kAudioSecondsMax ? seconds : 0;
}

}  // namespace

// An answer of a type that none may have: an error in a 200, a page of a proxy.
std::optional<Refusal> Relay::wrong_type(Job& job, Upstream& upstream, std::string_view body) {
    if (is_listed(bare_type(upstream.response->headers().get("content-type")), job.answer_types)) return std::nullopt;
    failed(upstream.lease, job);
    const Result<json::value> parsed = parse_json(body);
    std::optional<Error> error = parsed ? openai::error_of(500, *parsed) : std::nullopt;
    return Refusal{502, error ? *std::move(error) : engine_gone(job), kEngineRetrySeconds};
}

Task<void> Relay::relay_text(Exchange& exchange, Job& job, Upstream& upstream) {
    Result<std::string>& body = *upstream.whole;
    std::optional<Refusal> failure = body ? wrong_type(job, upstream, *body) : unread(job, upstream, body.error());
    if (failure) {
        co_await fail(exchange, job, *std::move(failure));
        co_return;
    }
    note_output(job, clock_.steady());
    note_media(job, {.audio_seconds = audio_seconds(upstream.response->headers())});
    meter(exchange, job, 200, exchange.client_gone());
    http::Response response;
    response.headers.set("content-type", shown_type(upstream.response->headers().get("content-type")));
    response.body = *std::move(body);
    co_await exchange.respond(std::move(response));
}

Task<void> Relay::relay_bytes(Exchange& exchange, Job& job, Upstream& upstream) {
    const Result<std::string>& first = *upstream.whole;
    std::optional<Refusal> failure = first ? wrong_type(job, upstream, *first) : unread(job, upstream, first.error());
    if (failure) {
        co_await fail(exchange, job, *std::move(failure));
        co_return;
    }
    http::Headers headers;
    headers.set("content-type", shown_type(upstream.response->headers().get("content-type")));
    const bool begun = co_await exchange.start_stream(200, std::move(headers));
    End end = End::kClientGone;
    uint64_t bytes = 0;
    if (begun) end = co_await pump_bytes(exchange, job, upstream, bytes);
    const bool cut = end != End::kDone;
    meter(exchange, job, begun ? 200 : kStatusClientGone, end == End::kClientGone, end == End::kBroken ? "engine_crashed" : "");
    if (!cut) {
        co_await exchange.finish();
        co_return;
    }
    upstream.stop.cancel();
    upstream.response->cancel();
    if (end == End::kBroken) {
        failed(upstream.lease, job);
        log::warn("request {}: the answer of instance {} broke off after {} bytes", exchange.request().id, upstream.lease.instance().text, bytes);
    }
    exchange.abort();   // the client sees that it is not whole
}

Task<Relay::End> Relay::pump_bytes(Exchange& exchange, Job& job, Upstream& upstream, uint64_t& bytes) {
    Result<std::string> piece = std::move(*upstream.whole);
    for (; piece && !piece->empty();) {
        note_output(job, clock_.steady());
        bytes += piece->size();
        const bool written = co_await exchange.write(*piece);
        if (!written) co_return End::kClientGone;
        Result<std::string> next = co_await upstream.response->read();
        piece = std::move(next);
    }
    if (piece) co_return End::kDone;
    co_return piece.error().code == ErrorCode::kCancelled || exchange.client_gone() ? End::kClientGone : End::kBroken;
}

Task<void> Relay::relay_events(Exchange& exchange, Job& job, Upstream& upstream) {
    if (!has_content_type(upstream.response->headers(), "text/event-stream")) {
        Result<std::string> body = co_await upstream.response->read_all();
        Refusal failure = body ? *wrong_type(job, upstream, *body) : unread(job, upstream, body.error());
        co_await fail(exchange, job, std::move(failure));
        co_return;
    }
    bool begun = exchange.started();   // it was held
    if (!begun) {
        http::Headers headers = stream_headers();
        begun = co_await exchange.start_stream(200, std::move(headers));
    }
    Error broken;
    MediaEvents events(job.record.model);
    End end = End::kClientGone;
    if (begun) end = co_await pump_events(exchange, job, upstream, events, broken);
    note_media(job, events.usage());
    const bool cancelled = job.live->cancelled() != nullptr;
    if (end != End::kDone) {
        upstream.stop.cancel();
        upstream.response->cancel();
    }
    if (end == End::kClientGone) {
        meter(exchange, job, begun ? 200 : kStatusClientGone, true);
        co_return;
    }
    meter(exchange, job, 200, cancelled && end == End::kBroken, end == End::kBroken ? openai::reason_of(broken) : std::string());
    if (end == End::kBroken && !is_clients_doing(broken)) failed(upstream.lease, job);
    const std::string last = end == End::kDone ? events.end() : MediaEvents::broken(broken);
    co_await exchange.write(last);
    co_await exchange.finish();
    if (end == End::kDone && events.done()) co_await drain(upstream);
}

Task<Relay::End> Relay::pump_events(Exchange& exchange, Job& job, Upstream& upstream, MediaEvents& events, Error& broken) {
    http::SseReader reader(kEventBytesMax);
    std::string out;
    for (;;) {
        Result<std::string> piece = co_await upstream.response->read();
        if (!piece) {
            End end = End::kBroken;
            broken = ended(job, exchange, piece.error(), end);
            co_return end;
        }
        if (piece->empty()) {   // the end of the body, with or without [DONE]
            broken = engine_gone(job);
            co_return events.whole() && !reader.mid_event() ? End::kDone : End::kBroken;
        }
        out.clear();
        Result<std::vector<http::SseEvent>> read = reader.feed(*piece);
        Status taken = read ? Status(Ok{}) : Status(engine_gone(job));
        if (read && read->empty() && piece->front() == ':' && !reader.mid_event()) out = http::kSsePing;
        if (read) {
            for (const http::SseEvent& event : *read) {
                taken = events.take(event, out);
                if (!taken || events.done()) break;
            }
        }
        if (events.events() > 0) note_output(job, clock_.steady());
        if (!out.empty()) {
            const bool written = co_await exchange.write(out);
            if (!written) co_return End::kClientGone;
        }
        if (!taken) {
            broken = std::move(taken).error();
            co_return End::kBroken;
        }
        if (events.done()) co_return End::kDone;
    }
}

// Why the engine's body can't be read on, and whom that leaves.
Error Relay::ended(const Job& job, const Exchange& exchange, const Error& why, End& end) const {
    if (job.live->cancelled() != nullptr && !exchange.client_gone()) return *job.live->cancelled();
    if (why.code == ErrorCode::kCancelled || exchange.client_gone()) end = End::kClientGone;
    return why.code == ErrorCode::kDeadlineExceeded ? too_slow(job) : engine_gone(job);
}

void Relay::note_media(Job& job, const MediaUsage& usage) {
    if (usage.input_tokens) job.record.prompt_tokens = *usage.input_tokens;
    if (usage.output_tokens) job.record.completion_tokens = *usage.output_tokens;
    job.record.audio_ms = static_cast<uint32_t>(std::lround(usage.audio_seconds * 1000));
    job.record.images = usage.images;
    metrics_.media(job.record.model, usage.audio_seconds, usage.images);
}

}  // namespace gantry::gateway
