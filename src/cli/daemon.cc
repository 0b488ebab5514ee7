#include "cli/daemon.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "base/log.h"
#include "cli/output.h"

namespace gantry::cli {

std::string absolute_folder(const std::string& folder) {
    std::error_code ignored;
    std::string path = std::filesystem::absolute(folder, ignored).lexically_normal().string();
    while (path.size() > 1 && path.back() == '/') {
        path.pop_back();
    }
    return path;
}

void start_log(const std::string& data_dir, bool verbose) {
    constexpr std::chrono::milliseconds kLinger{50};
    log::Options options;
    options.file = data_dir + "/logs/gantry.log";
    options.level = verbose ? log::Level::kDebug : log::Level::kInfo;
    options.linger = kLinger;
    log::start(options);
}

void note_stop() {
    note(fmt::format("  stop             Ctrl-C, engines too; kill -TERM {} leaves them running for a restart", getpid()));
}

Result<Url> parse_origin(const std::string& text) {
    Result<Url> url = parse_url(text);
    if (url && (url->path == "/" || url->path.empty()) && url->query.empty()) {
        url->path.clear();
        return url;
    }
    return url ? Result<Url>(invalid_argument("has a path; only the server is named")) : url;
}

}  // namespace gantry::cli
