#pragma once
// For tests of TLS: an authority of the test's own, and what it signs, as PEM files in a folder that goes with the test.

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "http/tls_identity.h"

namespace gantry::http {

class TestAuthority {
public:
    TestAuthority() : key_(new_key()), root_(make("the test's authority", "", nullptr, key_.get(), 3600)) {
        char folder[] = "/tmp/gantry-tls-XXXXXX";
        EXPECT_NE(::mkdtemp(folder), nullptr);
        folder_ = folder;
        write_certificate(ca_file(), root_.get());
    }
    ~TestAuthority() { std::filesystem::remove_all(folder_); }
    TestAuthority(const TestAuthority&) = delete;
    TestAuthority& operator=(const TestAuthority&) = delete;

    std::string path(const std::string& name) const { return folder_ + "/" + name; }
    std::string ca_file() const { return path("ca.pem"); }

    // Writes NAME.pem and NAME.key. `names` as OpenSSL writes them: "DNS:localhost,IP:127.0.0.1".
    TlsFiles issue(const std::string& name, const std::string& names, long seconds_valid = 3600,
                   const std::string& passphrase = {}) const {
        const auto key = new_key();
        const auto certificate = make(name, names, root_.get(), key.get(), seconds_valid);
        const TlsFiles files{path(name + ".pem"), path(name + ".key")};
        write_certificate(files.certificate, certificate.get());
        const auto out = open(files.key);
        EXPECT_EQ(PEM_write_PrivateKey(out.get(), key.get(), passphrase.empty() ? nullptr : EVP_aes_256_cbc(),
                                       reinterpret_cast<const unsigned char*>(passphrase.data()),
                                       static_cast<int>(passphrase.size()), nullptr, nullptr), 1);
        return files;
    }

private:
    using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
    using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
    using File = std::unique_ptr<std::FILE, decltype(&std::fclose)>;

    static File open(const std::string& name) { return {std::fopen(name.c_str(), "w"), &std::fclose}; }
    static Key new_key() { return {EVP_EC_gen("P-256"), &EVP_PKEY_free}; }
    static void write_certificate(const std::string& file, X509* certificate) {
        EXPECT_EQ(PEM_write_X509(open(file).get(), certificate), 1);
    }
    static void extend(X509* certificate, X509* issuer, int nid, const std::string& value) {
        X509V3_CTX context{};
        X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
        const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> extension(
            X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()), &X509_EXTENSION_free);
        ASSERT_NE(extension, nullptr) << value;
        X509_add_ext(certificate, extension.get(), -1);
    }
    Certificate make(const std::string& name, const std::string& names, X509* issuer, EVP_PKEY* key, long seconds_valid) const {
        Certificate made(X509_new(), &X509_free);
        X509* x = made.get();
        X509_set_version(x, X509_VERSION_3);
        ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial_);
        X509_gmtime_adj(X509_getm_notBefore(x), -7200);
        X509_gmtime_adj(X509_getm_notAfter(x), seconds_valid);
        X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
                                   reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
        X509_set_issuer_name(x, X509_get_subject_name(issuer != nullptr ? issuer : x));
        X509_set_pubkey(x, key);
        extend(x, issuer != nullptr ? issuer : x, NID_basic_constraints, issuer != nullptr ? "CA:FALSE" : "critical,CA:TRUE");
        if (!names.empty()) extend(x, issuer, NID_subject_alt_name, names);
        X509_sign(x, key_.get(), EVP_sha256());
        return made;
    }

    std::string folder_;
    mutable long serial_ = 0;
    Key key_;
    Certificate root_;
};

}  // namespace gantry::http
