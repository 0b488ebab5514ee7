#include "control/auth/oidc_options.h"

#include "control/auth/oidc_provider.h"

namespace gantry::control {

Status check_oidc_options(const OidcOptions& options) {
    if (!options.on()) return Ok{};
    const auto issuer = parse_oidc_url(options.issuer);
    if (!issuer) return invalid_argument("--oidc-issuer: " + issuer.error().message);
    if (issuer->target.find('?') != std::string::npos) return invalid_argument("--oidc-issuer: an issuer's URL has no query");
    if (options.client_id.empty()) return invalid_argument("--oidc-issuer needs --oidc-client-id, which the provider gave you");
    if ((" " + options.scopes + " ").find(" openid ") == std::string::npos) {
        return invalid_argument("--oidc-scopes must hold \"openid\", or the provider sends no ID token");
    }
    if (!options.allow_anyone && options.allowed_domains.empty() && options.allowed_groups.empty()) {
        return invalid_argument("who may log in by --oidc-issuer? Say --oidc-allow-domain, --oidc-allow-group, or --oidc-allow-anyone if "
                                "the provider knows only people who may");
    }
    return Ok{};
}

}  // namespace gantry::control
