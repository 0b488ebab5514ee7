#include "worker/log_blanker.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "base/platform/files.h"

namespace gantry::worker {

LogBlanker::LogBlanker(std::vector<std::string> secrets) : secrets_(std::move(secrets)) {
    std::erase_if(secrets_, [](const std::string& secret) { return secret.size() < kSecretMin; });
    for (const std::string& secret : secrets_) longest_ = std::max(longest_, secret.size());
}

void LogBlanker::look(const std::string& path) {
    if (secrets_.empty()) return;
    const platform::UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
    struct stat info {};
    if (!fd.valid() || ::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) return;
    const auto size = static_cast<uint64_t>(info.st_size);
    if (size < seen_) seen_ = 0;
    const uint64_t from = seen_ - std::min<uint64_t>(seen_, longest_ - 1);
    std::string text(std::min<uint64_t>(size - from, kBytesMax), '\0');
    const ssize_t got = ::pread(fd.get(), text.data(), text.size(), static_cast<off_t>(from));
    if (got <= 0) return;
    text.resize(static_cast<size_t>(got));
    for (const std::string& secret : secrets_) {
        for (size_t at = 0; (at = text.find(secret, at)) != std::string::npos; at += secret.size()) {
            const std::string stars(secret.size(), '*');
            if (::pwrite(fd.get(), stars.data(), stars.size(), static_cast<off_t>(from + at)) != static_cast<ssize_t>(stars.size())) {
                log::warn("{}: an engine's key can't be blanked out of it", path);
            }
        }
    }
    seen_ = from + text.size();
}

}  // namespace gantry::worker
