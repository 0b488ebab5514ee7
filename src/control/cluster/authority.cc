#include "control/cluster/authority.h"

#include <fmt/format.h>

#include "base/log.h"
#include "base/platform/files.h"

namespace gantry::control {
namespace {

constexpr std::chrono::hours kValid{20 * 365 * 24};
constexpr std::chrono::hours kServerValid{10 * 365 * 24};

Error unusable(const std::string& why) {
    return internal_error(fmt::format("the cluster's certificate authority can't be used: {}. Bring cluster/authority.pem and "
                                      "cluster/authority.key of the data folder back from a backup; without them every worker has to join anew "
                                      "(then remove both files)",
                                      why));
}

Result<http::CertifiedKey> make(const std::string& folder, WallTime now) {
    auto made = http::make_authority("gantry cluster", now, kValid);
    if (!made) return made;
    GANTRY_TRY(platform::make_folders(folder, 0700));
    // The certificate last: a start that was cut off between the two made none.
    GANTRY_TRY(platform::write_file_atomic(folder + "/authority.key", made->key, 0600));
    GANTRY_TRY(platform::write_file_atomic(folder + "/authority.pem", made->certificate, 0600));
    log::info("cluster: made a certificate authority for workers that join");
    return made;
}

}  // namespace

Result<Authority> Authority::load_or_make(const std::string& data_dir, const Clock& clock) {
    const std::string folder = data_dir + "/cluster";
    http::CertifiedKey own;
    bool made_now = false;
    if (const auto certificate = platform::read_file(folder + "/authority.pem"); certificate) {
        const auto key = platform::read_file(folder + "/authority.key");
        if (!key) return unusable(key.error().message);
        own = {*certificate, *key};
    } else if (certificate.error().code != ErrorCode::kNotFound) {
        return unusable(certificate.error().message);
    } else {
        auto made = make(folder, clock.wall());
        if (!made) return made.error();
        own = *std::move(made);
        made_now = true;
    }
    const auto facts = http::read_certificate(own.certificate);
    if (!facts) return unusable("authority.pem: " + facts.error().message);
    if (Status fits = http::check_key_fits(own.certificate, own.key); !fits) return unusable("authority.key: " + fits.error().message);
    return Authority(std::move(own), facts->digest, made_now);
}

Result<std::string> Authority::sign_worker(const std::string& request, const std::string& worker_id, WallTime now) const {
    return http::sign_request(own_, request, worker_id, http::CertificateUse::kClient, now, kWorkerCertificateValid);
}

Result<http::CertifiedKey> Authority::make_server(WallTime now) const {
    auto key = http::make_private_key();
    if (!key) return key.error();
    const auto request = http::make_certificate_request(*key, kClusterServerName);
    if (!request) return request.error();
    auto certificate = http::sign_request(own_, *request, kClusterServerName, http::CertificateUse::kServer, now, kServerValid);
    if (!certificate) return certificate.error();
    return http::CertifiedKey{*std::move(certificate), *std::move(key)};
}

}  // namespace gantry::control
