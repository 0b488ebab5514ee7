#include "speech/transcriber.h"

#include <fmt/format.h>
#include <whisper.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <deque>
#include <fstream>
#include <mutex>
#include <optional>
#include <thread>

#include "base/clock.h"
#include "base/log.h"
#include "base/platform/memory.h"
#include "speech/audio.h"

namespace gantry::speech {
namespace {

constexpr uint32_t kMagic = 0x67676d6c;   // "ggml"
constexpr size_t kSamplesMin = kSampleRate;   // whisper.cpp hears nothing in less than 100 ms: silence is added

struct ContextDeleter {
    void operator()(whisper_context* context) const { whisper_free(context); }
};
struct StateDeleter {
    void operator()(whisper_state* state) const { whisper_free_state(state); }
};
using Context = std::unique_ptr<whisper_context, ContextDeleter>;
using State = std::unique_ptr<whisper_state, StateDeleter>;

// The file as whisper.cpp reads it, and how far.
struct Reader {
    std::ifstream file;
    uint64_t size = 0, done = 0;
    const std::function<void(float)>& progress;

    size_t read(void* out, size_t bytes) {
        file.read(static_cast<char*>(out), static_cast<std::streamsize>(bytes));
        const auto got = static_cast<size_t>(file.gcount());
        if (got < bytes) std::fill_n(static_cast<char*>(out) + got, bytes - got, '\0');   // it looks at what it asked for in any case
        done += got;
        if (size > 0) progress(static_cast<float>(done) / static_cast<float>(size));
        return got;
    }
};

void log_line(ggml_log_level level, const char* text, void*) {
    std::string_view line(text);
    while (!line.empty() && line.back() == '\n') line.remove_suffix(1);
    if (line.empty()) return;
    if (level == GGML_LOG_LEVEL_ERROR) log::warn("whisper.cpp: {}", line);
    else log::debug("whisper.cpp: {}", line);
}

double seconds_of(int64_t hundredths) { return static_cast<double>(std::max<int64_t>(hundredths, 0)) / 100; }

struct Job {
    uint64_t id = 0;
    TranscriptionJob asked;
    std::atomic<bool> cancelled{false};
};

class WhisperTranscriber final : public Transcriber {
public:
    WhisperTranscriber(Context context, State state, uint32_t threads, TranscriberLimits limits)
        : context_(std::move(context)), state_(std::move(state)), threads_(threads), limits_(limits),
          description_(fmt::format("whisper {}, {}", whisper_model_type_readable(context_.get()),
                                   whisper_is_multilingual(context_.get()) ? "99 languages" : "English")) {
        touch();
        thread_ = std::thread([this] { run(); });
    }
    ~WhisperTranscriber() override {
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
            for (const auto& job : jobs_) job->cancelled = true;
        }
        changed_.notify_all();
        thread_.join();
    }

    Result<uint64_t> submit(TranscriptionJob asked) override {
        GANTRY_TRY(check_language(asked.language));
        const std::lock_guard lock(mutex_);
        if (stopping_) return unavailable("the engine is stopping: send the request again", "engine_stopping");
        uint64_t bytes = asked.recording.size();
        for (const auto& job : jobs_) bytes += job->asked.recording.size();
        if (jobs_.size() >= limits_.jobs || bytes > limits_.bytes) {
            return Error{ErrorCode::kRateLimited, "too many recordings wait: try again in a moment", {}, "queue_full"};
        }
        auto job = std::make_shared<Job>();
        job->id = ++last_id_;
        job->asked = std::move(asked);
        if (jobs_.empty()) touch();
        jobs_.push_back(job);
        changed_.notify_all();
        return job->id;
    }

    void cancel(uint64_t id) override {
        const std::lock_guard lock(mutex_);
        for (const auto& job : jobs_) {
            if (job->id == id) job->cancelled = true;
        }
        changed_.notify_all();
    }

    TranscriberStats stats() const override {
        const std::lock_guard lock(mutex_);
        TranscriberStats out = stats_;
        out.waiting = static_cast<uint32_t>(jobs_.size());
        return out;
    }

    double seconds_since_progress() const override {
        const auto now = std::chrono::steady_clock::now().time_since_epoch();
        return std::chrono::duration<double>(now - std::chrono::nanoseconds(progress_ns_.load())).count();
    }

