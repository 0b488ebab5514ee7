#pragma once
// The endpoints whose requests or answers are no JSON: audio and images. What is asked of a body, and what whoever serves the model is
// sent instead: a body of our own with the fields and files that may go on, the model's name last. Pure.

#include <span>
#include <string>

#include "base/result.h"
#include "gateway/body.h"
#include "gateway/relay.h"
#include "gateway/tables.h"
#include "http/http.h"

namespace gantry::gateway {

// Of a whole body, 25 MiB of which may be OpenAI's largest recording. It is in memory once while it is read and twice while it is sent.
inline constexpr size_t kUploadBytesMax = 26u << 20;

// What a model must be able to do.
enum class Ability { kText, kTranscribe, kSpeak, kDraw };

// Why `model` surely can't; what is not known of others' engines they say themselves.
Status check_ability(const ModelEntry& model, Ability ability);

struct MediaRequest {
    std::string model{};
    bool stream = false;
    Answer answer = Answer::kWhole;
    const char* answer_key = nullptr;
    std::string answer_types{};       // of Answer::kText and kBytes: what an answer may call itself, in small letters with spaces between
    Body body{};
};

struct MediaOperation {
    const char* name;                 // in usage records and metrics
    const char* path;                 // behind /v1, also at the engine
    Ability ability;
    size_t body_bytes;                // of the route; 0: the server's
    Result<MediaRequest> (*read)(const http::Request& request);
};
std::span<const MediaOperation> media_operations();

}  // namespace gantry::gateway
