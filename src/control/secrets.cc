#include "control/secrets.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/platform/files.h"

namespace gantry::control {
namespace {

constexpr size_t kKeyBytes = crypto_aead_xchacha20poly1305_ietf_KEYBYTES;
constexpr size_t kNonceBytes = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
constexpr size_t kTagBytes = crypto_aead_xchacha20poly1305_ietf_ABYTES;
constexpr int kBase64 = sodium_base64_VARIANT_ORIGINAL;

const unsigned char* bytes(const std::string& text) { return reinterpret_cast<const unsigned char*>(text.data()); }
unsigned char* bytes(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

Error another_key() { return internal_error("it was sealed with another secrets.key; set it again with gantry providers edit"); }

Result<std::string> read_key(const std::string& path) {
    const platform::UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!file.valid()) return error_from_errno("secrets.key in the data folder can't be opened", errno);
    struct stat about = {};
    if (::fstat(file.get(), &about) != 0) return error_from_errno("secrets.key in the data folder can't be read", errno);
    if ((about.st_mode & 077) != 0) return internal_error("secrets.key in the data folder is open to others than its owner: chmod 600 it");
    std::string key(kKeyBytes, '\0');
    const bool whole = S_ISREG(about.st_mode) && about.st_size == static_cast<off_t>(kKeyBytes) &&
                       ::read(file.get(), key.data(), key.size()) == static_cast<ssize_t>(kKeyBytes);
    if (whole) return key;
    return internal_error("secrets.key in the data folder does not hold 32 bytes: bring the right one back, or remove it and set all "
                          "keys of providers again");
}

}  // namespace

Secrets::~Secrets() {
    if (key_) sodium_memzero(key_->data(), key_->size());
}

// The data folder is locked: nobody makes one beside us.
Status Secrets::load(bool make) {
    if (key_) return Ok{};
    struct stat about = {};
    const bool there = ::lstat(path_.c_str(), &about) == 0 || errno != ENOENT;
    if (!there && make) {
        std::string key(kKeyBytes, '\0');
        randombytes_buf(key.data(), key.size());
        GANTRY_TRY(platform::write_file_atomic(path_, key, 0600));
    }
    if (!there && !make) return another_key();
    Result<std::string> key = read_key(path_);
    if (!key) return std::move(key).error();
    key_ = *std::move(key);
    return Ok{};
}

Result<std::string> Secrets::seal(const std::string& secret, const std::string& owner) {
    const std::lock_guard lock(mutex_);
    GANTRY_TRY(load(true));
    std::string sealed(kNonceBytes + secret.size() + kTagBytes, '\0');
    randombytes_buf(sealed.data(), kNonceBytes);
    crypto_aead_xchacha20poly1305_ietf_encrypt(bytes(sealed) + kNonceBytes, nullptr, bytes(secret), secret.size(), bytes(owner), owner.size(),
                                               nullptr, bytes(sealed), bytes(*key_));
    std::string text(sodium_base64_ENCODED_LEN(sealed.size(), kBase64), '\0');
    sodium_bin2base64(text.data(), text.size(), bytes(sealed), sealed.size(), kBase64);
    text.pop_back();   // its NUL
    return text;
}

Result<std::string> Secrets::open(const std::string& sealed, const std::string& owner) {
    const std::lock_guard lock(mutex_);
    GANTRY_TRY(load(false));
    std::string raw(sealed.size(), '\0');
    size_t size = 0;
    if (sodium_base642bin(bytes(raw), raw.size(), sealed.data(), sealed.size(), nullptr, &size, nullptr, kBase64) != 0 ||
        size < kNonceBytes + kTagBytes) {
        return another_key();
    }
    std::string secret(size - kNonceBytes - kTagBytes, '\0');
    const bool opened = crypto_aead_xchacha20poly1305_ietf_decrypt(bytes(secret), nullptr, nullptr, bytes(raw) + kNonceBytes, size - kNonceBytes,
                                                                   bytes(owner), owner.size(), bytes(raw), bytes(*key_)) == 0;
    if (!opened) return another_key();
    return secret;
}

}  // namespace gantry::control
