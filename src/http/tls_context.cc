#include "http/tls_context.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "http/mutual_tls.h"

namespace gantry::http {
namespace {

// ALPN's form of a list: each name with its length before it.
constexpr unsigned char kProtocols[] = "\x08http/1.1";
constexpr unsigned kProtocolsLength = sizeof(kProtocols) - 1;

// A client that names protocols, and not ours, is told so: what it would send is none of our business.
int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* length, const unsigned char* offered, unsigned size, void*) {
    unsigned char* found = nullptr;
    if (SSL_select_next_proto(&found, length, kProtocols, kProtocolsLength, offered, size) != OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *chosen = found;
    return SSL_TLSEXT_ERR_OK;
}

}  // namespace

Result<TlsContext> make_tls_context(const ssl_method_st* method) {
    ERR_clear_error();
    TlsContext context(SSL_CTX_new(method));
    if (!context || SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) != 1) {
        return internal_error("TLS can't be set up: " + last_tls_error());
    }
    SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    // An idle connection keeps no buffers; a write that the kernel cut is repeated from wherever its bytes are then.
    SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(context.get(), 1);   // a record is one system call, not two
    return context;
}

void FreeTlsContext::operator()(ssl_ctx_st* context) const { SSL_CTX_free(context); }

std::string last_tls_error() {
    const unsigned long error = ERR_peek_last_error();
    ERR_clear_error();
    const char* reason = error != 0 ? ERR_reason_error_string(error) : nullptr;
    return reason != nullptr ? reason : "an unknown error";
}

Result<TlsContext> server_tls_context() {
    auto context = make_tls_context(TLS_server_method());
    if (!context) return context;
    SSL_CTX_set_alpn_select_cb(context->get(), choose_protocol, nullptr);
    SSL_CTX_set_client_hello_cb(context->get(), choose_identity, nullptr);
    SSL_CTX_set_session_cache_mode(context->get(), SSL_SESS_CACHE_OFF);   // tickets do it without memory of ours
    return context;
}

Result<TlsContext> client_tls_context(const std::string& ca_file) {
    auto context = make_tls_context(TLS_client_method());
    if (!context) return context;
    SSL_CTX_set_verify(context->get(), SSL_VERIFY_PEER, nullptr);
    if (SSL_CTX_set_alpn_protos(context->get(), kProtocols, kProtocolsLength) != 0) {
        return internal_error("TLS can't be set up: " + last_tls_error());
    }
    if (ca_file.empty()) {
        if (SSL_CTX_set_default_verify_paths(context->get()) != 1) {
            return internal_error("the system's certificate authorities can't be read: " + last_tls_error());
        }
        return context;
    }
    if (::access(ca_file.c_str(), R_OK) != 0) {
        return error_from_errno("the file of certificate authorities " + ca_file + " can't be read", errno);
    }
    if (SSL_CTX_load_verify_file(context->get(), ca_file.c_str()) != 1) {
        return invalid_argument(ca_file + " holds no certificate authority; it must be a PEM file (" + last_tls_error() + ")");
    }
    return context;
}

}  // namespace gantry::http
