#include "base/log.h"

#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <mutex>

namespace gantry::log {
namespace {

constexpr size_t kFileBytes = 16u << 20;
constexpr size_t kFiles = 3;

std::shared_ptr<spdlog::logger>& logger() {
    static std::shared_ptr<spdlog::logger> instance = [] {
        auto made = std::make_shared<spdlog::logger>("gantry", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
        made->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %^%l%$ %v");
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
    auto made = std::make_shared<spdlog::logger>("gantry", sinks.begin(), sinks.end());
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %^%l%$ %v");
    made->set_level(to_spdlog(options.level));
    made->flush_on(spdlog::level::info);
    // A full disk must not end the process, nor fill stderr.
    made->set_error_handler([](const std::string&) {});
    logger() = std::move(made);
}

void write(Level level, std::string_view message) {
    const std::string safe = escape(message);
    logger()->log(to_spdlog(level), spdlog::string_view_t(safe.data(), safe.size()));
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
