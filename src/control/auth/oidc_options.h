#pragma once
// How logins at an outside OpenID Connect provider are set up.

#include <string>
#include <vector>

#include "base/result.h"

namespace gantry::control {

struct OidcOptions {
    std::string issuer;                        // its URL, exactly as the provider writes it; empty: no such logins
    std::string client_id;
    std::string client_secret;                 // empty: a public client, which PKCE alone protects
    std::string scopes = "openid profile email";
    std::string name_claim = "preferred_username";
    std::string groups_claim = "groups";
    std::string admin_group;                   // whose members are admins, and nobody else of the provider; empty: roles are set here
    std::vector<std::string> allowed_groups;   // who may log in: one of these groups,
    std::vector<std::string> allowed_domains;  // or a verified address of one of these domains,
    bool allow_anyone = false;                 // or whoever the provider knows
    bool new_users = true;                     // false: only those who have logged in before
    std::string ca_file;                       // whom to trust for the provider's certificate; empty: the system's authorities
    bool on() const { return !issuer.empty(); }
};

// What can be seen wrong without asking the provider.
Status check_oidc_options(const OidcOptions& options);

}  // namespace gantry::control
