#pragma once
// For this folder's tests: a provider's key pair, made anew for each run, and tokens signed with it.

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <memory>
#include <string>

#include "control/auth/jwt.h"

namespace gantry::control {

class Signer {
public:
    static Signer rsa(unsigned bits = 2048) { return Signer(EVP_RSA_gen(bits)); }
    static Signer ec(const char* curve = "P-256") { return Signer(EVP_EC_gen(curve)); }

    protocol::oidc::Jwk jwk(const std::string& kid) const {
        protocol::oidc::Jwk key;
        key.kid = kid;
        if (EVP_PKEY_is_a(key_.get(), "RSA")) {
            key.kty = "RSA";
            key.n = to_base64url(bytes(param(OSSL_PKEY_PARAM_RSA_N).get()));
            key.e = to_base64url(bytes(param(OSSL_PKEY_PARAM_RSA_E).get()));
        } else {
            key.kty = "EC";
            key.crv = "P-256";
            key.x = to_base64url(bytes(param(OSSL_PKEY_PARAM_EC_PUB_X).get(), 32));
            key.y = to_base64url(bytes(param(OSSL_PKEY_PARAM_EC_PUB_Y).get(), 32));
        }
        return key;
    }
    std::string sign(const std::string& text) const {
        const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> digest(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
        size_t size = 0;
        EXPECT_EQ(EVP_DigestSignInit(digest.get(), nullptr, EVP_sha256(), nullptr, key_.get()), 1);
        EVP_DigestSign(digest.get(), nullptr, &size, data(text), text.size());
        std::string signature(size, '\0');
        EXPECT_EQ(EVP_DigestSign(digest.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, data(text), text.size()), 1);
        signature.resize(size);
        return EVP_PKEY_is_a(key_.get(), "RSA") ? signature : raw(signature);
    }
    std::string token(const std::string& header, const std::string& payload = R"({"sub":"ann"})") const {
        const std::string text = to_base64url(header) + "." + to_base64url(payload);
        return text + "." + to_base64url(sign(text));
    }

private:
    static std::string bytes(const BIGNUM* number, size_t width = 0) {
        std::string out(width != 0 ? width : static_cast<size_t>(BN_num_bytes(number)), '\0');
        BN_bn2binpad(number, reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(out.size()));
        return out;
    }
    using Number = std::unique_ptr<BIGNUM, decltype(&BN_free)>;
    explicit Signer(EVP_PKEY* key) : key_(key, &EVP_PKEY_free) {}
    static const unsigned char* data(const std::string& text) { return reinterpret_cast<const unsigned char*>(text.data()); }
    Number param(const char* name) const {
        BIGNUM* number = nullptr;
        EXPECT_EQ(EVP_PKEY_get_bn_param(key_.get(), name, &number), 1) << name;
        return {number, &BN_free};
    }
    static std::string raw(const std::string& der) {
        const unsigned char* at = data(der);
        const std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)> signature(
            d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())), &ECDSA_SIG_free);
        return bytes(ECDSA_SIG_get0_r(signature.get()), 32) + bytes(ECDSA_SIG_get0_s(signature.get()), 32);
    }
    std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key_;
};

}  // namespace gantry::control
