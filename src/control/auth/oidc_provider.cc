#include "control/auth/oidc_provider.h"

#include <sodium.h>

#include <boost/asio/steady_timer.hpp>

#include "base/log.h"
#include "base/url.h"
#include "control/auth/jwt.h"

namespace gantry::control {
namespace {

using protocol::oidc::Discovery;
using protocol::oidc::IdClaims;
using protocol::oidc::Jwk;

constexpr std::chrono::seconds kDiscoveryLasts{3600};
constexpr std::chrono::seconds kKeysLast{3600};            // a key that the provider took back is believed no longer
constexpr std::chrono::seconds kFailureLasts{2};           // and is answered to all that ask meanwhile
constexpr std::chrono::seconds kUnknownKeyEvery{10};       // tokens of unknown keys, which anyone can make, renew no more often
constexpr size_t kAnswerBytesMax = 512 * 1024;

http::ClientOptions client_options(const OidcOptions& options) {
    http::ClientOptions out;
    out.connect_timeout = std::chrono::seconds(5);
    out.header_timeout = std::chrono::seconds(10);
    out.idle_timeout = std::chrono::seconds(5);
    out.body_bytes = kAnswerBytesMax;
    out.ca_file = options.ca_file;
    return out;
}

std::string basic(const std::string& id, const std::string& secret) {
    // Both are form-encoded first (RFC 6749, 2.3.1).
    const std::string text = url_encoded(id) + ":" +
                             url_encoded(secret);
    std::string out(sodium_base64_encoded_len(text.size(), sodium_base64_VARIANT_ORIGINAL), '\0');
    sodium_bin2base64(out.data(), out.size(), reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                      sodium_base64_VARIANT_ORIGINAL);
    out.pop_back();
    return "Basic " + out;
}

Error provider_error(const Error& error) {
    if (error.code == ErrorCode::kUnauthenticated || error.code == ErrorCode::kDeadlineExceeded) return error;
    return unavailable("the provider of logins can't be used now: " + error.message, "oidc_unavailable");
}

// A provider elsewhere must not lead us to what is spoken in the clear, nor so to other services of this machine.
Status check_endpoints(const Discovery& found, const std::string& issuer) {
    const auto home = parse_oidc_url(issuer);
    for (const std::string* url : {&found.authorization_endpoint, &found.token_endpoint, &found.jwks_uri}) {
        const auto where = parse_oidc_url(*url);
        if (!where) return where.error();
        if (home && home->endpoint.starts_with("tls:") && !where->endpoint.starts_with("tls:")) {
            return invalid_argument("its \"" + log::escape(*url, 200) + "\" is no https:// URL, as the issuer's is");
        }
    }
    return Ok{};
}

const Jwk* signer(const std::vector<Jwk>& keys, const SignedToken& token) {
    for (const Jwk& key : keys) {
        if (!token.header.kid.empty() && key.kid != token.header.kid) continue;
        if (signed_by(token, key)) return &key;
    }
    return nullptr;
}

bool knows(const std::vector<Jwk>& keys, const SignedToken& token) {
    if (token.header.kid.empty()) return false;
    for (const Jwk& key : keys) {
        if (key.kid == token.header.kid) return true;
    }
    return false;
}

}  // namespace

Result<OidcUrl> parse_oidc_url(const std::string& url) {
    const auto parsed = parse_url(url);
    if (!parsed) {
        return invalid_argument("\"" + log::escape(url, 200) + "\" is no https:// URL: it " + parsed.error().message);
    }
    if (!parsed->tls && nearness_of_host(parsed->host) != Nearness::kLoopback) {
        return invalid_argument("\"" + log::escape(url, 200) + "\": a provider on another machine must be reached by https://");
    }
    return OidcUrl{parsed->endpoint(), parsed->target()};
}

std::string form(const std::vector<std::pair<std::string, std::string>>& fields) {
    std::string text;
    for (const auto& [name, value] : fields) {
        text.append(text.empty() ? "" : "&").append(name).append("=").append(url_encoded(value));
    }
    return text;
}

OidcProvider::OidcProvider(http::asio::io_context& io, const OidcOptions& options, const Clock& clock,
                           std::chrono::milliseconds answer_within)
    : options_(options), clock_(clock), io_(io), answer_within_(answer_within), client_(io, client_options(options)), asked_(io) {}

bool OidcProvider::fresh(SteadyTime asked_at, std::chrono::seconds lasts) const { return clock_.steady() - asked_at < lasts; }

http::Task<void> OidcProvider::wait_turn() {
    while (asking_) co_await asked_.wait(std::chrono::seconds(1));
}

http::Task<Result<http::SimpleResponse>> OidcProvider::ask(std::string endpoint, http::Client::Call call) {
    http::Canceller late;
    http::asio::steady_timer timer(io_, answer_within_);
    timer.async_wait([late](const boost::system::error_code& ended) mutable {
        if (!ended) late.cancel();
    });
    const auto in_time = [&late](const Error& error) {
        return late.cancelled() ? Error{ErrorCode::kDeadlineExceeded, "the provider took too long", {}, {}} : error;
    };
    const auto sent = co_await client_.send(std::move(endpoint), std::move(call), late);
    if (!sent) co_return in_time(sent.error());
    auto body = co_await (*sent)->read_all();
    if (!body) co_return in_time(body.error());
    co_return http::SimpleResponse{(*sent)->status(), (*sent)->headers(), *std::move(body)};
}

http::Task<Result<std::string>> OidcProvider::get(std::string url) {
    const auto where = parse_oidc_url(url);
    if (!where) co_return where.error();
    http::Client::Call call;
    call.target = where->target;
    call.headers.set("accept", "application/json");
    auto answer = co_await ask(where->endpoint, std::move(call));
    if (!answer) co_return std::move(answer).error();
    if (answer->status != 200) {
        co_return unavailable("it answered " + std::to_string(answer->status) + " at " + log::escape(where->target, 200));
    }
    co_return std::move(answer->body);
}

// Ends the turn of whoever asks, however it ends.
namespace {
struct Turn {
    bool& asking;
    http::Signal& asked;
    Turn(bool& a, http::Signal& s) : asking(a), asked(s) { asking = true; }
    ~Turn() {
        asking = false;
        asked.notify();
    }
};
}  // namespace

http::Task<void> OidcProvider::renew_discovery() {
    const Turn turn(asking_, asked_);
    std::string base = options_.issuer;
    if (base.ends_with('/')) base.pop_back();
    const auto body = co_await get(base + "/.well-known/openid-configuration");
    auto found = body ? protocol::oidc::parse_discovery(*body) : Result<Discovery>(body.error());
    // Else another provider could stand in for this one (OpenID Connect Discovery, 4.3).
    if (found && found->issuer != options_.issuer) {
        found = invalid_argument("it calls itself \"" + log::escape(found->issuer, 200) + "\", which is not what --oidc-issuer says");
    }
    if (found) {
        if (const Status good = check_endpoints(*found, options_.issuer); !good) found = good.error();
    }
    discovery_.asked_at = clock_.steady();
    if (found) {
        discovery_.value = *std::move(found);
        discovery_.failure.reset();
    } else {
        log::warn("oidc: {}: {}", options_.issuer, found.error().message);
        discovery_.failure = provider_error(found.error());
    }
}

http::Task<Result<Discovery>> OidcProvider::discovery() {
    co_await wait_turn();
    const bool good = discovery_.value && !discovery_.failure && fresh(discovery_.asked_at, kDiscoveryLasts);
    const bool bad = discovery_.failure && fresh(discovery_.asked_at, kFailureLasts);
    if (!good && !bad) co_await renew_discovery();
    // What it said before is good enough while it says nothing.
    if (discovery_.value) co_return *discovery_.value;
    co_return *discovery_.failure;
}

http::Task<void> OidcProvider::renew_keys() {
    const Turn turn(asking_, asked_);
    const std::string url = discovery_.value ? discovery_.value->jwks_uri : std::string();
    const auto body = co_await get(url);
    auto keys = body ? protocol::oidc::parse_jwks(*body) : Result<Keys>(body.error());
    keys_.asked_at = clock_.steady();
    if (keys) {
        keys_.value = *std::move(keys);
        keys_.failure.reset();
    } else {
        log::warn("oidc: the keys of {}: {}", options_.issuer, keys.error().message);
        keys_.failure = provider_error(keys.error());
        keys_.value.reset();
    }
}

http::Client::Call OidcProvider::token_call(const Discovery& found, const std::string& code, const std::string& verifier,
                                            const std::string& redirect_uri) const {
    std::vector<std::pair<std::string, std::string>> fields = {
        {"grant_type", "authorization_code"}, {"code", code}, {"redirect_uri", redirect_uri}, {"code_verifier", verifier}};
    http::Client::Call call;
    call.method = "POST";
    call.headers.set("accept", "application/json");
    call.headers.set("content-type", "application/x-www-form-urlencoded");
    const bool in_head = !options_.client_secret.empty() && !found.secret_in_body;
    if (in_head) call.headers.set("authorization", basic(options_.client_id, options_.client_secret));
    if (!in_head) fields.emplace_back("client_id", options_.client_id);
    if (!in_head && !options_.client_secret.empty()) fields.emplace_back("client_secret", options_.client_secret);
    call.body = form(fields);
    return call;
}

http::Task<Result<std::string>> OidcProvider::exchange(std::string code, std::string verifier, std::string redirect_uri) {
    const auto found = co_await discovery();
    if (!found) co_return found.error();
    const auto where = parse_oidc_url(found->token_endpoint);
    if (!where) co_return provider_error(where.error());
    http::Client::Call call = token_call(*found, code, verifier, redirect_uri);
    call.target = where->target;
    const auto answer = co_await ask(where->endpoint, std::move(call));
    if (!answer) co_return provider_error(answer.error());
    auto token = protocol::oidc::parse_token_answer(answer->status, answer->body);
    if (!token) co_return provider_error(token.error());
    co_return *std::move(token);
}

http::Task<Result<IdClaims>> OidcProvider::verify(std::string id_token, std::string nonce) {
    const auto refused = [](const std::string& why) { return Error{ErrorCode::kUnauthenticated, why, {}, "oidc_token"}; };
    const auto token = parse_token(id_token);
    if (!token) co_return refused(token.error().message);
    co_await wait_turn();
    if (!keys_.value || !fresh(keys_.asked_at, kKeysLast)) {
        if (!(keys_.failure && fresh(keys_.asked_at, kFailureLasts))) co_await renew_keys();
    }
    const Jwk* key = keys_.value ? signer(*keys_.value, *token) : nullptr;
    const bool may_ask = !unknown_key_seen_ || !fresh(unknown_key_at_, kUnknownKeyEvery);
    if (keys_.value && key == nullptr && !knows(*keys_.value, *token) && may_ask) {
        unknown_key_seen_ = true;
        unknown_key_at_ = clock_.steady();
        co_await wait_turn();
        co_await renew_keys();
        key = keys_.value ? signer(*keys_.value, *token) : nullptr;
    }
    if (!keys_.value) co_return *keys_.failure;
    if (key == nullptr) co_return refused("no key of the provider made the token's signature");
    auto claims = protocol::oidc::parse_id_claims(token->payload);
    if (!claims) co_return refused(claims.error().message);
    const Status good = check_claims(*claims, {options_.issuer, options_.client_id, nonce, clock_.wall()});
    if (!good) co_return good.error();
    co_return *std::move(claims);
}

}  // namespace gantry::control
