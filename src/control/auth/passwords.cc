#include "control/auth/passwords.h"

#include <sodium.h>

#include <array>

namespace gantry::control {
namespace {
// OWASP's floor for argon2id is 19 MiB and 2 passes; this is 64 MiB and 2, libsodium's "interactive".
constexpr unsigned long long kPasses = crypto_pwhash_argon2id_OPSLIMIT_INTERACTIVE;
constexpr size_t kMemoryBytes = crypto_pwhash_argon2id_MEMLIMIT_INTERACTIVE;
}  // namespace

Result<std::string> hash_password(const std::string& password) {
    std::array<char, crypto_pwhash_STRBYTES> text{};
    if (crypto_pwhash_str_alg(text.data(), password.data(), password.size(), kPasses, kMemoryBytes,
                              crypto_pwhash_ALG_ARGON2ID13) != 0) {
        return unavailable("there is not enough free memory to hash a password now; try again");
    }
    return std::string(text.data());
}

bool verify_password(const std::string& hash, const std::string& password) {
    return crypto_pwhash_str_verify(hash.c_str(), password.data(), password.size()) == 0;
}

const std::string& nobodys_hash() {
    // Of 64 random characters that nobody kept. A constant, because making one at start would cost the start's time.
    static const std::string hash = "$argon2id$v=19$m=65536,t=2,p=1$enckbi7RaLeoJEixz2m8og$sICdQ2Sz7tuOCFKGdoIP1JHmH/7eweEvEo5H5suAPFw";
    return hash;
}

http::Task<bool> HashGate::enter() {
    if (running_ >= kAtOnce) {
        if (waiting_ >= kWaitingMax) co_return false;
        ++waiting_;
        while (running_ >= kAtOnce) co_await changed_.wait(std::chrono::milliseconds(1000));
        --waiting_;
    }
    ++running_;
    co_return true;
}

void HashGate::leave() {
    --running_;
    changed_.notify();
}

}  // namespace gantry::control
