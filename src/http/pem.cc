#include "http/pem.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/digest.h"

namespace gantry::http {

Bio pem_reader(const std::string& text) { return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

int no_passphrase(char*, int, int, void*) { return -1; }

Error no_pem(const char* what) {
    ERR_clear_error();
    return invalid_argument(fmt::format("this is no {}: it must be PEM text", what));
}

Result<Key> read_key(const std::string& text) {
    Key key(PEM_read_bio_PrivateKey(pem_reader(text).get(), nullptr, no_passphrase, nullptr));
    if (!key) return no_pem("private key");
    return key;
}

Result<Certificate> read_x509(const std::string& text) {
    Certificate certificate(PEM_read_bio_X509(pem_reader(text).get(), nullptr, no_passphrase, nullptr));
    if (!certificate) return no_pem("certificate");
    return certificate;
}

std::string digest_of(const X509* certificate) {
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    return X509_digest(certificate, EVP_sha256(), hash, &length) == 1 ? to_hex(hash, length) : std::string();
}

}  // namespace gantry::http
