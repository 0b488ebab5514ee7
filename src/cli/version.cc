// `gantry version`.

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "base/version.h"
#include "cli/context.h"
#include "cli/output.h"

namespace gantry::cli {

void add_version(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("version", "print version and commit");
    verb->add_flag("--json", context.json, "print JSON");
    verb->callback([&context] {
        context.action = [&context] {
            if (context.json) {
                json::object object;
                object["version"] = kVersion;
                object["commit"] = commit();
                print(json::serialize(object) + "\n");
            } else {
                print(fmt::format("gantry {} ({})\n", kVersion, commit()));
            }
            return flushed(kDone);
        };
    });
}

}  // namespace gantry::cli
