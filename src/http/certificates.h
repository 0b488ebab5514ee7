#pragma once
// X.509 for a small authority of one's own: keys, requests, certificates, all as PEM texts. P-256 with SHA-256 throughout.
// Threads: any; nothing is shared. Errors of texts that others made are kInvalidArgument.

#include <chrono>
#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace gantry::http {

struct CertifiedKey {
    std::string certificate;
    std::string key;           // its private key: secret
};

// A self-signed authority, which signs others' certificates and nothing else.
Result<CertifiedKey> make_authority(const std::string& common_name, WallTime now, std::chrono::hours valid);

Result<std::string> make_private_key();
// Signed with the key, which shows that whoever sends it has the key.
Result<std::string> make_certificate_request(const std::string& private_key, const std::string& common_name);
// Hex SHA-256 of the public key of a request that its own key signed.
Result<std::string> key_digest_of_request(const std::string& request);

enum class CertificateUse { kServer, kClient };
// A certificate of the request's key. Who it is of is ours to say: of the request's own fields nothing counts. With kServer the
// name is its DNS name, too. Valid from an hour before `now`, for clocks that differ.
Result<std::string> sign_request(const CertifiedKey& authority, const std::string& request, const std::string& common_name, CertificateUse use,
                                 WallTime now, std::chrono::hours valid);

// Of the first certificate of the text.
struct CertificateFacts {
    std::string common_name;
    std::string digest;        // hex SHA-256 of the whole
    WallTime valid_from{};
    WallTime valid_until{};
};
Result<CertificateFacts> read_certificate(const std::string& certificate);
// kInvalidArgument: the certificate is of another key.
Status check_key_fits(const std::string& certificate, const std::string& private_key);

}  // namespace gantry::http