    const std::string& description() const override { return description_; }

private:
    Status check_language(const std::string& language) const {
        if (language.empty()) return Ok{};
        const int id = whisper_lang_id(language.c_str());
        if (id < 0) return invalid_argument("'language' is none that the model knows: send its code (ISO 639-1), or leave it out", "language");
        if (!whisper_is_multilingual(context_.get()) && id != whisper_lang_id("en")) {
            return invalid_argument("this model hears English only: choose one whose name does not end in .en", "language");
        }
        return Ok{};
    }

    void touch() { progress_ns_ = std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count(); }

    void run() {
        for (;;) {
            std::shared_ptr<Job> job;   // shared: cancel() looks at it while it runs
            {
                std::unique_lock lock(mutex_);
                changed_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
                if (jobs_.empty()) return;
                job = jobs_.front();
            }
            touch();
            const auto begun = std::chrono::steady_clock::now();
            Result<Heard> heard = hear(*job);
            if (!heard && stopping()) heard = unavailable("the engine is stopping: send the request again", "engine_stopping");
            {
                const std::lock_guard lock(mutex_);
                jobs_.pop_front();
                if (heard) {
                    ++stats_.recordings_total;
                    stats_.audio_seconds_total += heard->seconds;
                    stats_.compute_seconds_total += std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
                }
            }
            touch();
            job->asked.on_done(std::move(heard));
        }
    }

    bool stopping() const {
        const std::lock_guard lock(mutex_);
        return stopping_;
    }

    Result<Heard> hear(Job& job) {
        try {
            return transcribe(job);
        } catch (const std::exception& failure) {
            log::error("whisper.cpp failed: {}", failure.what());
            return internal_error("the engine failed on this recording");
        }
    }

    struct Call {
        WhisperTranscriber& self;
        Job& job;
        Heard heard{};
    };

    Result<Heard> transcribe(Job& job) {
        Result<std::vector<float>> samples = decode_recording(job.asked.recording, job.cancelled);
        if (!samples) return samples.error();
        job.asked.recording = {};
        Call call{*this, job};
        call.heard.seconds = static_cast<double>(samples->size()) / kSampleRate;
        if (samples->size() < kSamplesMin) samples->resize(kSamplesMin);
        const int status =
            whisper_full_with_state(context_.get(), state_.get(), parameters(call), samples->data(), static_cast<int>(samples->size()));
        if (job.cancelled) return Error{ErrorCode::kCancelled, "the client left", {}, {}};
        if (status != 0) return internal_error(fmt::format("the engine failed on this recording (whisper.cpp: {})", status));
        const char* language = whisper_lang_str_full(whisper_full_lang_id_from_state(state_.get()));
        call.heard.language = language == nullptr ? "" : language;
        return std::move(call.heard);
    }

    whisper_full_params parameters(Call& call) {
        const TranscriptionJob& asked = call.job.asked;
        whisper_full_params out = whisper_full_default_params(WHISPER_SAMPLING_GREEDY);
        out.n_threads = static_cast<int>(threads_);
        out.translate = asked.translate;
        out.no_context = true;
        out.print_progress = out.print_realtime = out.print_special = out.print_timestamps = false;
        out.token_timestamps = asked.words;
        out.initial_prompt = asked.prompt.empty() ? nullptr : asked.prompt.c_str();
        out.language = asked.language.empty() ? (whisper_is_multilingual(context_.get()) ? "auto" : "en") : asked.language.c_str();
        out.temperature = static_cast<float>(asked.temperature);
        out.new_segment_callback = [](whisper_context*, whisper_state*, int count, void* data) {
            static_cast<Call*>(data)->self.take_segments(*static_cast<Call*>(data), count);
        };
        out.new_segment_callback_user_data = &call;
        out.encoder_begin_callback = [](whisper_context*, whisper_state*, void* data) {
            static_cast<Call*>(data)->self.touch();
            return !static_cast<Call*>(data)->job.cancelled.load();
        };
        out.encoder_begin_callback_user_data = &call;
        out.abort_callback = [](void* data) {
            static_cast<Call*>(data)->self.touch();
            return static_cast<Call*>(data)->job.cancelled.load();
        };
        out.abort_callback_user_data = &call;
        return out;
    }

