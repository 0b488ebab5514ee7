// `gantry serve`: options by flag, environment, file, default, in this order of strength.

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/client.h"
#include "cli/config_file.h"
#include "cli/context.h"
#include "cli/daemon.h"
#include "cli/model_folder.h"
#include "cli/output.h"
#include "cli/secrets.h"
#include "cli/serve_options.h"
#include "cli/server_process.h"

namespace gantry::cli {
namespace {

struct Options {
    ServerOptions server;
    std::string bootstrap_password_file;
    GroupedOptions grouped;
    std::string config;
    uint32_t drain_seconds = 30;
    uint32_t hold_seconds = 60;
    std::optional<uint64_t> memory_reserve_mib;
};

int serve(CLI::App& verb, Options& options) {
    if (!options.config.empty()) {
        const Status applied = apply_config(verb, options.config);
        if (!applied) {
            fail(applied.error());
            return kWrongUsage;
        }
    }
    if (options.server.data_dir.empty()) {
        options.server.data_dir = default_data_dir();
    }
    const Status taken = take_grouped_options(options.grouped, options.server);
    if (!taken) {
        fail(taken.error());
        return kWrongUsage;
    }
    if (const Status usable = check_data_address(options.server.data_address); !usable) {
        fail(usable.error());
        return kWrongUsage;
    }
    options.server.data_dir = absolute_folder(options.server.data_dir);
    options.server.drain = std::chrono::seconds(options.drain_seconds);
    options.server.hold_timeout = std::chrono::seconds(options.hold_seconds);
    if (options.memory_reserve_mib) {
        options.server.memory_reserve_bytes = *options.memory_reserve_mib << 20;
    }
    if (!options.bootstrap_password_file.empty()) {
        Result<std::string> password = read_password(options.bootstrap_password_file);
        if (!password) {
            return fail(password.error());
        }
        options.server.bootstrap_password = std::move(*password);
    }
    return run_server(options.server);
}

}  // namespace

void add_serve(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("serve", "run the server, with a worker for this machine");
    Options& options = context.own<Options>();
    verb->add_option("--port", options.server.port, "TCP port")->envname("GANTRY_PORT")->capture_default_str();
    verb->add_option("--host", options.server.host, "address to listen on")->envname("GANTRY_HOST")->capture_default_str();
    verb->add_option("--data-dir", options.server.data_dir,
                     "where everything is kept; default: /var/lib/gantry for root, else ~/.local/share/gantry")
        ->envname("GANTRY_DATA_DIR")
        ->type_name("DIR");
    verb->add_flag("--no-worker", options.server.no_worker, "run no engines on this machine")->envname("GANTRY_NO_WORKER");
    add_data_address_option(*verb, options.server.data_address);
    add_offline_option(*verb, options.server.offline);
    verb->add_option("--catalogue", options.server.catalogue, "models of your own over the catalogue's; default: catalogue.json of the data folder")
        ->envname("GANTRY_CATALOGUE")
        ->type_name("FILE");
    verb->add_option("--bootstrap-password-file", options.bootstrap_password_file, "the first admin's password, at the first start")
        ->envname("GANTRY_BOOTSTRAP_PASSWORD_FILE")
        ->type_name("FILE");
    verb->add_option("--allow-host", options.server.allowed_hosts,
                     "a host name that requests may carry, besides localhost and addresses; may be repeated")
        ->envname("GANTRY_ALLOW_HOST")
        ->take_all()
        ->allow_extra_args(false)
        ->delimiter(',')
        ->type_name("NAME");
    add_network_options(*verb, options.server, options.grouped);
    add_oidc_options(*verb, options.server, options.grouped);
    verb->add_option("--drain-seconds", options.drain_seconds, "how long requests in flight may go on after SIGTERM")
        ->envname("GANTRY_DRAIN_SECONDS")
        ->capture_default_str();
    verb->add_option("--hold-seconds", options.hold_seconds, "how long a request waits for a model that is asleep to wake; then it gets a 503")
        ->envname("GANTRY_HOLD_SECONDS")
        ->check(CLI::Range(1, 3600))
        ->type_name("N")
        ->capture_default_str();
    verb->add_option("--usage-days", options.server.usage_days,
                     "days that usage records are kept, 0 for ever; their sums by the hour always are")
        ->envname("GANTRY_USAGE_DAYS")
        ->check(CLI::Range(0, 36500))
        ->type_name("DAYS")
        ->capture_default_str();
    verb->add_option("--queue-per-instance", options.server.queue_limit,
                     "requests that an instance may have at once, running and waiting; more get a 429")
        ->envname("GANTRY_QUEUE_PER_INSTANCE")
        ->check(CLI::Range(1, 1'000'000))
        ->type_name("N")
        ->capture_default_str();
    verb->add_option("--memory-reserve", options.memory_reserve_mib,
                     "MiB of memory that stay free: with less, requests to models get a 503; 0: never. Default: a 32nd of what there is, "
                     "32 at least and 512 at most")
        ->envname("GANTRY_MEMORY_RESERVE")
        ->check(CLI::Range(0, 1 << 20))
        ->type_name("MIB");
    verb->add_flag("--verbose", options.server.verbose, "log details")->envname("GANTRY_VERBOSE");
    verb->add_option("--config", options.config, "settings as key = value, named as the flags")
        ->envname("GANTRY_CONFIG")
        ->type_name("FILE");
    verb->callback([verb, &context, &options] { context.action = [verb, &options] { return serve(*verb, options); }; });
}

}  // namespace gantry::cli
