#pragma once
// What all TLS connections of a kind have in common: versions, certificate, whom to trust. Private to this folder; a server's
// certificate is http/tls_identity.h.

#include <memory>
#include <string>

#include "base/result.h"

struct ssl_ctx_st;
struct ssl_method_st;
struct x509_st;

namespace gantry::http {

struct FreeTlsContext {
    void operator()(ssl_ctx_st* context) const;
};
using TlsContext = std::unique_ptr<ssl_ctx_st, FreeTlsContext>;

// What all below have in common.
Result<TlsContext> make_tls_context(const ssl_method_st* method);
// The subject's one common name; empty: none, or several.
std::string common_name_of(const x509_st* certificate);
// TLS 1.2 and 1.3 with OpenSSL's own choice of ciphers, ALPN http/1.1, no renegotiation. Without a certificate yet.
Result<TlsContext> server_tls_context();
// Trusts the authorities of the PEM file, or those of the system where `ca_file` is empty. Blocks on the disk, once.
Result<TlsContext> client_tls_context(const std::string& ca_file);

// What OpenSSL's queue of errors says last, for a person; empties it.
std::string last_tls_error();

}  // namespace gantry::http