    void take_segments(Call& call, int count) {
        const int all = whisper_full_n_segments_from_state(state_.get());
        for (int i = std::max(0, all - count); i < all; ++i) {
            call.heard.segments.push_back(segment(i, call.job.asked.words));
            if (call.job.asked.on_segment && !call.job.cancelled) call.job.asked.on_segment(call.heard.segments.back());
        }
    }

    Segment segment(int index, bool words) const {
        whisper_state* const state = state_.get();
        Segment out;
        out.start_s = seconds_of(whisper_full_get_segment_t0_from_state(state, index));
        out.end_s = seconds_of(whisper_full_get_segment_t1_from_state(state, index));
        out.text = whisper_full_get_segment_text_from_state(state, index);
        out.no_speech_probability = static_cast<double>(whisper_full_get_segment_no_speech_prob_from_state(state, index));
        const int tokens = whisper_full_n_tokens_from_state(state, index);
        double logprobs = 0;
        for (int i = 0; i < tokens; ++i) {
            const whisper_token_data token = whisper_full_get_token_data_from_state(state, index, i);
            out.tokens.push_back(token.id);
            logprobs += static_cast<double>(token.plog);
            if (words && token.id < whisper_token_eot(context_.get())) {
                add_token(out, whisper_full_get_token_text_from_state(context_.get(), state, index, i), token);
            }
        }
        out.mean_logprob = tokens > 0 && std::isfinite(logprobs) ? logprobs / tokens : 0;
        return out;
    }

    // A word begins with the token that brings a space.
    static void add_token(Segment& out, std::string_view text, const whisper_token_data& token) {
        if (out.words.empty() || text.starts_with(' ')) {
            text.remove_prefix(text.starts_with(' ') ? 1 : 0);
            out.words.push_back({std::string(text), seconds_of(token.t0), seconds_of(token.t1)});
            return;
        }
        out.words.back().text += text;
        out.words.back().end_s = seconds_of(token.t1);
    }

    const Context context_;
    const State state_;
    const uint32_t threads_;
    const TranscriberLimits limits_;
    const std::string description_;
    std::atomic<int64_t> progress_ns_{0};
    mutable std::mutex mutex_;
    // Behind mutex_:
    std::condition_variable changed_;
    std::deque<std::shared_ptr<Job>> jobs_;   // the first is running
    TranscriberStats stats_;
    uint64_t last_id_ = 0;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace

bool is_whisper_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    uint32_t magic = 0;
    file.read(reinterpret_cast<char*>(&magic), sizeof magic);
    return file.gcount() == sizeof magic && magic == kMagic;
}

Result<std::unique_ptr<Transcriber>> Transcriber::load(const std::string& path, uint32_t threads, const std::function<void(float)>& progress,
                                                       TranscriberLimits limits) {
    whisper_log_set(log_line, nullptr);
    Reader reader{.file = std::ifstream(path, std::ios::binary | std::ios::ate), .progress = progress};
    if (!reader.file) return not_found("the model file can't be read: " + path);
    reader.size = static_cast<uint64_t>(reader.file.tellg());
    reader.file.seekg(0);
    whisper_model_loader loader{};
    loader.context = &reader;
    loader.read = [](void* context, void* out, size_t bytes) { return static_cast<Reader*>(context)->read(out, bytes); };
    loader.eof = [](void* context) { return static_cast<Reader*>(context)->done >= static_cast<Reader*>(context)->size; };
    loader.close = [](void*) {};
    try {
        Context context(whisper_init_with_params_no_state(&loader, whisper_context_default_params()));
        if (!context) return invalid_argument("invalid model file: whisper.cpp can't load it", {}, "invalid_model_file");
        State state(whisper_init_state(context.get()));
        if (!state) return internal_error("there is no memory for the model's state");
        const uint32_t cores = threads > 0 ? threads : platform::usable_cores();
        return std::unique_ptr<Transcriber>(std::make_unique<WhisperTranscriber>(std::move(context), std::move(state), cores, limits));
    } catch (const std::exception& failure) {
        return invalid_argument(std::string("invalid model file: ") + failure.what(), {}, "invalid_model_file");
    }
}

}  // namespace gantry::speech
