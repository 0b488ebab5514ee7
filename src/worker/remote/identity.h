#pragma once
// Who this worker is to its server: worker id, certificate and key, in <data_dir>/identity.json (mode 0600). It is made by joining
// once, and survives restarts, new addresses and new names; a copy of it on a second machine is a clone, which the server refuses.
// Blocking; errors are for whoever starts the worker.

#include <map>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/ids.h"
#include "http/mutual_tls.h"

namespace gantry::worker {

inline constexpr char kLinkProtocol[] = "gantry-worker/1";
inline constexpr char kLinkServerName[] = "gantry-server";

struct Identity {
    WorkerId worker_id;              // empty: it has a key, and has not joined yet
    http::CertifiedKey own;
    std::string authority_digest;    // of whoever signed it, and the server's certificate
};
// nullopt: there is none yet.
Result<std::optional<Identity>> load_identity(const std::string& data_dir);
Status save_identity(const std::string& data_dir, const Identity& identity);

struct JoinOptions {
    std::string server;              // endpoint: "tls:HOST:PORT"
    std::string token;               // text of the token's file
    std::string name;
    std::map<std::string, std::string> labels{};
};
// Joins and saves. The key is saved before it is used: a join that was cut off is the same one when it is tried again.
Result<Identity> join(const std::string& data_dir, const JoinOptions& options);

// Of this machine's installation; not of the machine's name or address.
std::string machine_id();

// The certificate's time is two thirds over.
bool wants_renewal(const Identity& identity, WallTime now);
Result<std::shared_ptr<http::MutualTls>> link_tls(const Identity& identity);

}  // namespace gantry::worker
