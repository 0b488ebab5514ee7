#include <boost/asio/post.hpp>
#include <chrono>
#include <deque>
#include <optional>

#include "engine_server/endpoints/endpoints.h"
#include "http/multipart.h"
#include "protocol/openai/transcripts.h"

namespace gantry::engine_server {
namespace {

namespace openai = protocol::openai;

constexpr std::chrono::milliseconds kPingEvery{10'000};

// A job while the transcriber has it. Shared, because the handler and the transcriber's callbacks may
// each be the one that ends last. The io thread's, but for what is posted to it.
struct Hearing {
    explicit Hearing(http::asio::io_context& io) : changed(io) {}

    http::Signal changed;
    std::deque<std::string> deltas;
    std::optional<Result<speech::Heard>> outcome;
    bool stopping = false;
};

Result<openai::TranscriptionRequest> read_request(const http::Request& request, bool translation) {
    const auto form = http::read_form(request.headers.get("content-type"), request.body);
    if (!form) {
        return form.error();
    }
    return openai::parse_transcription(openai::fields_of(*form), translation);
}

speech::TranscriptionJob job_of(const openai::TranscriptionRequest& asked, bool translation) {
    speech::TranscriptionJob job;
    job.recording = std::string(asked.file);
    job.language = asked.language;
    job.prompt = asked.prompt;
    job.temperature = asked.temperature;
    job.translate = translation;
    job.words = asked.words;
    return job;
}

openai::Transcript transcript_of(speech::Heard heard, const openai::TranscriptionRequest& asked,
                                 bool translation) {
    openai::Transcript out;
    out.translated = translation;
    out.words = asked.words;
    out.seconds = heard.seconds;
    out.temperature = asked.temperature;
    out.language = std::move(heard.language);
    for (speech::Segment& segment : heard.segments) {
        openai::TranscriptSegment& to = out.segments.emplace_back();
        to.start_s = segment.start_s;
        to.end_s = segment.end_s;
        to.text = std::move(segment.text);
        to.tokens = std::move(segment.tokens);
        to.mean_logprob = segment.mean_logprob;
        to.no_speech_probability = segment.no_speech_probability;
        for (speech::Word& word : segment.words) {
            to.words.push_back({std::move(word.text), word.start_s, word.end_s});
        }
    }
    return out;
}

// What waits to be written to a stream; it begins with the first of it. False: the client is gone.
http::Task<bool> write_events(http::Exchange& exchange, std::string events) {
    if (!exchange.started()) {
        http::Headers headers{{"content-type", "text/event-stream"}, {"cache-control", "no-cache"}};
        const bool begun = co_await exchange.start_stream(200, std::move(headers));
        if (!begun) {
            co_return false;
        }
    }
    const bool written = co_await exchange.write(events);
    co_return written;
}

// Waits for the end, streams what is heard meanwhile where that was asked for.
http::Task<Result<speech::Heard>> hear(http::Exchange& exchange, Services& services,
                                       speech::TranscriptionJob job, bool stream) {
    auto hearing = std::make_shared<Hearing>(services.io);
    if (stream) {
        job.on_segment = [hearing, &io = services.io](const speech::Segment& segment) {
            http::asio::post(io, [hearing, text = segment.text] {
                hearing->deltas.push_back(text);
                hearing->changed.notify();
            });
        };
    }
    job.on_done = [hearing, &io = services.io](Result<speech::Heard> outcome) {
        http::asio::post(io, [hearing, outcome = std::move(outcome)]() mutable {
            hearing->outcome = std::move(outcome);
            hearing->changed.notify();
        });
    };
    const StopWatch watch(services.hub, [hearing] {
        hearing->stopping = true;
        hearing->changed.notify();
    });
    const Result<uint64_t> id = services.model->transcriber->submit(std::move(job));
    if (!id) {
        co_return id.error();
    }
    exchange.on_client_gone([hearing] { hearing->changed.notify(); });
    while (!hearing->outcome && !hearing->stopping && !exchange.client_gone()) {
        if (hearing->deltas.empty()) {
            const bool changed = co_await hearing->changed.wait(kPingEvery);
            if (!changed && stream) {
                co_await write_events(exchange, std::string(http::kSsePing));
            }
            continue;
        }
        std::string events;
        for (const std::string& text : std::exchange(hearing->deltas, {})) {
            events += http::sse_event(openai::transcript_delta(text));
        }
        co_await write_events(exchange, std::move(events));
    }
    if (!hearing->outcome) {
        services.model->transcriber->cancel(*id);
        if (hearing->stopping) {
            co_return unavailable("the engine is stopping: send the request again", "engine_stopping");
        }
        co_return Error{ErrorCode::kCancelled, "the client left", {}, {}};
    }
    std::string rest;
    for (const std::string& text : hearing->deltas) {
        rest += http::sse_event(openai::transcript_delta(text));
    }
    if (!rest.empty() && *hearing->outcome) {
        co_await write_events(exchange, std::move(rest));
    }
    co_return std::move(*hearing->outcome);
}

http::Task<void> respond(http::Exchange& exchange, Services& services, bool translation) {
    if (std::optional<Error> error = not_ready(services)) {
        co_await respond_error(exchange, *error);
        co_return;
    }
    if (!services.model->transcriber) {
        const Error error = wrong_kind_of_model(
            "this model does not hear: choose one that transcribes, like Whisper");
        co_await respond_error(exchange, error);
        co_return;
    }
    Result<openai::TranscriptionRequest> asked = read_request(exchange.request(), translation);
    if (!asked) {
        co_await respond_error(exchange, asked.error());
        co_return;
    }
    speech::TranscriptionJob job = job_of(*asked, translation);
    exchange.request().body = {};  // what the job has is enough
    asked->file = {};
    Result<speech::Heard> heard = co_await hear(exchange, services, std::move(job), asked->stream);
    if (!heard && exchange.started()) {
        const std::string event = http::sse_event(error_response(heard.error()).body);
        co_await exchange.write(event);
        co_await exchange.finish();
        co_return;
    }
    if (!heard) {
        co_await respond_error(exchange, heard.error());
        co_return;
    }
    const openai::Transcript transcript =
        transcript_of(std::move(heard).value(), *asked, translation);
    if (asked->stream) {
        std::string last = http::sse_event(openai::transcript_done(transcript));
        co_await write_events(exchange, std::move(last));
        co_await exchange.finish();
        co_return;
    }
    http::Response response;
    response.headers.set("content-type", openai::transcript_type(asked->format));
    response.headers.set("x-audio-seconds", std::to_string(transcript.seconds));
    response.body = openai::transcript_body(transcript, asked->format);
    co_await exchange.respond(std::move(response));
}

}  // namespace

http::Task<void> transcriptions(http::Exchange& exchange, Services& services) {
    return respond(exchange, services, false);
}

http::Task<void> translations(http::Exchange& exchange, Services& services) {
    return respond(exchange, services, true);
}

}  // namespace gantry::engine_server
