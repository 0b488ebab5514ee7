#pragma once
// A whole server in one process: construct, pass references, run. Start and stop order stand in server_process.cc.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "control/auth/oidc_options.h"
#include "http/networks.h"
#include "http/tls_identity.h"

namespace gantry::cli {

struct ServerOptions {
    std::string host = "0.0.0.0";
    uint16_t port = 9090;
    std::string data_dir;
    bool no_worker = false;
    std::string data_address;                   // of the worker of this machine; empty: the one of the way outside
    bool offline = false;                     // no hub is asked for models
    std::string catalogue;                    // a file over what is built in; empty: catalogue.json of the data folder, if there is one
    std::string bootstrap_password;           // empty: a random one at the first start
    std::vector<std::string> allowed_hosts;   // names besides localhost and IP literals
    http::TlsFiles tls;                       // of the public port; empty: plain HTTP
    http::Networks trusted_proxies;
    std::string public_url;                   // how browsers reach the server; empty: as each of them says
    control::OidcOptions oidc;
    bool has_tls() const { return !tls.certificate.empty(); }
    std::chrono::seconds drain{30};           // SIGTERM: how long requests in flight may go on
    uint32_t usage_days = 90;                 // how long usage records are kept; their sums by the hour for ever. 0: records, too
    uint32_t queue_limit = 2'048;             // requests an instance may have at once; more of a model's than that are refused
    std::optional<uint64_t> memory_reserve_bytes;   // less left: requests to models are refused; 0: never; nullopt: gateway/memory_guard.h says
    std::chrono::seconds hold_timeout{60};    // how long a request waits for a model that is asleep
    bool verbose = false;
};

// Runs until SIGTERM (drains; the engines go on, for the next start to adopt) or SIGINT (the engines end too). A second
// signal cuts the drain short. Returns the exit status.
int run_server(const ServerOptions& options);

}  // namespace gantry::cli
