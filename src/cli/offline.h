#pragma once
// For verbs of the server's own machine: through the server while it runs, on its data folder while it does not.

#include <fmt/format.h>
#include <unistd.h>

#include "cli/client.h"

namespace gantry::cli {

// `through(client)`, or `on_folder(path)` where no server of this machine answers. Both give the same Result. The folder's lock
// keeps a server that starts meanwhile from being overlooked.
template <class Through, class OnFolder>
auto through_server_or_folder(const Context& context, Through through, OnFolder on_folder) -> decltype(on_folder(std::string())) {
    const Result<ServerAddress> server = find_server(context);
    if (server) {
        auto done = through(ApiClient(*server));
        if (done || done.error().code != ErrorCode::kUnavailable || !server->token.empty() || !server->endpoint.starts_with("unix:")) {
            return done;
        }
    }
    // A socket that nobody answers on is what a stopped or killed server leaves behind.
    const std::string folder = server && server->endpoint.starts_with("unix:")
                                   ? server->endpoint.substr(5, server->endpoint.rfind('/') - 5)
                                   : (context.data_dir.empty() ? default_data_dir() : context.data_dir);
    if (access((folder + "/gantry.db").c_str(), F_OK) != 0) {
        return not_found(fmt::format("there is no server's data in {}; name its data folder with --data-dir", folder));
    }
    return on_folder(folder);
}

}  // namespace gantry::cli
