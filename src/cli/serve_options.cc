#include "cli/serve_options.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <fstream>

#include "base/log.h"
#include "cli/daemon.h"

namespace gantry::cli {
namespace {

constexpr mode_t kOthersRead = 0004;

// A flag that may be repeated; in the environment and the file, a list with commas.
void add_list(CLI::App& verb, const std::string& flag, std::vector<std::string>& values, const char* help, const char* environment,
              const char* type) {
    verb.add_option(flag, values, help)->envname(environment)->take_all()->allow_extra_args(false)->delimiter(',')->type_name(type);
}

// The public URL is an origin; its host is one that requests may carry.
Status take_public_url(ServerOptions& server) {
    std::string& url = server.public_url;
    if (url.empty()) {
        return Ok{};
    }
    const Result<Url> origin = parse_origin(url);
    if (!origin) {
        return invalid_argument(fmt::format("--public-url \"{}\": write it as https://HOST or https://HOST:PORT", url));
    }
    url = origin->origin();
    server.allowed_hosts.push_back(origin->host);
    return Ok{};
}

Status take_client_secret(const std::string& path, std::string& secret) {
    if (path.empty()) {
        return Ok{};
    }
    struct stat found{};
    if (::stat(path.c_str(), &found) == 0 && (found.st_mode & kOthersRead) != 0) {
        log::warn("oidc: everybody on this machine can read the client's secret in {}; chmod o-r it", path);
    }
    std::ifstream file(path);
    if (!file || !std::getline(file, secret) || secret.empty()) {
        return invalid_argument(fmt::format("--oidc-client-secret-file: {} can't be read or is empty; its first line is the secret", path));
    }
    if (secret.back() == '\r') {
        secret.pop_back();
    }
    return Ok{};
}

}  // namespace

void add_network_options(CLI::App& verb, ServerOptions& server, GroupedOptions& grouped) {
    verb.add_option("--tls-cert", server.tls.certificate,
                    "speak HTTPS on the port: the server's certificate and what signed it, PEM; read anew when it changes, or on SIGHUP")
        ->envname("GANTRY_TLS_CERT")
        ->type_name("FILE");
    verb.add_option("--tls-key", server.tls.key, "the certificate's private key, PEM, without a passphrase")
        ->envname("GANTRY_TLS_KEY")
        ->type_name("FILE");
    add_list(verb, "--trusted-proxy", grouped.trusted_proxies,
             "a reverse proxy, whose X-Forwarded-For and X-Forwarded-Proto are believed; may be repeated", "GANTRY_TRUSTED_PROXY", "CIDR");
    verb.add_option("--public-url", server.public_url, "how browsers reach the server: https://gantry.example.org")
        ->envname("GANTRY_PUBLIC_URL")
        ->type_name("URL");
}

void add_oidc_options(CLI::App& verb, ServerOptions& server, GroupedOptions& grouped) {
    control::OidcOptions& oidc = server.oidc;
    verb.add_option("--oidc-issuer", oidc.issuer, "let people log in at this OpenID Connect provider")
        ->envname("GANTRY_OIDC_ISSUER")
        ->type_name("URL");
    verb.add_option("--oidc-client-id", oidc.client_id, "what the provider calls this server")->envname("GANTRY_OIDC_CLIENT_ID")->type_name("ID");
    verb.add_option("--oidc-client-secret-file", grouped.client_secret_file, "the secret the provider gave it; none: a public client")
        ->envname("GANTRY_OIDC_CLIENT_SECRET_FILE")
        ->type_name("FILE");
    verb.add_option("--oidc-scopes", oidc.scopes, "what to ask the provider for")->envname("GANTRY_OIDC_SCOPES")->capture_default_str();
    verb.add_option("--oidc-name-claim", oidc.name_claim, "what becomes the user's name; a verified email address where it is missing")
        ->envname("GANTRY_OIDC_NAME_CLAIM")
        ->capture_default_str();
    verb.add_option("--oidc-groups-claim", oidc.groups_claim, "where the provider lists a person's groups")
        ->envname("GANTRY_OIDC_GROUPS_CLAIM")
        ->capture_default_str();
    verb.add_option("--oidc-admin-group", oidc.admin_group, "whose members are admins, and no other person of the provider; else roles are set here")
        ->envname("GANTRY_OIDC_ADMIN_GROUP")
        ->type_name("GROUP");
    add_list(verb, "--oidc-allow-group", oidc.allowed_groups, "whose members may log in; may be repeated", "GANTRY_OIDC_ALLOW_GROUP", "GROUP");
    add_list(verb, "--oidc-allow-domain", oidc.allowed_domains, "of whose verified email addresses people may log in; may be repeated",
             "GANTRY_OIDC_ALLOW_DOMAIN", "DOMAIN");
    verb.add_flag("--oidc-allow-anyone", oidc.allow_anyone, "whoever the provider knows may log in")->envname("GANTRY_OIDC_ALLOW_ANYONE");
    verb.add_flag("--oidc-no-new-users", grouped.no_new_users, "only those may who have logged in before")->envname("GANTRY_OIDC_NO_NEW_USERS");
    verb.add_option("--oidc-ca", oidc.ca_file, "the authority that signed the provider's certificate, if the system doesn't know it")
        ->envname("GANTRY_OIDC_CA")
        ->type_name("FILE");
}

Status take_grouped_options(const GroupedOptions& grouped, ServerOptions& server) {
    if (server.tls.certificate.empty() != server.tls.key.empty()) {
        return invalid_argument("--tls-cert and --tls-key go together: a certificate is of no use without its key");
    }
    Result<http::Networks> proxies = http::Networks::parse(grouped.trusted_proxies);
    if (!proxies) {
        return invalid_argument("--trusted-proxy: " + proxies.error().message);
    }
    server.trusted_proxies = std::move(*proxies);
    server.oidc.new_users = !grouped.no_new_users;
    GANTRY_TRY(take_public_url(server));
    GANTRY_TRY(take_client_secret(grouped.client_secret_file, server.oidc.client_secret));
    return control::check_oidc_options(server.oidc);
}

}  // namespace gantry::cli
