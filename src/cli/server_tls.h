#pragma once
// The public port's certificate while the server runs: renewed on SIGHUP, and by itself when its files have changed.

#include <memory>

#include "http/http.h"
#include "http/tls_identity.h"

namespace gantry::cli {

// One io thread.
class CertificateKeeper {
public:
    CertificateKeeper(http::asio::io_context& io, http::BlockingPool& pool, std::shared_ptr<http::TlsIdentity> identity);
    // Watches until the io_context ends; the keeper must live as long.
    http::Task<void> watch();
    void renew();   // now, changed or not

private:
    http::BlockingPool& pool_;
    std::shared_ptr<http::TlsIdentity> identity_;   // shared with the listener
    http::Signal wanted_signal_;
    bool wanted_ = false;
};

}  // namespace gantry::cli
