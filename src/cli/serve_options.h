#pragma once
// Settings of `gantry serve` that come in groups: how it is reached, and logins at an outside provider.

#include <string>
#include <vector>

#include "base/result.h"
#include "cli/server_process.h"

namespace CLI {
class App;
}

namespace gantry::cli {

struct GroupedOptions {
    std::vector<std::string> trusted_proxies;
    std::string client_secret_file;
    bool no_new_users = false;
};
// `server` and `grouped` must live until the command line has been read.
void add_network_options(CLI::App& verb, ServerOptions& server, GroupedOptions& grouped);
void add_oidc_options(CLI::App& verb, ServerOptions& server, GroupedOptions& grouped);
// Reads what needs reading and checks what goes together; kInvalidArgument says which flag is wrong.
Status take_grouped_options(const GroupedOptions& grouped, ServerOptions& server);

}  // namespace gantry::cli
