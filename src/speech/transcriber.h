#pragma once
// Speech to text: one Whisper model, one recording at a time with all threads, the others wait. One thread owns whisper.cpp's state; jobs
// come in through a bounded queue, what was heard goes out through each job's callbacks.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace gantry::speech {

struct Word {
    std::string text{};
    double start_s = 0, end_s = 0;
};
struct Segment {
    double start_s = 0, end_s = 0;
    std::string text{};             // valid UTF-8 as far as the model's tokens are
    std::vector<int32_t> tokens{};
    double mean_logprob = 0;
    double no_speech_probability = 0;
    std::vector<Word> words{};      // where they were asked for
};
struct Heard {
    double seconds = 0;             // of the recording
    std::string language{};         // "english": as the model found, or was told
    std::vector<Segment> segments{};
};

struct TranscriptionJob {
    std::string recording{};        // a file's bytes
    std::string language{};         // "en", "english"; empty: find out
    std::string prompt{};
    double temperature = 0;
    bool translate = false;         // into English
    bool words = false;
    // Both on the transcriber's thread; must not block. The first as a segment ends, the second once, last.
    std::function<void(const Segment&)> on_segment{};
    std::function<void(Result<Heard>)> on_done{};
};

struct TranscriberStats {
    uint32_t waiting = 0;           // and running
    uint64_t recordings_total = 0;  // heard to their end
    double audio_seconds_total = 0;
    double compute_seconds_total = 0;
};

struct TranscriberLimits {
    uint32_t jobs = 64;             // waiting and running
    uint64_t bytes = 64u << 20;     // of their recordings
};

class Transcriber {
public:
    // Loads a ggml-*.bin file of whisper.cpp. `threads` 0: as many as cores. kInvalidArgument: the file is none.
    static Result<std::unique_ptr<Transcriber>> load(const std::string& path, uint32_t threads, const std::function<void(float)>& progress,
                                                     TranscriberLimits limits = {});
    virtual ~Transcriber() = default;   // stops at once: open jobs end with kUnavailable

    // kRateLimited over the limits; kInvalidArgument for a language that the model does not know; kUnavailable while it stops. Threads: any.
    virtual Result<uint64_t> submit(TranscriptionJob job) = 0;
    virtual void cancel(uint64_t id) = 0;   // ends with kCancelled within a step of the computation; unknown ids are ignored
    virtual TranscriberStats stats() const = 0;
    virtual double seconds_since_progress() const = 0;   // or since there was nothing to do
    virtual const std::string& description() const = 0;
};

// Whether the file at `path` begins as whisper.cpp's do.
bool is_whisper_file(const std::string& path);

}  // namespace gantry::speech
