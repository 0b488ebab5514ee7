#include "cli/daemon.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>

#include "base/log.h"
#include "base/platform/process.h"
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

void add_data_address_option(CLI::App& verb, std::string& address) {
    verb.add_option("--data-address", address,
                    "IPv4 address of this machine at which other workers' engines reach its own, where several run a model together; default: "
                    "the one by which it speaks to the others")
        ->envname("GANTRY_DATA_ADDRESS")
        ->type_name("ADDRESS");
}

Status check_data_address(const std::string& address) {
    if (address.empty()) {
        return Ok{};
    }
    const Result<uint16_t> port = platform::free_port(address);
    return port ? Status(Ok{}) : Status(invalid_argument("--data-address: " + port.error().message));
}

}  // namespace gantry::cli
