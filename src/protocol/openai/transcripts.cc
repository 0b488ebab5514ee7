#include "protocol/openai/transcripts.h"

#include <fmt/format.h>

#include <cmath>

#include "base/json.h"
#include "protocol/openai/utf8.h"

namespace gantry::protocol::openai {
namespace {

double milliseconds(double seconds) { return std::round(seconds * 1000) / 1000; }

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\n')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\n')) text.remove_suffix(1);
    return text;
}

// "00:01:02,345" with `point` between seconds and thousandths.
std::string clock_time(double seconds, char point) {
    const auto ms = static_cast<int64_t>(std::llround(seconds * 1000));
    return fmt::format("{:02}:{:02}:{:02}{}{:03}", ms / 3'600'000, ms / 60'000 % 60, ms / 1000 % 60, point, ms % 1000);
}

// A line of a subtitle: nothing that ends it, and no arrow, which times have.
std::string subtitle(std::string_view text) {
    std::string out = to_utf8(trimmed(text));
    for (char& c : out) {
        if (c == '\n' || c == '\r') c = ' ';
    }
    for (size_t at = out.find("-->"); at != std::string::npos; at = out.find("-->", at)) out.replace(at, 3, "->");
    return out;
}

std::string srt(const Transcript& transcript) {
    std::string out;
    size_t number = 0;
    for (const TranscriptSegment& s : transcript.segments) {
        const std::string begin = clock_time(s.start_s, ','), end = clock_time(s.end_s, ',');
        fmt::format_to(std::back_inserter(out), "{}\n{} --> {}\n{}\n\n", ++number, begin, end, subtitle(s.text));
    }
    return out;
}

std::string vtt(const Transcript& transcript) {
    std::string out = "WEBVTT\n\n";
    for (const TranscriptSegment& s : transcript.segments) {
        fmt::format_to(std::back_inserter(out), "{} --> {}\n{}\n\n", clock_time(s.start_s, '.'), clock_time(s.end_s, '.'), subtitle(s.text));
    }
    return out;
}

json::object usage(const Transcript& transcript) { return {{"type", "duration"}, {"seconds", milliseconds(transcript.seconds)}}; }

json::object short_object(const Transcript& transcript) { return {{"text", transcript_text(transcript)}, {"usage", usage(transcript)}}; }

json::object long_object(const Transcript& transcript) {
    json::object out{{"task", transcript.translated ? "translate" : "transcribe"},
                     {"language", transcript.language},
                     {"duration", milliseconds(transcript.seconds)},
                     {"text", transcript_text(transcript)}};
    json::array segments, words;
    for (const TranscriptSegment& s : transcript.segments) {
        segments.push_back(json::object{{"id", segments.size()},
                                        {"start", milliseconds(s.start_s)},
                                        {"end", milliseconds(s.end_s)},
                                        {"text", to_utf8(s.text)},
                                        {"tokens", json::array(s.tokens.begin(), s.tokens.end())},
                                        {"temperature", transcript.temperature},
                                        {"avg_logprob", s.mean_logprob},
                                        {"no_speech_prob", s.no_speech_probability}});
        for (const TranscriptWord& w : s.words) {
            words.push_back(json::object{{"word", to_utf8(w.text)}, {"start", milliseconds(w.start_s)}, {"end", milliseconds(w.end_s)}});
        }
    }
    out["segments"] = std::move(segments);
    if (transcript.words) out["words"] = std::move(words);
    out["usage"] = usage(transcript);
    return out;
}

}  // namespace

std::string transcript_text(const Transcript& transcript) {
    std::string out;
    for (const TranscriptSegment& segment : transcript.segments) out += segment.text;
    return to_utf8(trimmed(out));
}

std::string transcript_body(const Transcript& transcript, TranscriptFormat format) {
    switch (format) {
        case TranscriptFormat::kJson: return json::serialize(short_object(transcript));
        case TranscriptFormat::kVerboseJson: return json::serialize(long_object(transcript));
        case TranscriptFormat::kSrt: return srt(transcript);
        case TranscriptFormat::kVtt: return vtt(transcript);
        case TranscriptFormat::kText: break;
    }
    return transcript_text(transcript) + "\n";
}

const char* transcript_type(TranscriptFormat format) {
    switch (format) {
        case TranscriptFormat::kJson:
        case TranscriptFormat::kVerboseJson: return "application/json";
        case TranscriptFormat::kVtt: return "text/vtt; charset=utf-8";
        case TranscriptFormat::kSrt: return "application/x-subrip; charset=utf-8";
        case TranscriptFormat::kText: break;
    }
    return "text/plain; charset=utf-8";
}

std::string transcript_delta(std::string_view text) {
    return json::serialize(json::object{{"type", "transcript.text.delta"}, {"delta", to_utf8(text)}});
}

std::string transcript_done(const Transcript& transcript) {
    return json::serialize(json::object{{"type", "transcript.text.done"}, {"text", transcript_text(transcript)}, {"usage", usage(transcript)}});
}

}  // namespace gantry::protocol::openai
