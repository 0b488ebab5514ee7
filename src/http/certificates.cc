#include "http/certificates.h"

#include <fmt/format.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <memory>
#include <vector>

#include "base/digest.h"
#include "http/pem.h"
#include "http/tls_context.h"

namespace gantry::http {
namespace {

using CertificateRequest = std::unique_ptr<X509_REQ, Freed<X509_REQ_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Freed<X509_EXTENSION_free>>;

constexpr std::chrono::hours kClocksDiffer{1};
constexpr int kSerialBytes = 16;
constexpr size_t kNameMax = 64;   // X.509's own bound of a common name

Error failed(const char* what) { return internal_error(fmt::format("{}: {}", what, last_tls_error())); }

// What `write` puts into a buffer.
template <class Write>
Result<std::string> written(const char* what, Write write) {
    const Bio out(BIO_new(BIO_s_mem()));
    if (!out || write(out.get()) != 1) return failed(what);
    char* data = nullptr;
    const long size = BIO_get_mem_data(out.get(), &data);
    return std::string(data, static_cast<size_t>(size));
}

Result<CertificateRequest> read_request(const std::string& text) {
    constexpr size_t kTextMax = 16 * 1024;
    if (text.size() > kTextMax) return invalid_argument("a certificate request is shorter");
    CertificateRequest request(PEM_read_bio_X509_REQ(pem_reader(text).get(), nullptr, no_passphrase, nullptr));
    if (!request) return no_pem("certificate request");
    EVP_PKEY* key = X509_REQ_get0_pubkey(request.get());
    char curve[64] = {};
    if (key == nullptr || EVP_PKEY_is_a(key, "EC") != 1 || EVP_PKEY_get_group_name(key, curve, sizeof(curve), nullptr) != 1 ||
        std::string_view(curve) != "prime256v1") {
        ERR_clear_error();
        return invalid_argument("the key of a certificate request must be of the curve P-256");
    }
    if (X509_REQ_verify(request.get(), key) != 1) {
        ERR_clear_error();
        return invalid_argument("the certificate request is not signed by its own key");
    }
    return request;
}

bool set_name(X509_NAME* name, const std::string& common_name) {
    return X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(common_name.data()),
                                      static_cast<int>(common_name.size()), -1, 0) == 1;
}

bool set_times(X509* certificate, WallTime now, std::chrono::hours valid) {
    const auto seconds = [](WallTime time) { return static_cast<time_t>(to_unix_ms(time) / 1000); };
    return ASN1_TIME_set(X509_getm_notBefore(certificate), seconds(now - kClocksDiffer)) != nullptr &&
           ASN1_TIME_set(X509_getm_notAfter(certificate), seconds(now + valid)) != nullptr;
}

bool set_serial(X509* certificate) {
    unsigned char bytes[kSerialBytes];
    if (RAND_bytes(bytes, kSerialBytes) != 1) return false;
    bytes[0] &= 0x7f;   // positive
    const std::unique_ptr<BIGNUM, Freed<BN_free>> number(BN_bin2bn(bytes, kSerialBytes, nullptr));
    return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool add_extension(X509* certificate, X509* issuer, int kind, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()));
    return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

// What all certificates have in common.
bool begin(X509* certificate, EVP_PKEY* key, const std::string& common_name, WallTime now, std::chrono::hours valid) {
    return X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate) && set_times(certificate, now, valid) &&
           X509_set_pubkey(certificate, key) == 1 && set_name(X509_get_subject_name(certificate), common_name);
}

Result<std::string> pem_of(X509* certificate) {
    return written("a certificate can't be written", [certificate](BIO* out) { return PEM_write_bio_X509(out, certificate); });
}
Result<std::string> pem_of(EVP_PKEY* key) {
    return written("a key can't be written",
                   [key](BIO* out) { return PEM_write_bio_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr); });
}

WallTime time_of(const ASN1_TIME* time) {
    std::tm parts{};
    if (ASN1_TIME_to_tm(time, &parts) != 1) return {};
    return from_unix_ms(static_cast<int64_t>(::timegm(&parts)) * 1000);
}

}  // namespace

std::string common_name_of(const x509_st* certificate) {
    const X509_NAME* subject = X509_get_subject_name(certificate);
    const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0) return {};   // two: nobody's
    const ASN1_STRING* text = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
    return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)), static_cast<size_t>(ASN1_STRING_length(text)));
}

