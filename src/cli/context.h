#pragma once
// What every verb gets: the common flags, and a place to say what is to be done once the command line has been read whole.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace gantry::cli {

inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kWrongUsage = 2;

struct Context {
    std::vector<std::string> argv;    // as given
    std::string data_dir;             // --data-dir of a client verb; empty: look for a server
    std::string server;               // --server: its URL
    std::string ca_file;              // --ca: whom to trust where the server speaks HTTPS; empty: the system's authorities
    bool json = false;
    bool quiet = false;
    bool no_headers = false;
    std::function<int()> action;      // set by the verb that was named

    // Makes a T that lives as long as the context: what a verb's options are read into.
    template <class T>
    T& own() {
        auto made = std::make_shared<T>();  // shared only because shared_ptr<void> knows how to delete a T
        T& value = *made;
        owned_.push_back(std::move(made));
        return value;
    }

private:
    std::vector<std::shared_ptr<void>> owned_;
};

// --server, --ca and --data-dir, for verbs that talk to a server.
void add_client_options(CLI::App& verb, Context& context);
// --json, -q/--quiet, --no-headers, for verbs that list.
void add_list_options(CLI::App& verb, Context& context);

// "gantry: <message>" on stderr; returns the exit status that fits.
int fail(const Error& error);
int fail(const std::string& message);

// The whole tree, with the examples of its help.
void add_verbs(CLI::App& app, Context& context);
// The verbs: each adds itself to the tree. A file each.
void add_serve(CLI::App& app, Context& context);
void add_worker(CLI::App& app, Context& context);
void add_engine(CLI::App& app, Context& context);
void add_run(CLI::App& app, Context& context);
void add_pull(CLI::App& app, Context& context);
void add_catalogue(CLI::App& app, Context& context);
void add_inspect(CLI::App& app, Context& context);
void add_bundle(CLI::App& app, Context& context);
void add_search(CLI::App& app, Context& context);
void add_verify(CLI::App& app, Context& context);
void add_ls(CLI::App& app, Context& context);
void add_ps(CLI::App& app, Context& context);
void add_deploy(CLI::App& app, Context& context);
void add_start(CLI::App& app, Context& context);
void add_stop(CLI::App& app, Context& context);
void add_sleep(CLI::App& app, Context& context);
void add_instances(CLI::App& app, Context& context);
void add_scale(CLI::App& app, Context& context);
void add_rollout(CLI::App& app, Context& context);
void add_apply(CLI::App& app, Context& context);
void add_diff(CLI::App& app, Context& context);
void add_export(CLI::App& app, Context& context);
void add_rm(CLI::App& app, Context& context);
void add_logs(CLI::App& app, Context& context);
void add_backends(CLI::App& app, Context& context);
void add_devices(CLI::App& app, Context& context);
void add_probe(CLI::App& app, Context& context);
void add_evaluate(CLI::App& app, Context& context);
void add_workers(CLI::App& app, Context& context);
void add_drain(CLI::App& app, Context& context);
void add_compare(CLI::App& app, Context& context);
void add_bench(CLI::App& app, Context& context);
void add_benchmarks(CLI::App& app, Context& context);
void add_keys(CLI::App& app, Context& context);
void add_routes(CLI::App& app, Context& context);
void add_providers(CLI::App& app, Context& context);
void add_backup(CLI::App& app, Context& context);
void add_restore(CLI::App& app, Context& context);
void add_users(CLI::App& app, Context& context);
void add_requests(CLI::App& app, Context& context);
void add_usage(CLI::App& app, Context& context);
void add_audit(CLI::App& app, Context& context);
void add_reset_password(CLI::App& app, Context& context);
void add_version(CLI::App& app, Context& context);
void add_completion(CLI::App& app, Context& context);

}  // namespace gantry::cli
