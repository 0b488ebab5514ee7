#include "gateway/media.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "gateway/resolve.h"
#include "http/multipart.h"
#include "protocol/openai/audio.h"
#include "protocol/openai/images.h"
#include "protocol/openai/upstream.h"

namespace gantry::gateway {
namespace {

namespace openai = protocol::openai;
using Form = std::vector<http::FormPart>;

constexpr char kTextTypes[] = "text/plain text/vtt text/srt application/x-subrip application/json";
constexpr char kSoundTypes[] = "audio/mpeg audio/mp3 audio/wav audio/x-wav audio/wave audio/ogg audio/opus audio/aac audio/flac audio/x-flac "
                               "audio/pcm audio/l16 audio/basic application/octet-stream";
constexpr size_t kBoundaryLength = 40;   // random letters: in nobody's file

// "type/subtype" of what a client calls a file; empty where it is none.
std::string plain_type(const std::string& type) {
    const std::string bare = type.substr(0, type.find(';'));
    const bool plain = bare.size() <= 64 && bare.find('/') != std::string::npos && std::all_of(bare.begin(), bare.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' || c == '.' || c == '-' || c == '+' || c == '_';
    });
    return plain ? bare : std::string();
}

// The parts that may go on, in a form of ours; names and types of files in words that nobody stumbles over.
Body write_form(const Form& form, std::span<const std::string_view> allowed, const std::string& model) {
    Body body;
    body.boundary = "gantry" + system_random().token(kBoundaryLength);
    size_t bytes = 1024;
    for (const http::FormPart& part : form) bytes += part.content.size() + part.head.name.size() + 400;
    body.text.reserve(bytes);
    for (const http::FormPart& part : form) {
        if (std::find(allowed.begin(), allowed.end(), part.head.name) == allowed.end() || part.head.name == "model") continue;
        http::PartHead head{part.head.name, part.head.is_file, {}, {}};
        if (head.is_file) {
            head.file_name = http::plain_file_name(part.head.file_name);
            head.content_type = plain_type(part.head.content_type);
        }
        http::append_part(body.text, body.boundary, head, part.content);
    }
    body.shared = body.text.size();
    append_model(body.text, body.boundary, model);
    return body;
}

Result<MediaRequest> read_transcript(const http::Request& request, bool translation) {
    const Result<Form> form = http::read_form(request.headers.get("content-type"), request.body);
    if (!form) return form.error();
    Result<openai::TranscriptionRequest> asked = openai::parse_transcription(openai::fields_of(*form), translation);
    if (!asked) return std::move(asked).error();
    Result<std::string> model = named(std::move(asked->model));
    if (!model) return model.error();
    MediaRequest out{.model = *std::move(model), .stream = asked->stream};
    using Format = openai::TranscriptFormat;
    const bool object = asked->format == Format::kJson || asked->format == Format::kVerboseJson;
    out.answer = out.stream ? Answer::kEvents : object ? Answer::kWhole : Answer::kText;
    out.answer_key = object ? "text" : nullptr;
    out.answer_types = kTextTypes;
    out.body = write_form(*form, openai::transcription_fields(), out.model);
    return out;
}
Result<MediaRequest> read_transcription(const http::Request& request) { return read_transcript(request, false); }
Result<MediaRequest> read_translation(const http::Request& request) { return read_transcript(request, true); }

bool is_form(const http::Request& request) { return request.headers.get("content-type").starts_with("multipart/"); }

Status check_json(const http::Request& request) {
    if (!is_form(request)) return Ok{};
    return invalid_argument("This endpoint takes JSON, not a multipart form.", {}, "unsupported_media_type");
}

Result<MediaRequest> read_speech(const http::Request& request) {
    GANTRY_TRY(check_json(request));
    Result<json::value> body = parse_json(request.body);
    if (!body) return body.error();
    Result<openai::SpeechRequest> asked = openai::parse_speech(*body);
    if (!asked) return std::move(asked).error();
    Result<std::string> model = named(std::move(asked->model));
    if (!model) return model.error();
    MediaRequest out{.model = *std::move(model), .stream = asked->events};
    out.answer = asked->events ? Answer::kEvents : Answer::kBytes;
    out.answer_types = kSoundTypes;
    out.body = write_body(openai::forward_body(std::move(body->get_object()), openai::speech_fields()), true);
    return out;
}

Result<MediaRequest> read_images(const http::Request& request, openai::ImageTask task) {
    const auto finish = [](Result<openai::ImagesRequest> asked) -> Result<MediaRequest> {
        if (!asked) return std::move(asked).error();
        Result<std::string> model = named(std::move(asked->model));
        if (!model) return model.error();
        return MediaRequest{.model = *std::move(model),
                            .stream = asked->stream,
                            .answer = asked->stream ? Answer::kEvents : Answer::kWhole,
                            .answer_key = "data"};
    };
    if (task != openai::ImageTask::kGeneration && (is_form(request) || task == openai::ImageTask::kVariation)) {
        const Result<Form> form = http::read_form(request.headers.get("content-type"), request.body);
        if (!form) return form.error();
        Result<MediaRequest> out = finish(openai::parse_images(openai::fields_of(*form), task));
        if (out) out->body = write_form(*form, openai::image_fields(), out->model);
        return out;
    }
    GANTRY_TRY(check_json(request));
    Result<json::value> body = parse_json(request.body);
    if (!body) return body.error();
    Result<MediaRequest> out = finish(openai::parse_images(*body, task));
    if (out) out->body = write_body(openai::forward_body(std::move(body->get_object()), openai::image_fields()), true);
    return out;
}
Result<MediaRequest> read_generation(const http::Request& request) { return read_images(request, openai::ImageTask::kGeneration); }
Result<MediaRequest> read_edit(const http::Request& request) { return read_images(request, openai::ImageTask::kEdit); }
Result<MediaRequest> read_variation(const http::Request& request) { return read_images(request, openai::ImageTask::kVariation); }

constexpr MediaOperation kOperations[] = {
    {"transcription", "/audio/transcriptions", Ability::kTranscribe, kUploadBytesMax, read_transcription},
    {"translation", "/audio/translations", Ability::kTranscribe, kUploadBytesMax, read_translation},
    {"speech", "/audio/speech", Ability::kSpeak, 0, read_speech},
    {"image", "/images/generations", Ability::kDraw, 0, read_generation},
    {"image_edit", "/images/edits", Ability::kDraw, kUploadBytesMax, read_edit},
    {"image_variation", "/images/variations", Ability::kDraw, kUploadBytesMax, read_variation},
};

Error cannot(const char* what) { return invalid_argument(what, "model", "unsupported_operation"); }

}  // namespace

Status check_ability(const ModelEntry& model, Ability ability) {
    if (model.outside || model.backend == BackendKind::kCustom) return Ok{};   // whose command may do anything with the files
    const bool ours = model.backend == BackendKind::kEngine;
    const bool transcribes = model.modality == "transcription";
    switch (ability) {
        case Ability::kText:
            if (transcribes && ours) return cannot("This model makes text of speech only: send it recordings at /v1/audio/transcriptions.");
            return Ok{};
        case Ability::kTranscribe:
            if (transcribes || model.modality.empty()) return Ok{};
            if (ours || !model.pooling.empty()) return cannot("This model does not hear: choose one that transcribes, like Whisper.");
            return Ok{};
        case Ability::kSpeak:
            if (ours || transcribes || !model.pooling.empty()) return cannot("This model does not speak: choose one that makes speech of text.");
            return Ok{};
        case Ability::kDraw:
            if (ours || transcribes || !model.pooling.empty()) return cannot("This model makes no images: choose one that does.");
            return Ok{};
    }
    return Ok{};
}

std::span<const MediaOperation> media_operations() { return kOperations; }

}  // namespace gantry::gateway
