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

Result<boost::urls::url> parse_origin(std::string url) {
    if (url.ends_with('/')) {
        url.pop_back();
    }
    const auto parsed = boost::urls::parse_uri(url);
    const bool origin = parsed && (parsed->scheme() == "https" || parsed->scheme() == "http") && !parsed->host().empty() &&
                        parsed->encoded_path().empty() && !parsed->has_query() && !parsed->has_fragment() && !parsed->has_userinfo();
    return origin ? Result<boost::urls::url>(boost::urls::url(*parsed)) : invalid_argument("");
}

}  // namespace gantry::cli
