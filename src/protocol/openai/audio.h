#pragma once
// POST /v1/audio/transcriptions, /v1/audio/translations (forms) and /v1/audio/speech (JSON): what is asked. Threads: any.

#include <span>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "protocol/openai/form.h"

namespace gantry::protocol::openai {

inline constexpr size_t kAudioPromptBytesMax = 8u << 10;
inline constexpr size_t kLanguageBytesMax = 32;
inline constexpr uint64_t kSpeechInputMax = 4096;   // characters

enum class TranscriptFormat { kJson, kText, kSrt, kVerboseJson, kVtt };

struct TranscriptionRequest {
    std::string model{};                 // maybe empty
    std::string_view file{};             // lives with the body; not empty
    std::string language{};              // of what is spoken; empty: find out
    std::string prompt{};
    TranscriptFormat format = TranscriptFormat::kJson;
    double temperature = 0;
    bool words = false;                  // times of words, too
    bool stream = false;
};
// A translation has no language and no times of words.
Result<TranscriptionRequest> parse_transcription(std::span<const FormField> form, bool translation);

struct SpeechRequest {
    std::string model{};                 // maybe empty
    bool events = false;                 // stream_format "sse"
};
Result<SpeechRequest> parse_speech(const json::value& body);

// The fields that go on to whoever serves the model.
std::span<const std::string_view> transcription_fields();
std::span<const std::string_view> speech_fields();

}  // namespace gantry::protocol::openai
