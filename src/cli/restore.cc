// `gantry restore`: brings a backup back, with the server stopped.

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/client.h"
#include "cli/output.h"
#include "cli/words.h"
#include "store/store.h"

namespace gantry::cli {
namespace {

int bring_back(const Context& context, const std::string& file) {
    const std::string data_dir = context.data_dir.empty() ? default_data_dir() : context.data_dir;
    const Status restored = store::restore(file, data_dir);
    if (!restored) {
        return fail(restored.error());
    }
    note(fmt::format("{} is as it was at that backup; what was there is kept beside it as *.replaced-N. Start it with "
                     "`gantry serve --data-dir {}`.", printable(data_dir), printable(data_dir)));
    return kDone;
}

}  // namespace

void add_restore(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("restore", "bring back a file that `gantry backup` wrote, with the server stopped");
    auto& file = context.own<std::string>();
    verb->add_option("FILE", file, "the backup")->required();
    add_client_options(*verb, context);
    verb->callback([&context, &file] { context.action = [&context, &file] { return bring_back(context, file); }; });
}

}  // namespace gantry::cli
