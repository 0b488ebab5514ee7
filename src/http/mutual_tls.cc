#include "http/mutual_tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <fmt/format.h>

#include "http/pem.h"
#include "http/tls_context.h"

namespace gantry::http {
namespace {

Error unusable(const char* what, const Error& why) { return internal_error(fmt::format("{}: {}", what, why.message)); }
Error failed(const char* what) { return internal_error(fmt::format("{}: {}", what, last_tls_error())); }

// ALPN's form of a list of one.
std::string listed(const std::string& protocol) { return static_cast<char>(protocol.size()) + protocol; }

bool names(const unsigned char* list, size_t size, const std::string& protocol) {
    for (size_t at = 0; at < size;) {
        const size_t length = list[at];
        if (length > size - at - 1) return false;
        if (std::string_view(reinterpret_cast<const char*>(list) + at + 1, length) == protocol) return true;
        at += 1 + length;
    }
    return false;
}

// Nobody else has business here.
int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* length, const unsigned char* offered, unsigned size, void* self) {
    const std::string& protocol = static_cast<const MutualTls*>(self)->protocol();
    if (!names(offered, size, protocol)) return SSL_TLSEXT_ERR_ALERT_FATAL;
    *chosen = reinterpret_cast<const unsigned char*>(protocol.data());
    *length = static_cast<unsigned char>(protocol.size());
    return SSL_TLSEXT_ERR_OK;
}

// Trusts the one certificate of the chain that has the digest, as an authority, and checks all else as usual.
int verify_by_digest(X509_STORE_CTX* check, void* self) {
    const std::string& wanted = static_cast<const MutualTls*>(self)->authority_digest();
    STACK_OF(X509)* shown = X509_STORE_CTX_get0_untrusted(check);
    for (int i = 0; i < sk_X509_num(shown); ++i) {
        X509* one = sk_X509_value(shown, i);
        if (digest_of(one) != wanted) continue;
        STACK_OF(X509)* trusted = sk_X509_new_null();
        if (trusted == nullptr || sk_X509_push(trusted, one) <= 0) {
            sk_X509_free(trusted);
            X509_STORE_CTX_set_error(check, X509_V_ERR_OUT_OF_MEM);
            return 0;
        }
        X509_STORE_CTX_set0_trusted_stack(check, trusted);
        const int verified = X509_verify_cert(check);
        sk_X509_free(trusted);   // its certificate is the chain's
        return verified;
    }
    X509_STORE_CTX_set_error(check, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN);
    return 0;
}

Status use_own(SSL_CTX* context, const CertifiedKey& own) {
    constexpr char kWhat[] = "the certificate and its key can't be used";
    const auto certificate = read_x509(own.certificate);
    if (!certificate) return unusable(kWhat, certificate.error());
    const auto key = read_key(own.key);
    if (!key) return unusable(kWhat, key.error());
    if (SSL_CTX_use_certificate(context, certificate->get()) != 1 || SSL_CTX_use_PrivateKey(context, key->get()) != 1) return failed(kWhat);
    return Ok{};
}

Result<TlsContext> begin(const SSL_METHOD* method) {
    auto context = make_tls_context(method);
    if (!context) return context;
    if (SSL_CTX_set_min_proto_version(context->get(), TLS1_3_VERSION) != 1) return failed("TLS can't be set up");
    // Each connection shows its certificates anew, so that one that was taken back is noticed.
    SSL_CTX_set_session_cache_mode(context->get(), SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(context->get(), SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(context->get(), 0);
    return context;
}

}  // namespace

MutualTls::~MutualTls() { SSL_CTX_free(context_); }

Result<std::shared_ptr<MutualTls>> MutualTls::server(const CertifiedKey& own, const std::string& authority, std::string protocol) {
    auto context = begin(TLS_server_method());
    if (!context) return context.error();
    GANTRY_TRY(use_own(context->get(), own));
    const auto trusted = read_x509(authority);
    if (!trusted) return unusable("the authority can't be used", trusted.error());
    // It travels with the chain, for clients that know its digest only.
    if (SSL_CTX_add1_chain_cert(context->get(), trusted->get()) != 1 ||
        X509_STORE_add_cert(SSL_CTX_get_cert_store(context->get()), trusted->get()) != 1) {
        return failed("the authority can't be used");
    }
    SSL_CTX_set_verify(context->get(), SSL_VERIFY_PEER, nullptr);
    std::shared_ptr<MutualTls> made(new MutualTls(context->release(), std::move(protocol)));   // shared: connections are made from it
    SSL_CTX_set_alpn_select_cb(made->context_, choose_protocol, made.get());
    return made;
}

Result<std::shared_ptr<MutualTls>> MutualTls::client(const CertifiedKey& own, const std::string& authority_digest, std::string server_name,
                                                     std::string protocol) {
    auto context = begin(TLS_client_method());
    if (!context) return context.error();
    if (!own.certificate.empty()) GANTRY_TRY(use_own(context->get(), own));
    const std::string list = listed(protocol);
    if (SSL_CTX_set_alpn_protos(context->get(), reinterpret_cast<const unsigned char*>(list.data()), static_cast<unsigned>(list.size())) != 0) {
        return failed("TLS can't be set up");
    }
    SSL_CTX_set_verify(context->get(), SSL_VERIFY_PEER, nullptr);
    std::shared_ptr<MutualTls> made(new MutualTls(context->release(), std::move(protocol)));
    made->authority_digest_ = authority_digest;
    made->server_name_ = std::move(server_name);
    SSL_CTX_set_cert_verify_callback(made->context_, verify_by_digest, made.get());
    return made;
}

void MutualTls::offer(ssl_st* accepted) const { SSL_set_app_data(accepted, const_cast<MutualTls*>(this)); }

int choose_identity(ssl_st* session, int*, void*) {
    const auto* mutual = static_cast<const MutualTls*>(SSL_get_app_data(session));
    const unsigned char* extension = nullptr;
    size_t size = 0;
    if (mutual == nullptr || SSL_client_hello_get0_ext(session, TLSEXT_TYPE_application_layer_protocol_negotiation, &extension, &size) != 1) {
        return SSL_CLIENT_HELLO_SUCCESS;
    }
    // Two bytes say how long the list is.
    if (size < 2 || !names(extension + 2, size - 2, mutual->protocol())) return SSL_CLIENT_HELLO_SUCCESS;
    SSL_set_SSL_CTX(session, mutual->context());
    SSL_set_verify(session, SSL_VERIFY_PEER, nullptr);
    SSL_set_min_proto_version(session, TLS1_3_VERSION);
    SSL_set_options(session, SSL_OP_NO_TICKET);
    SSL_set_num_tickets(session, 0);
    return SSL_CLIENT_HELLO_SUCCESS;
}

}  // namespace gantry::http
