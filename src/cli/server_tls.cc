#include "cli/server_tls.h"

#include "base/log.h"

namespace gantry::cli {
namespace {

constexpr std::chrono::minutes kLookEvery{1};

}  // namespace

CertificateKeeper::CertificateKeeper(http::asio::io_context& io, http::BlockingPool& pool, std::shared_ptr<http::TlsIdentity> identity)
    : pool_(pool), identity_(std::move(identity)), wanted_signal_(io) {}

void CertificateKeeper::renew() {
    wanted_ = true;
    wanted_signal_.notify();
}

http::Task<void> CertificateKeeper::watch() {
    for (;;) {
        if (!wanted_) {
            co_await wanted_signal_.wait(kLookEvery);
        }
        const bool wanted = std::exchange(wanted_, false);
        const bool changed = co_await pool_.run([this] { return identity_->changed_on_disk(); });
        if (!wanted && !changed) {
            continue;
        }
        const Status renewed = co_await pool_.run([this] { return identity_->reload(); });
        if (renewed) {
            log::info("tls: the certificate was read anew: {}", identity_->summary());
        } else {
            log::error("tls: the new certificate can't be used, the one before stays: {}", renewed.error().message);
        }
    }
}

}  // namespace gantry::cli
