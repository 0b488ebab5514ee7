// `gantry backup`: one file of all that the server knows (deployments, users, keys, usage), made while it serves.

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "base/clock.h"
#include "cli/offline.h"
#include "cli/output.h"
#include "cli/words.h"
#include "store/store.h"

namespace gantry::cli {
namespace {

Result<json::object> through_server(const ApiClient& client) {
    const Result<json::value> made = client.call("POST", "/api/v1/backups", json::object());
    if (!made) {
        return made.error();
    }
    return made->is_object() ? made->get_object() : json::object();
}

Result<json::object> on_database(const std::string& data_dir) {
    Result<std::unique_ptr<store::Store>> store = store::Store::open(data_dir);
    if (!store) {
        return store.error();
    }
    const Result<store::BackupFile> made = store::backup_into_folder(**store, data_dir, system_clock().wall());
    const Status closed = (*store)->close();
    if (!made) {
        return made.error();
    }
    if (!closed) {
        return closed.error();
    }
    return json::object{{"path", made->path}, {"bytes", made->bytes}, {"created_at", to_rfc3339(made->created_at)}};
}

int back_up(const Context& context) {
    const Result<json::object> made = through_server_or_folder(context, through_server, on_database);
    if (!made) {
        return fail(made.error());
    }
    if (context.json) {
        print(json::serialize(*made) + "\n");
    } else {
        print(text_at(*made, "path") + "\n");
        note(fmt::format("{:.1f} MB, a file on the server's machine; it holds password and key hashes: keep it private. To bring it "
                         "back: stop the server, then `gantry restore FILE`.",
                         static_cast<double>(number_at(*made, "bytes")) / 1e6));
    }
    return flushed(kDone);
}

}  // namespace

void add_backup(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("backup", "write all that the server knows into one file in its data folder");
    verb->add_flag("--json", context.json, "print JSON");
    add_client_options(*verb, context);
    verb->callback([&context] { context.action = [&context] { return back_up(context); }; });
}

}  // namespace gantry::cli