Result<CertifiedKey> make_authority(const std::string& common_name, WallTime now, std::chrono::hours valid) {
    const Key key(EVP_EC_gen("P-256"));
    const Certificate own(X509_new());
    const bool made = key && own && common_name.size() <= kNameMax && begin(own.get(), key.get(), common_name, now, valid) &&
                      X509_set_issuer_name(own.get(), X509_get_subject_name(own.get())) == 1 &&
                      add_extension(own.get(), own.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
                      add_extension(own.get(), own.get(), NID_key_usage, "critical,keyCertSign,cRLSign") &&
                      add_extension(own.get(), own.get(), NID_subject_key_identifier, "hash") &&
                      X509_sign(own.get(), key.get(), EVP_sha256()) > 0;
    if (!made) return failed("an authority can't be made");
    auto certificate = pem_of(own.get());
    if (!certificate) return certificate.error();
    auto text = pem_of(key.get());
    if (!text) return text.error();
    return CertifiedKey{*std::move(certificate), *std::move(text)};
}

Result<std::string> make_private_key() {
    const Key key(EVP_EC_gen("P-256"));
    if (!key) return failed("a key can't be made");
    return pem_of(key.get());
}

Result<std::string> make_certificate_request(const std::string& private_key, const std::string& common_name) {
    const auto key = read_key(private_key);
    if (!key) return key.error();
    const CertificateRequest request(X509_REQ_new());
    const bool made = request && common_name.size() <= kNameMax && X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) == 1 &&
                      X509_REQ_set_pubkey(request.get(), key->get()) == 1 && set_name(X509_REQ_get_subject_name(request.get()), common_name) &&
                      X509_REQ_sign(request.get(), key->get(), EVP_sha256()) > 0;
    if (!made) return failed("a certificate request can't be made");
    return written("a certificate request can't be written",
                   [&request](BIO* out) { return PEM_write_bio_X509_REQ(out, request.get()); });
}

Result<std::string> key_digest_of_request(const std::string& text) {
    const auto request = read_request(text);
    if (!request) return request.error();
    unsigned char* der = nullptr;
    const int size = i2d_PUBKEY(X509_REQ_get0_pubkey(request->get()), &der);
    if (size <= 0) return failed("a key can't be read");
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    const int hashed = EVP_Digest(der, static_cast<size_t>(size), hash, &length, EVP_sha256(), nullptr);
    OPENSSL_free(der);
    if (hashed != 1) return failed("a key can't be hashed");
    return to_hex(hash, length);
}

Result<std::string> sign_request(const CertifiedKey& authority, const std::string& request, const std::string& common_name, CertificateUse use,
                                 WallTime now, std::chrono::hours valid) {
    const auto asked = read_request(request);
    if (!asked) return asked.error();
    const auto issuer = read_x509(authority.certificate);
    if (!issuer) return issuer.error();
    const auto key = read_key(authority.key);
    if (!key) return key.error();
    const Certificate own(X509_new());
    const bool server = use == CertificateUse::kServer;
    const bool made = own && !common_name.empty() && common_name.size() <= kNameMax &&
                      begin(own.get(), X509_REQ_get0_pubkey(asked->get()), common_name, now, valid) &&
                      X509_set_issuer_name(own.get(), X509_get_subject_name(issuer->get())) == 1 &&
                      add_extension(own.get(), issuer->get(), NID_basic_constraints, "critical,CA:FALSE") &&
                      add_extension(own.get(), issuer->get(), NID_key_usage, "critical,digitalSignature") &&
                      add_extension(own.get(), issuer->get(), NID_ext_key_usage, server ? "serverAuth" : "clientAuth") &&
                      (!server || add_extension(own.get(), issuer->get(), NID_subject_alt_name, "DNS:" + common_name)) &&
                      X509_sign(own.get(), key->get(), EVP_sha256()) > 0;
    if (!made) return failed("a certificate can't be signed");
    return pem_of(own.get());
}

Result<CertificateFacts> read_certificate(const std::string& text) {
    const auto certificate = read_x509(text);
    if (!certificate) return certificate.error();
    const std::string digest = digest_of(certificate->get());
    if (digest.empty()) return failed("a certificate can't be hashed");
    return CertificateFacts{.common_name = common_name_of(certificate->get()),
                            .digest = digest,
                            .valid_from = time_of(X509_get0_notBefore(certificate->get())),
                            .valid_until = time_of(X509_get0_notAfter(certificate->get()))};
}

Status check_key_fits(const std::string& certificate, const std::string& private_key) {
    const auto own = read_x509(certificate);
    if (!own) return own.error();
    const auto key = read_key(private_key);
    if (!key) return key.error();
    if (X509_check_private_key(own->get(), key->get()) == 1) return Ok{};
    ERR_clear_error();
    return invalid_argument("the certificate is of another key");
}

}  // namespace gantry::http
