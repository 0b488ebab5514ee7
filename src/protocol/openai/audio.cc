#include "protocol/openai/audio.h"

#include <fmt/format.h>

#include <algorithm>

#include "protocol/openai/fields.h"

namespace gantry::protocol::openai {
namespace {

constexpr std::string_view kTranscriptionFields[] = {
    "file", "language", "prompt", "response_format", "temperature", "timestamp_granularities[]", "stream", "include[]", "chunking_strategy"};
constexpr std::string_view kSpeechFields[] = {"model", "input", "voice", "instructions", "response_format", "speed", "stream_format"};
constexpr std::string_view kTranscriptFormats[] = {"json", "text", "srt", "verbose_json", "vtt"};   // in the order of TranscriptFormat
constexpr std::string_view kSpeechFormats[] = {"mp3", "opus", "aac", "flac", "wav", "pcm"};
constexpr std::string_view kStreamFormats[] = {"audio", "sse"};
constexpr size_t kModelBytesMax = 1024;

// A string that is one of `options`, where it is there. `out` is set to it.
Status take_choice(const json::object& fields, const char* name, std::span<const std::string_view> options, std::string& out) {
    const json::value* value = find(fields, name);
    if (value == nullptr) return Ok{};
    Result<std::string> text = as_string(*value, name);
    if (!text) return text.error();
    if (std::find(options.begin(), options.end(), *text) == options.end()) {
        std::string list;
        for (const std::string_view option : options) list.append(list.empty() ? "" : ", ").append(option);
        return invalid_argument(fmt::format("'{}' must be one of {}", name, list), name);
    }
    out = *std::move(text);
    return Ok{};
}

Status take_granularities(std::span<const FormField> form, TranscriptionRequest& out) {
    constexpr char kName[] = "timestamp_granularities[]";
    bool any = false;
    for (const FormField& field : form) {
        if (field.name != kName && field.name != "timestamp_granularities") continue;
        any = true;
        if (field.content == "word") out.words = true;
        else if (field.content != "segment") return invalid_argument("'timestamp_granularities[]' must be word or segment", kName);
    }
    if (any && out.format != TranscriptFormat::kVerboseJson) {
        return invalid_argument("'timestamp_granularities[]' needs response_format \"verbose_json\"", kName);
    }
    return Ok{};
}

uint64_t characters(std::string_view utf8) {
    return static_cast<uint64_t>(std::count_if(utf8.begin(), utf8.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

}  // namespace

Result<TranscriptionRequest> parse_transcription(std::span<const FormField> form, bool translation) {
    TranscriptionRequest out;
    const Result<std::optional<std::string>> model = text_field(form, "model", kModelBytesMax);
    if (!model) return model.error();
    out.model = model->value_or("");
    const Result<std::optional<std::string>> format = choice_field(form, "response_format", kTranscriptFormats);
    if (!format) return format.error();
    if (*format) {
        const auto at = std::find(std::begin(kTranscriptFormats), std::end(kTranscriptFormats), **format) - std::begin(kTranscriptFormats);
        out.format = static_cast<TranscriptFormat>(at);
    }
    const Result<std::optional<std::string>> prompt = text_field(form, "prompt", kAudioPromptBytesMax);
    if (!prompt) return prompt.error();
    out.prompt = prompt->value_or("");
    const Result<std::optional<double>> temperature = number_field(form, "temperature", 0, 1);
    if (!temperature) return temperature.error();
    out.temperature = temperature->value_or(0);
    const Result<bool> stream = flag_field(form, "stream");
    if (!stream) return stream.error();
    out.stream = *stream;
    if (!translation) {
        const Result<std::optional<std::string>> language = text_field(form, "language", kLanguageBytesMax);
        if (!language) return language.error();
        out.language = language->value_or("");
        GANTRY_TRY(take_granularities(form, out));
    }
    if (out.stream && out.format != TranscriptFormat::kJson && out.format != TranscriptFormat::kText) {
        return invalid_argument("a stream is of response_format json or text", "response_format");
    }
    const Result<std::string_view> file = file_field(form, "file");
    if (!file) return file.error();
    out.file = *file;
    return out;
}

Result<SpeechRequest> parse_speech(const json::value& body) {
    const Result<const json::object*> object = as_object(body, "");
    if (!object) return object.error();
    const json::object& fields = **object;
    SpeechRequest out;
    Result<std::string> model = parse_model(fields);
    if (!model) return model.error();
    out.model = *std::move(model);
    const Result<std::string> input = required_text(fields, "input", "");
    if (!input) return input.error();
    if (input->empty() || characters(*input) > kSpeechInputMax) {
        return invalid_argument(fmt::format("'input' must have 1 to {} characters", kSpeechInputMax), "input");
    }
    for (const char* name : {"voice", "instructions"}) {
        const json::value* value = find(fields, name);
        if (value == nullptr) continue;
        if (const Result<std::string> text = as_string(*value, name); !text) return text.error();
    }
    std::string ignored, stream_format;
    GANTRY_TRY(take_choice(fields, "response_format", kSpeechFormats, ignored));
    GANTRY_TRY(take_choice(fields, "stream_format", kStreamFormats, stream_format));
    if (const json::value* speed = find(fields, "speed")) {
        if (const Result<double> number = as_number(*speed, "speed", 0.25, 4); !number) return number.error();
    }
    out.events = stream_format == "sse";
    return out;
}

std::span<const std::string_view> transcription_fields() { return kTranscriptionFields; }
std::span<const std::string_view> speech_fields() { return kSpeechFields; }

}  // namespace gantry::protocol::openai
