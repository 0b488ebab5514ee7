#pragma once
// The client of one OpenID Connect provider: its discovery document and keys, kept and renewed; codes for ID tokens. All answers are
// bounded in size and time, and however many ask, the provider is asked once. Redirects are not followed. The io thread.

#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "control/auth/id_token.h"
#include "control/auth/oidc_options.h"
#include "http/http.h"
#include "protocol/oidc/documents.h"

namespace gantry::control {

class OidcProvider {
public:
    // From the first try to connect to an answer's last byte: a provider that trickles holds nobody up.
    static constexpr std::chrono::seconds kAnswerWithin{15};
    // `options` and `clock` must live as long.
    OidcProvider(http::asio::io_context& io, const OidcOptions& options, const Clock& clock,
                 std::chrono::milliseconds answer_within = kAnswerWithin);

    http::Task<Result<protocol::oidc::Discovery>> discovery();
    // kUnauthenticated: the provider refuses the code. kUnavailable, kDeadlineExceeded: it is not there, or too slow.
    http::Task<Result<std::string>> exchange(std::string code, std::string verifier, std::string redirect_uri);
    // Signature and claims of an ID token. kUnauthenticated says what is wrong with it: for the log.
    http::Task<Result<protocol::oidc::IdClaims>> verify(std::string id_token, std::string nonce);

private:
    using Keys = std::vector<protocol::oidc::Jwk>;
    template <class T>
    struct Kept {
        std::optional<T> value;
        SteadyTime asked_at{};                 // at which `value` or `failure` was the answer
        std::optional<Error> failure;
    };
    http::Task<Result<http::SimpleResponse>> ask(std::string endpoint, http::Client::Call call);
    http::Task<Result<std::string>> get(std::string url);
    http::Task<void> renew_discovery();
    http::Task<void> renew_keys();
    http::Task<void> wait_turn();
    bool fresh(SteadyTime asked_at, std::chrono::seconds lasts) const;
    http::Client::Call token_call(const protocol::oidc::Discovery& found, const std::string& code, const std::string& verifier,
                                  const std::string& redirect_uri) const;

    const OidcOptions& options_;
    const Clock& clock_;
    http::asio::io_context& io_;
    const std::chrono::milliseconds answer_within_;
    http::Client client_;
    http::Signal asked_;
    bool asking_ = false;
    Kept<protocol::oidc::Discovery> discovery_;
    Kept<Keys> keys_;
    SteadyTime unknown_key_at_{};              // when keys were last renewed for a token whose key was not among them
    bool unknown_key_seen_ = false;
};

// "https://host/path?x" for http::Client. Plain http only where it stays on this machine.
struct OidcUrl {
    std::string endpoint;
    std::string target;
};
Result<OidcUrl> parse_oidc_url(const std::string& url);
// application/x-www-form-urlencoded: a query, or a body.
std::string form(const std::vector<std::pair<std::string, std::string>>& fields);

}  // namespace gantry::control
