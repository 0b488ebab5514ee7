#pragma once
// Answers of /v1/audio/transcriptions and /v1/audio/translations, in every response_format. Threads: any.

#include <span>
#include <string>
#include <vector>

#include "protocol/openai/audio.h"

namespace gantry::protocol::openai {

struct TranscriptWord {
    std::string text{};
    double start_s = 0, end_s = 0;
};
struct TranscriptSegment {
    double start_s = 0, end_s = 0;
    std::string text{};                  // with the space that it begins with; any bytes
    std::vector<int32_t> tokens{};
    double mean_logprob = 0, no_speech_probability = 0;
    std::vector<TranscriptWord> words{};
};
struct Transcript {
    bool translated = false;
    bool words = false;                  // were asked for
    double seconds = 0;
    double temperature = 0;
    std::string language{};              // "english"
    std::vector<TranscriptSegment> segments{};
};

std::string transcript_text(const Transcript& transcript);
std::string transcript_body(const Transcript& transcript, TranscriptFormat format);
const char* transcript_type(TranscriptFormat format);   // "application/json", ...

// Events of a stream: a segment's text as it is heard, and the end.
std::string transcript_delta(std::string_view text);
std::string transcript_done(const Transcript& transcript);

}  // namespace gantry::protocol::openai
