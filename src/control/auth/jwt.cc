#include "control/auth/jwt.h"

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <sodium.h>

#include <memory>

namespace gantry::control {
namespace {

using protocol::oidc::Jwk;

template <auto kFree>
struct Freed {
    template <class T>
    void operator()(T* what) const {
        kFree(what);
    }
};
using Number = std::unique_ptr<BIGNUM, Freed<BN_free>>;
using Builder = std::unique_ptr<OSSL_PARAM_BLD, Freed<OSSL_PARAM_BLD_free>>;
using Params = std::unique_ptr<OSSL_PARAM, Freed<OSSL_PARAM_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Freed<EVP_PKEY_CTX_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Digest = std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>>;
using EcSignature = std::unique_ptr<ECDSA_SIG, Freed<ECDSA_SIG_free>>;

constexpr int kRsaBitsMin = 2048;
constexpr int kRsaBitsMax = 8192;        // a larger one would take long, and nobody has one
constexpr int kExponentBitsMax = 33;
constexpr size_t kP256Bytes = 32;

const unsigned char* bytes_of(const std::string& text) { return reinterpret_cast<const unsigned char*>(text.data()); }

Number number(const std::string& base64) {
    const auto bytes = from_base64url(base64);
    if (!bytes || bytes->empty() || bytes->size() > kRsaBitsMax / 8) return nullptr;
    return Number(BN_bin2bn(bytes_of(*bytes), static_cast<int>(bytes->size()), nullptr));
}

Key key_from(const char* kind, OSSL_PARAM_BLD* builder) {
    const Params params(OSSL_PARAM_BLD_to_param(builder));
    const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, kind, nullptr));
    EVP_PKEY* key = nullptr;
    if (!params || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
        EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1) {
        return nullptr;
    }
    return Key(key);
}

Key rsa_key(const Jwk& jwk) {
    const Number n = number(jwk.n);
    const Number e = number(jwk.e);
    if (!n || !e || BN_num_bits(n.get()) < kRsaBitsMin || BN_num_bits(e.get()) > kExponentBitsMax) return nullptr;
    const Builder builder(OSSL_PARAM_BLD_new());
    if (!builder || OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
        OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1) {
        return nullptr;
    }
    return key_from("RSA", builder.get());
}

Key p256_key(const Jwk& jwk) {
    const auto x = from_base64url(jwk.x);
    const auto y = from_base64url(jwk.y);
    if (jwk.crv != "P-256" || !x || !y || x->size() != kP256Bytes || y->size() != kP256Bytes) return nullptr;
    const std::string point = "\x04" + *x + *y;
    const Builder builder(OSSL_PARAM_BLD_new());
    if (!builder || OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) != 1 ||
        OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) != 1) {
        return nullptr;
    }
    return key_from("EC", builder.get());   // refuses a point that is not on the curve
}

// JOSE's form of an ECDSA signature, two numbers side by side, in OpenSSL's.
std::string der_of(const std::string& raw) {
    if (raw.size() != 2 * kP256Bytes) return {};
    Number r(BN_bin2bn(bytes_of(raw), kP256Bytes, nullptr));
    Number s(BN_bin2bn(bytes_of(raw) + kP256Bytes, kP256Bytes, nullptr));
    const EcSignature signature(ECDSA_SIG_new());
    if (!r || !s || !signature || ECDSA_SIG_set0(signature.get(), r.get(), s.get()) != 1) return {};
    static_cast<void>(r.release());
    static_cast<void>(s.release());
    unsigned char* der = nullptr;
    const int length = i2d_ECDSA_SIG(signature.get(), &der);
    if (length <= 0) return {};
    std::string out(reinterpret_cast<const char*>(der), static_cast<size_t>(length));
    OPENSSL_free(der);
    return out;
}

}  // namespace

std::string to_base64url(std::string_view bytes) {
    constexpr int kVariant = sodium_base64_VARIANT_URLSAFE_NO_PADDING;
    std::string text(sodium_base64_encoded_len(bytes.size(), kVariant), '\0');
    sodium_bin2base64(text.data(), text.size(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), kVariant);
    text.pop_back();   // the NUL
    return text;
}

Result<std::string> from_base64url(std::string_view text) {
    std::string bytes(text.size(), '\0');
    size_t length = 0;
    const char* end = nullptr;
    const int failed = sodium_base642bin(reinterpret_cast<unsigned char*>(bytes.data()), bytes.size(), text.data(), text.size(), nullptr,
                                         &length, &end, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    if (failed != 0 || end != text.data() + text.size()) return invalid_argument("this is no base64url");
    bytes.resize(length);
    return bytes;
}

Result<SignedToken> parse_token(std::string_view text) {
    if (text.size() > kTokenBytesMax) return invalid_argument("the token is over " + std::to_string(kTokenBytesMax) + " bytes");
    const size_t first = text.find('.');
    const size_t second = first == std::string_view::npos ? first : text.find('.', first + 1);
    if (second == std::string_view::npos || text.find('.', second + 1) != std::string_view::npos) {
        return invalid_argument("the token does not have three parts");
    }
    const auto header = from_base64url(text.substr(0, first));
    auto payload = from_base64url(text.substr(first + 1, second - first - 1));
    auto signature = from_base64url(text.substr(second + 1));
    if (!header || !payload || !signature) return invalid_argument("a part of the token is no base64url");
    auto parsed = protocol::oidc::parse_jwt_header(*header);
    if (!parsed) return std::move(parsed).error();
    if (parsed->alg != "RS256" && parsed->alg != "ES256") {
        return invalid_argument("the token's algorithm is neither RS256 nor ES256");
    }
    if (parsed->critical) return invalid_argument("the token wants extensions that are not known here");
    return SignedToken{*std::move(parsed), *std::move(payload), std::string(text.substr(0, second)), *std::move(signature)};
}

bool signed_by(const SignedToken& token, const Jwk& jwk) {
    const bool rsa = token.header.alg == "RS256";
    if (jwk.kty != (rsa ? "RSA" : "EC") || (!jwk.alg.empty() && jwk.alg != token.header.alg)) return false;
    const Key key = rsa ? rsa_key(jwk) : p256_key(jwk);
    const std::string signature = rsa ? token.signature : der_of(token.signature);
    const Digest digest(EVP_MD_CTX_new());
    bool good = false;
    if (key && digest && !signature.empty()) {
        // RSA's padding is PKCS #1 v1.5 unless told otherwise, which is RS256's.
        good = EVP_DigestVerifyInit(digest.get(), nullptr, EVP_sha256(), nullptr, key.get()) == 1 &&
               EVP_DigestVerify(digest.get(), bytes_of(signature), signature.size(), bytes_of(token.signed_text),
                                token.signed_text.size()) == 1;
    }
    ERR_clear_error();
    return good;
}

}  // namespace gantry::control
