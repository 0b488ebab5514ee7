#include "gateway/api_key.h"

#include <sodium.h>

#include <algorithm>
#include <array>

#include "base/digest.h"

namespace gantry::gateway {
namespace {

// The alphabet of RandomSource::token (lower-case Crockford base32), widened to all lower-case letters and digits.
bool is_token(std::string_view text) {
    return std::all_of(text.begin(), text.end(),
                       [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z'); });
}

}  // namespace

std::string digest(std::string_view secret) {
    std::array<unsigned char, crypto_hash_sha256_BYTES> hash{};
    crypto_hash_sha256(hash.data(), reinterpret_cast<const unsigned char*>(secret.data()), secret.size());
    return to_hex(hash.data(), hash.size());
}

NewKey make_key(RandomSource& random) {
    NewKey key;
    key.public_id = random.token(kPublicIdLength);
    const std::string secret = random.token(kSecretLength);
    key.secret_digest = digest(secret);
    key.text = std::string(kKeyPrefix) + key.public_id + "_" + secret;
    return key;
}

KeyParts split_key(std::string_view text) {
    if (text.size() != kKeyPrefix.size() + kPublicIdLength + 1 + kSecretLength) return {};
    if (!text.starts_with(kKeyPrefix) || text[kKeyPrefix.size() + kPublicIdLength] != '_') return {};
    const KeyParts parts{text.substr(kKeyPrefix.size(), kPublicIdLength), text.substr(text.size() - kSecretLength)};
    return is_token(parts.public_id) && is_token(parts.secret) ? parts : KeyParts{};
}

}  // namespace gantry::gateway
