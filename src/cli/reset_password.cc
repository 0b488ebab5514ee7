// `gantry reset-password`: for the person at the server's machine who can't log in any more. Through the admin socket while the
// server runs, on the database itself while it does not.

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "base/clock.h"
#include "base/ids.h"
#include "cli/offline.h"
#include "cli/output.h"
#include "cli/secrets.h"
#include "cli/words.h"
#include "control/control.h"
#include "store/store.h"

namespace gantry::cli {
namespace {

Result<std::string> through_server(const ApiClient& client, const std::string& user) {
    json::object body;
    const std::string password = random_password();
    body["password"] = password;
    body["must_change_password"] = true;
    const Result<json::value> done = client.call("PATCH", "/api/v1/users/" + encode_segment(user), body);
    if (!done) {
        return done.error();
    }
    return password;
}

Result<std::string> on_database(const std::string& data_dir, const std::string& user) {
    Result<std::unique_ptr<store::Store>> store = store::Store::open(data_dir);
    if (!store) {
        return store.error();
    }
    Result<std::string> password = control::reset_password(**store, user, system_clock(), system_random());
    const Status closed = (*store)->close();
    if (password && !closed) {
        return closed.error();
    }
    return password;
}

int reset(const Context& context, const std::string& user) {
    const Result<std::string> password = through_server_or_folder(
        context, [&](const ApiClient& client) { return through_server(client, user); },
        [&](const std::string& folder) { return on_database(folder, user); });
    if (!password) {
        return fail(password.error());
    }
    print(*password + "\n");
    note(fmt::format("This is the new password of {}; it must be changed at the first login.", printable(user)));
    return flushed(kDone);
}

}  // namespace

void add_reset_password(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("reset-password", "give a user a new password, on the server's machine");
    auto& user = context.own<std::string>();
    verb->add_option("USER", user, "name of the user")->required();
    add_client_options(*verb, context);
    verb->callback([&context, &user] { context.action = [&context, &user] { return reset(context, user); }; });
}

}  // namespace gantry::cli
