#pragma once
// PEM texts as OpenSSL's objects. Private to this folder; files are http/tls_identity.h's, which tells more of what is wrong with them.

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

#include "base/result.h"

namespace gantry::http {

template <auto Free>
struct Freed {
    template <class T>
    void operator()(T* value) const { Free(value); }
};
using Bio = std::unique_ptr<BIO, Freed<BIO_free_all>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;

Bio pem_reader(const std::string& text);
int no_passphrase(char*, int, int, void*);   // else OpenSSL would ask on the terminal
// "this is no private key: it must be PEM text", kInvalidArgument; what OpenSSL says of it is dropped.
Error no_pem(const char* what);
Result<Key> read_key(const std::string& text);
Result<Certificate> read_x509(const std::string& text);   // the first one
std::string digest_of(const X509* certificate);           // hex SHA-256; empty: out of memory

}  // namespace gantry::http
