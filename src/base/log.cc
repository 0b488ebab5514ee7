#include "base/log.h"

#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

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

std::string escape(std::string_view text, size_t limit) {
    std::string out;
    out.reserve(std::min(text.size(), limit));
    for (const char c : text) {
        if (out.size() >= limit) {
            out += "...";
            break;
        }
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f) {
            out += fmt::format("\\x{:02x}", byte);
        } else {
            out += c;
        }
    }
    return out;
}

}  // namespace gantry::log
