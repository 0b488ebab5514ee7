#include "http/certificates.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <memory>

namespace gantry::http {
namespace {

using namespace std::chrono_literals;

const WallTime kNow = from_unix_ms(1'800'000'000'000);
constexpr std::chrono::hours kYear{24 * 365};

// What OpenSSL itself says of a certificate at a time.
bool verifies(const std::string& certificate, const std::string& authority, WallTime at, int purpose) {
    const auto read = [](const std::string& pem) {
        const std::unique_ptr<BIO, decltype(&BIO_free)> in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free);
        return std::unique_ptr<X509, decltype(&X509_free)>(PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr), &X509_free);
    };
    const auto own = read(certificate), issuer = read(authority);
    const std::unique_ptr<X509_STORE, decltype(&X509_STORE_free)> store(X509_STORE_new(), &X509_STORE_free);
    X509_STORE_add_cert(store.get(), issuer.get());
    const std::unique_ptr<X509_STORE_CTX, decltype(&X509_STORE_CTX_free)> context(X509_STORE_CTX_new(), &X509_STORE_CTX_free);
    X509_STORE_CTX_init(context.get(), store.get(), own.get(), nullptr);
    X509_STORE_CTX_set_purpose(context.get(), purpose);
    X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(context.get()), static_cast<time_t>(to_unix_ms(at) / 1000));
    return X509_verify_cert(context.get()) == 1;
}

TEST(certificates, an_authority_signs_what_openssl_accepts) {
    const auto authority = make_authority("test cluster", kNow, 20 * kYear);
    ASSERT_TRUE(authority.ok()) << authority.error().message;
    const auto key = make_private_key();
    const auto request = make_certificate_request(*key, "whatever");
    ASSERT_TRUE(request.ok()) << request.error().message;
    const auto client = sign_request(*authority, *request, "wrk_1", CertificateUse::kClient, kNow, kYear);
    ASSERT_TRUE(client.ok()) << client.error().message;
    EXPECT_TRUE(check_key_fits(*client, *key).ok());
    EXPECT_TRUE(verifies(*client, authority->certificate, kNow, X509_PURPOSE_SSL_CLIENT));
    EXPECT_FALSE(verifies(*client, authority->certificate, kNow, X509_PURPOSE_SSL_SERVER)) << "a worker can't play the server";
    EXPECT_FALSE(verifies(*client, authority->certificate, kNow + kYear + 1h, X509_PURPOSE_SSL_CLIENT));
    EXPECT_FALSE(verifies(*client, make_authority("test cluster", kNow, kYear)->certificate, kNow, X509_PURPOSE_SSL_CLIENT));
    const auto server = sign_request(*authority, *request, "gantry-server", CertificateUse::kServer, kNow, kYear);
    EXPECT_TRUE(verifies(*server, authority->certificate, kNow, X509_PURPOSE_SSL_SERVER));
    EXPECT_FALSE(verifies(*server, authority->certificate, kNow, X509_PURPOSE_SSL_CLIENT));

    const auto facts = read_certificate(*client);
    ASSERT_TRUE(facts.ok());
    EXPECT_EQ(facts->common_name, "wrk_1") << "the request's own name counts for nothing";
    EXPECT_EQ(facts->valid_from, kNow - 1h);
    EXPECT_EQ(facts->valid_until, kNow + kYear);
    EXPECT_EQ(facts->digest.size(), 64u);
    EXPECT_NE(facts->digest, read_certificate(*server)->digest);
}

TEST(certificates, a_worker_can_sign_for_nobody) {
    const auto authority = make_authority("test cluster", kNow, kYear);
    const auto key = make_private_key();
    const auto own = sign_request(*authority, *make_certificate_request(*key, "a"), "wrk_1", CertificateUse::kClient, kNow, kYear);
    const auto forged = sign_request(CertifiedKey{*own, *key}, *make_certificate_request(*make_private_key(), "b"), "wrk_2",
                                     CertificateUse::kClient, kNow, kYear);
    ASSERT_TRUE(forged.ok());
    EXPECT_FALSE(verifies(*forged, authority->certificate, kNow, X509_PURPOSE_SSL_CLIENT));
    EXPECT_FALSE(verifies(*forged, *own, kNow, X509_PURPOSE_SSL_CLIENT));
}

TEST(certificates, requests_are_of_their_own_key) {
    const auto key = make_private_key();
    const auto request = make_certificate_request(*key, "a");
    const auto digest = key_digest_of_request(*request);
    ASSERT_TRUE(digest.ok()) << digest.error().message;
    EXPECT_EQ(*digest, *key_digest_of_request(*make_certificate_request(*key, "another name")));
    EXPECT_NE(*digest, *key_digest_of_request(*make_certificate_request(*make_private_key(), "a")));
    std::string tampered = *request;
    const size_t at = tampered.size() - 60;   // within the signature
    tampered[at] = tampered[at] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(key_digest_of_request(tampered).ok());
    EXPECT_FALSE(check_key_fits(make_authority("x", kNow, kYear)->certificate, *key).ok());
}

TEST(certificates, what_is_none_is_refused) {
    for (const std::string none : {"", "x", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"}) {
        EXPECT_EQ(key_digest_of_request(none).error().code, ErrorCode::kInvalidArgument);
        EXPECT_EQ(read_certificate(none).error().code, ErrorCode::kInvalidArgument);
        EXPECT_FALSE(make_certificate_request(none, "a").ok());
    }
    EXPECT_FALSE(make_authority(std::string(65, 'x'), kNow, kYear).ok());
}

}  // namespace
}  // namespace gantry::http
