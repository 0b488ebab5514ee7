#pragma once
// The cluster's own certificate authority: who it signed for is one of its workers, or its server. In <data_dir>/cluster, made at
// the first start: authority.pem and authority.key, mode 0600, part of backups. Threads: any, once made.

#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "http/certificates.h"

namespace gantry::control {

// What the server's certificate is of. It says nothing about addresses: a worker knows the server by its authority.
inline constexpr char kClusterServerName[] = "gantry-server";
inline constexpr std::chrono::hours kWorkerCertificateValid{365 * 24};

class Authority {
public:
    // Blocks on the disk. Errors name the files and what to do: they are for whoever starts the server.
    static Result<Authority> load_or_make(const std::string& data_dir, const Clock& clock);

    const std::string& certificate() const { return own_.certificate; }
    const std::string& digest() const { return digest_; }       // hex SHA-256 of it, as join tokens carry it
    bool made_now() const { return made_now_; }                 // whoever joined before won't know it

    // Of the request's key, for the worker; kInvalidArgument: what is wrong with the request.
    Result<std::string> sign_worker(const std::string& request, const std::string& worker_id, WallTime now) const;
    // With a key made for it, which is nowhere on disk.
    Result<http::CertifiedKey> make_server(WallTime now) const;

private:
    Authority(http::CertifiedKey own, std::string digest, bool made_now)
        : own_(std::move(own)), digest_(std::move(digest)), made_now_(made_now) {}
    http::CertifiedKey own_;
    std::string digest_;
    bool made_now_ = false;
};

}  // namespace gantry::control
