// `gantry worker`: this machine joins a server elsewhere and runs engines for it.

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdlib>

#include "base/log.h"
#include "base/platform/files.h"
#include "base/platform/memory.h"
#include "base/platform/process.h"
#include "base/version.h"
#include "cli/context.h"
#include "cli/daemon.h"
#include "cli/deployment_flags.h"
#include "cli/model_folder.h"
#include "cli/output.h"
#include "worker/remote/data_address.h"
#include "worker/remote/remote_link.h"

namespace gantry::cli {
namespace {

struct Options {
    std::string server;
    std::string token_file;
    std::string data_dir;
    std::string name;
    std::vector<std::string> labels;
    std::string data_address;
    bool offline = false;
    bool verbose = false;
};

std::string default_worker_dir() {
    const char* home = std::getenv("HOME");
    if (geteuid() == 0 || home == nullptr) {
        return "/var/lib/gantry-worker";
    }
    return std::string(home) + "/.local/share/gantry-worker";
}

// "http://host:9090" -> "tls:host:9090": the link is TLS whatever the port speaks besides.
Result<std::string> link_endpoint(const std::string& url) {
    const auto origin = parse_origin(url);
    if (!origin) {
        return invalid_argument(fmt::format("--server \"{}\": write it as http://HOST:PORT or https://HOST:PORT", url));
    }
    return fmt::format("tls:{}:{}", origin->host, origin->port);
}

Result<worker::Identity> identity_of(const Options& options, const std::string& server) {
    const auto known = worker::load_identity(options.data_dir);
    if (!known) {
        return known.error();
    }
    if (*known && !(*known)->worker_id.empty()) {
        return **known;
    }
    if (options.token_file.empty()) {
        return invalid_argument("this machine has not joined yet: `gantry workers token create` on the server makes a join token; write it into "
                                "a file and name that with --token-file");
    }
    const auto token = platform::read_file(options.token_file, 4096);
    if (!token) {
        return token.error();
    }
    const auto labels = pairs_of(options.labels, "--label");
    if (!labels) {
        return labels.error();
    }
    const auto chosen = json::value_to<std::map<std::string, std::string>>(json::value(*labels));
    const auto joined = worker::join(options.data_dir, {server, *token, options.name, chosen});
    if (joined) {
        note(fmt::format("joined as {} ({})", options.name, joined->worker_id.text));
    }
    return joined;
}

// Waits for a signal, or for the link to find that the server is not this worker's.
class Waiting {
public:
    Waiting() : signals_(io_, SIGINT, SIGTERM) {
        signals_.async_wait([this](const boost::system::error_code& failed, int number) {
            if (!failed) {
                signal_ = number;
            }
            io_.stop();
        });
    }
    void end(std::string why, bool stops_engines) {   // from any thread
        boost::asio::post(io_, [this, why = std::move(why), stops_engines] {
            why_ = why;
            stops_engines_ = stops_engines;
            io_.stop();
        });
    }
    void wait() { io_.run(); }
    bool stops_engines() const { return signal_ == SIGINT || stops_engines_; }
    const std::string& why() const { return why_; }

private:
    boost::asio::io_context io_{1};
    boost::asio::signal_set signals_;
    int signal_ = 0;
    std::string why_;
    bool stops_engines_ = false;
};

int serve(const Options& options, const std::string& server, const worker::Identity& identity) {
    Waiting waiting;
    worker::RemoteOptions remote;
    remote.server = server;
    remote.data_dir = options.data_dir;
    remote.identity = identity;
    remote.removed = [&waiting](std::string why) { waiting.end(std::move(why), true); };
    remote.outgrown = [&waiting](std::string why) { waiting.end(std::move(why), false); };
    auto link = worker::RemoteLink::make(std::move(remote), system_clock(), system_random());
    if (!link) {
        return fail(link.error());
    }
    worker::WorkerOptions own;
    own.data_dir = options.data_dir;
    own.id = identity.worker_id;
    own.name = options.name;
    own.address = "";
    own.data_address = options.data_address;
    own.data_address_given = !options.data_address.empty();
    if (!own.data_address_given) {
        worker::DataAddress found = worker::data_address_towards(parse_origin(options.server)->host);
        own.data_address = std::move(found.address);
        if (own.data_address.empty()) log::warn("{}", found.why);
    }
    const auto model_files = open_model_folder(options.data_dir, options.offline, (*link)->near_socket());
    if (!model_files) {
        return fail(model_files.error());
    }
    own.model_files = model_files->get();
    (*link)->offer(**model_files);
    auto worker = worker::Worker::start(std::move(own), (*link)->reports(), system_clock(), system_random());
    if (!worker) {
        return fail(worker.error());
    }
    (*link)->start(**worker);
    note(fmt::format("gantry {} ({}) worker {} of {}", kVersion, commit(), options.name, options.server));
    note(fmt::format("  data             {}", options.data_dir));
    note_stop();
    waiting.wait();
    log::info("stopping; engines {}", waiting.stops_engines() ? "are stopped too" : "go on, the next start adopts them");
    (*link)->stop();
    (*worker)->stop(waiting.stops_engines(), Deadline::after(kEngineStop));
    return waiting.why().empty() ? kDone : fail(waiting.why());
}

int run_worker(Options& options) {
    umask(077);
    platform::give_back_large_blocks();
    const auto server = link_endpoint(options.server);
    if (!server) {
        fail(server.error());
        return kWrongUsage;
    }
    if (const Status usable = check_data_address(options.data_address); !usable) {
        fail(usable.error());
        return kWrongUsage;
    }
    if (options.data_dir.empty()) {
        options.data_dir = default_worker_dir();
    }
    options.data_dir = absolute_folder(options.data_dir);
    if (options.name.empty()) {
        options.name = platform::host_name();
    }
    if (Status made = platform::make_folders(options.data_dir + "/logs", 0700); !made) {
        return fail(made.error());
    }
    start_log(options.data_dir, options.verbose);
    const auto identity = identity_of(options, *server);
    if (!identity) {
        return fail(identity.error());
    }
    return serve(options, *server, *identity);
}

}  // namespace

void add_worker(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("worker", "join this machine to a server elsewhere, and run engines for it");
    Options& options = context.own<Options>();
    verb->add_option("--server", options.server, "the server's address: http://HOST:PORT or https://HOST:PORT")
        ->envname("GANTRY_SERVER")
        ->type_name("URL")
        ->required();
    verb->add_option("--token-file", options.token_file, "a file with the join token; of use until it has joined")
        ->envname("GANTRY_TOKEN_FILE")
        ->type_name("FILE");
    verb->add_option("--data-dir", options.data_dir,
                     "what it is and what runs is kept there; default: /var/lib/gantry-worker, or ~/.local/share/gantry-worker")
        ->envname("GANTRY_WORKER_DATA_DIR")
        ->type_name("DIR");
    verb->add_option("--name", options.name, "what it is called; default: the host's name. Of use when it joins")->envname("GANTRY_WORKER_NAME");
    verb->add_option("--label", options.labels, "NAME=VALUE, what deployments choose workers by; may be repeated. Of use when it joins")
        ->take_all()
        ->allow_extra_args(false)
        ->type_name("NAME=VALUE");
    add_data_address_option(*verb, options.data_address);
    add_offline_option(*verb, options.offline);
    verb->add_flag("--verbose", options.verbose, "log details")->envname("GANTRY_VERBOSE");
    verb->callback([&context, &options] { context.action = [&options] { return run_worker(options); }; });
}

}  // namespace gantry::cli
