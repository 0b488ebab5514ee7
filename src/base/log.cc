#include "base/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "base/ascii.h"

namespace gantry::log {
namespace {

constexpr size_t kFileBytes = 16u << 20;
constexpr size_t kFiles = 3;

constexpr char kPattern[] = "%Y-%m-%dT%H:%M:%S.%e%z %^%l%$ %v";
constexpr char kSecondPattern[] = "%Y-%m-%dT%H:%M:%S%z";   // the time of kPattern but for its milliseconds
constexpr size_t kZoneBytes = 6;                           // "+01:00"
constexpr size_t kBatchBytes = 64u << 10;
constexpr size_t kMessageBytesMax = 4096;   // escape()'s limit

// Formats a line once and hands many at a time on to `targets`, as one message of theirs: a server writes a line a request.
class Batch final : public spdlog::sinks::base_sink<std::mutex> {
public:
    Batch(std::vector<spdlog::sink_ptr> targets, std::chrono::milliseconds linger)
        : targets_(std::move(targets)), linger_(linger), thread_([this] { run(); }) {
        for (const auto& target : targets_)
            target->set_formatter(std::make_unique<spdlog::pattern_formatter>("%v", spdlog::pattern_time_type::local, ""));
    }
    ~Batch() override {
        {
            std::lock_guard lock(mutex_);
            stopping_ = true;
        }
        wake_.notify_one();
        thread_.join();
    }

protected:
    void sink_it_(const spdlog::details::log_msg& message) override {
        const bool first = text_.empty();
        append(message);
        if (message.level >= spdlog::level::warn || text_.size() >= kBatchBytes) return flush_();
        if (first) wake_.notify_one();
    }
    void flush_() override {
        if (text_.empty()) return;
        const spdlog::details::log_msg all("gantry", spdlog::level::info, text_);
        for (const auto& target : targets_) {
            try {
                target->log(all);
                target->flush();
            } catch (const spdlog::spdlog_ex&) {   // a full disk: these lines are lost, as they would be one by one
            }
        }
        text_.clear();
    }

private:
    // As kPattern has it, but the time is written once a second.
    void append(const spdlog::details::log_msg& message) {
        const auto second = std::chrono::floor<std::chrono::seconds>(message.time);
        if (second != second_) {
            spdlog::memory_buf_t time;
            seconds_.format(message, time);
            time_.assign(time.data(), time.size());
            second_ = second;
        }
        const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(message.time - second).count();
        const size_t zone = time_.size() - kZoneBytes;
        const auto level = spdlog::level::to_string_view(message.level);
        text_.append(time_, 0, zone).append(".").append(fmt::format_int(1000 + ms).c_str() + 1, 3).append(time_, zone).append(" ");
        text_.append(level.data(), level.size()).append(" ").append(message.payload.data(), message.payload.size()).append("\n");
    }
    void run() {
        std::unique_lock lock(mutex_);
        while (!stopping_) {
            wake_.wait(lock, [this] { return stopping_ || !text_.empty(); });
            wake_.wait_for(lock, linger_, [this] { return stopping_; });
            flush_();
        }
        flush_();   // what came before the end was seen
    }

    const std::vector<spdlog::sink_ptr> targets_;
    const std::chrono::milliseconds linger_;
    std::string text_;                 // lines not yet written
    spdlog::pattern_formatter seconds_{kSecondPattern, spdlog::pattern_time_type::local, ""};
    std::chrono::sys_seconds second_{};
    std::string time_;                 // of that second
    bool stopping_ = false;
    std::condition_variable wake_;     // the first line of a batch came, or the end
    std::thread thread_;               // the last: it uses what stands above
};

std::shared_ptr<spdlog::logger>& logger() {
    static std::shared_ptr<spdlog::logger> instance = [] {
        auto made = std::make_shared<spdlog::logger>("gantry", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
        made->set_pattern(kPattern);
        return made;
    }();
    return instance;
}

spdlog::level::level_enum to_spdlog(Level level) {
    switch (level) {
        case Level::kDebug: return spdlog::level::debug;
        case Level::kInfo: return spdlog::level::info;
        case Level::kWarn: return spdlog::level::warn;
        case Level::kError: return spdlog::level::err;
    }
    return spdlog::level::info;
}

}  // namespace

void start(const Options& options) {
    std::vector<spdlog::sink_ptr> sinks;
    if (options.to_stderr) sinks.push_back(std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
    if (!options.file.empty()) {
        try {
            sinks.push_back(std::make_shared<spdlog::sinks::rotating_file_sink_mt>(options.file, kFileBytes, kFiles));
        } catch (const spdlog::spdlog_ex& failure) {
            std::fprintf(stderr, "gantry: no log file %s: %s\n", options.file.c_str(), failure.what());
        }
    }
    const bool together = options.linger.count() > 0 && !(options.to_stderr && ::isatty(STDERR_FILENO) != 0);   // a person sees each at once
    if (together) sinks = {std::make_shared<Batch>(std::move(sinks), options.linger)};
    auto made = std::make_shared<spdlog::logger>("gantry", sinks.begin(), sinks.end());
    made->set_pattern(kPattern);
    made->set_level(to_spdlog(options.level));
    made->flush_on(together ? spdlog::level::warn : spdlog::level::info);
    // A full disk must not end the process, nor fill stderr.
    made->set_error_handler([](const std::string&) {});
    logger() = std::move(made);
}

void write(Level level, std::string_view message) {
    spdlog::logger& to = *logger();
    if (!to.should_log(to_spdlog(level))) return;
    const bool as_it_is = message.size() <= kMessageBytesMax && is_printable(message);
    const std::string safe = as_it_is ? std::string() : escape(message, kMessageBytesMax);
    const std::string_view text = as_it_is ? message : std::string_view(safe);
    to.log(to_spdlog(level), spdlog::string_view_t(text.data(), text.size()));
}

// C1 controls (U+0080 to U+009F), line and paragraph separators, the marks of direction (Unicode TR 9, 2.1 to 2.6).
size_t steering_length(std::string_view text) {
    const auto at = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
    const unsigned first = at(0), second = at(1), third = at(2);
    if (first < 0x20 || first == 0x7f) return text.empty() ? 0 : 1;
    if (first == 0xc2) return second >= 0x80 && second <= 0x9f ? 2 : 0;
    if (first == 0xd8) return second == 0x9c ? 2 : 0;                                          // U+061C
    if (first != 0xe2) return 0;
    if (second == 0x80 && (third == 0x8e || third == 0x8f || (third >= 0xa8 && third <= 0xae))) return 3;  // U+200E, 200F, 2028 to 202E
    return second == 0x81 && third >= 0xa6 && third <= 0xa9 ? 3 : 0;                           // U+2066 to 2069
}

std::string escape(std::string_view text, size_t limit) {
    if (text.size() <= limit && is_printable(text)) return std::string(text);
    std::string out;
    out.reserve(std::min(text.size(), limit));
    while (!text.empty()) {
        if (out.size() >= limit) {
            out += "...";
            break;
        }
        const size_t steering = steering_length(text);
        for (const char c : text.substr(0, steering)) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
        if (steering == 0) out += text.front();
        text.remove_prefix(std::max<size_t>(steering, 1));
    }
    return out;
}

}  // namespace gantry::log
