#pragma once
// Events of streams of audio and images: `transcript.text.delta`, `speech.audio.delta`, `image_generation.partial_image` and so on, and
// what others have in their place (chunks with "choices"). Pure: bytes in, bytes out.

#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "http/http.h"

namespace gantry::gateway {

// What an answer says of itself; nullopt and 0: nothing. Bounded, since an engine may say anything: a longer recording than a day is not
// believed (an upload of 26 MB is shorter in any format), and there are no more images than a request may ask for.
inline constexpr double kAudioSecondsMax = 86'400;
struct MediaUsage {
    std::optional<uint32_t> input_tokens{}, output_tokens{};
    double audio_seconds = 0;
    uint32_t images = 0;
};
// Of a whole answer, or of the event that ends a stream.
MediaUsage media_usage(const json::object& answer);

class MediaEvents {
public:
    explicit MediaEvents(std::string model) : model_(std::move(model)) {}

    // Appends to `out` what the client gets of it now. What may be the last is kept until the next comes. An error: the stream is broken.
    Status take(const http::SseEvent& event, std::string& out);
    // The end of the engine's body, proper or not: whether the answer was whole.
    bool whole() const { return done_ || finished_; }
    bool done() const { return done_; }      // [DONE] was seen
    std::string end();                       // what was kept, and [DONE] where the engine said it
    static std::string broken(const Error& error);
    uint32_t events() const { return events_; }
    const MediaUsage& usage() const { return usage_; }

private:
    const std::string model_;   // the public name
    std::string kept_;
    bool done_ = false;
    bool finished_ = false;     // an event said that it is the last of something
    uint32_t events_ = 0;
    MediaUsage usage_;
};

}  // namespace gantry::gateway
