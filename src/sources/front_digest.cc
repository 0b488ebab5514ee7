#include "sources/front_digest.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <vector>

#include "base/digest.h"

namespace gantry::sources {
namespace {

constexpr size_t kReadBytes = 1u << 20;

}  // namespace

FrontDigest::FrontDigest(int descriptor, uint64_t bytes, Digest::Kind kind)
    : descriptor_(descriptor), bytes_(bytes), kind_(kind), thread_([this](const std::stop_token& stop) { read_along(stop); }) {}

FrontDigest::~FrontDigest() = default;   // jthread asks to stop, and waits

void FrontDigest::grow(uint64_t front) {
    {
        const std::lock_guard lock(mutex_);
        front_ = std::max(front_, front);
    }
    grown_.notify_all();
}

void FrontDigest::read_along(const std::stop_token& stop) {
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
    const EVP_MD* const algorithm = kind_ == Digest::Kind::kSha256 ? EVP_sha256() : EVP_sha1();
    bool good = context != nullptr && EVP_DigestInit_ex(context.get(), algorithm, nullptr) == 1;
    if (good && kind_ == Digest::Kind::kGit) {
        const std::string head = fmt::format("blob {}", bytes_);
        good = EVP_DigestUpdate(context.get(), head.c_str(), head.size() + 1) == 1;   // with its NUL
    }
    std::vector<char> buffer(kReadBytes);
    for (uint64_t at = 0; good && at < bytes_;) {
        uint64_t front = 0;
        {
            std::unique_lock lock(mutex_);
            if (!grown_.wait(lock, stop, [&] { return front_ > at; })) return;
            front = front_;
        }
        const ssize_t got = ::pread(descriptor_, buffer.data(), std::min<uint64_t>(buffer.size(), front - at), static_cast<off_t>(at));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            error_number_ = got < 0 ? errno : EIO;
            return;
        }
        good = EVP_DigestUpdate(context.get(), buffer.data(), static_cast<size_t>(got)) == 1;
        at += static_cast<uint64_t>(got);
    }
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (good && EVP_DigestFinal_ex(context.get(), digest, &size) == 1) hex_ = to_hex(digest, size);
}

Result<std::string> FrontDigest::finish() {
    thread_.join();
    if (error_number_ != 0) return error_from_errno("what was downloaded cannot be read back", error_number_);
    if (hex_.empty()) return internal_error("the digest of what was downloaded cannot be computed");
    return hex_;
}

}  // namespace gantry::sources
