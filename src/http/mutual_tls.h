#pragma once
// TLS 1.3 in which both sides show certificates of one authority, told from all other TLS by the name of its protocol (ALPN).
// Threads: any; immutable once made, so that a new certificate is a new one of these.

#include <memory>
#include <string>

#include "base/result.h"
#include "http/certificates.h"

struct ssl_ctx_st;
struct ssl_st;

namespace gantry::http {

class MutualTls {
public:
    // `own`: of `server_name`; a client need not have a certificate, what it may do without one is the handlers' to say.
    static Result<std::shared_ptr<MutualTls>> server(const CertifiedKey& own, const std::string& authority, std::string protocol);
    // Knows the server by the authority alone: its certificate has this hex SHA-256, whatever the address. `own` empty: none yet.
    static Result<std::shared_ptr<MutualTls>> client(const CertifiedKey& own, const std::string& authority_digest, std::string server_name,
                                                     std::string protocol);
    ~MutualTls();
    const std::string& protocol() const { return protocol_; }

    // The library's own.
    ssl_ctx_st* context() const { return context_; }
    const std::string& server_name() const { return server_name_; }
    void offer(ssl_st* accepted) const;
    const std::string& authority_digest() const { return authority_digest_; }

private:
    MutualTls(ssl_ctx_st* context, std::string protocol) : context_(context), protocol_(std::move(protocol)) {}
    ssl_ctx_st* context_;
    const std::string protocol_;
    std::string server_name_;
    std::string authority_digest_;
};

// For server_tls_context(): lets an accepted session that was offered one change to it. Reads the client's first words.
int choose_identity(ssl_st* session, int* alert, void*);

}  // namespace gantry::http
