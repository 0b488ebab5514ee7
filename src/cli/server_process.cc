#include "cli/server_process.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/platform/files.h"
#include "base/platform/memory.h"
#include "base/platform/process.h"
#include "base/version.h"
#include "cli/client.h"
#include "cli/context.h"
#include "cli/daemon.h"
#include "cli/model_folder.h"
#include "cli/output.h"
#include "cli/server_tls.h"
#include "control/control.h"
#include "gateway/draining.h"
#include "gateway/gateway.h"
#include "gateway/memory_guard.h"
#include "http/http.h"
#include "http/middleware/access_log.h"
#include "http/middleware/exception_guard.h"
#include "store/store.h"
#include "worker/worker.h"

namespace gantry::cli {
namespace {

constexpr size_t kBlockingThreads = 4;
constexpr std::chrono::seconds kFoldEvery{3};
constexpr std::chrono::hours kDeleteUsageEvery{24};
constexpr std::chrono::minutes kDeleteUsageAgain{10};     // after a failure
constexpr std::chrono::seconds kInterruptDrain{2};        // Ctrl-C: a person waits
constexpr std::chrono::milliseconds kSecondSignalDrain{200};
constexpr std::chrono::milliseconds kLookAgain{20};       // whether requests are still in flight

// Every connection is a handle, and so is every engine's; the usual soft limit of 1024 is too low for thousands of clients.
void raise_handle_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

Status prepare_data_dir(const std::string& data_dir) {
    GANTRY_TRY(platform::make_folders(data_dir, 0700));
    struct stat found {};
    if (stat(data_dir.c_str(), &found) == 0 && (found.st_mode & 077) != 0) {
        // It holds keys' digests and the first password; others have no business in it.
        if (chmod(data_dir.c_str(), 0700) != 0) {
            return error_from_errno(fmt::format("the data folder {} can be read by others and can't be closed", data_dir), errno);
        }
    }
    if (!platform::socket_path_fits(data_dir + "/" + kAdminSocket)) {
        return invalid_argument(fmt::format("the path of the data folder is too long for a socket in it ({} bytes of at most {}); "
                                            "choose a shorter one with --data-dir",
                                            data_dir.size(), platform::kSocketPathMax - sizeof(kAdminSocket)));
    }
    return platform::make_folders(data_dir + "/logs", 0700);
}

// The parts, in the order they are made; they go in the opposite one.
struct Parts {
    explicit Parts(const ServerOptions& given) : options(given), memory(system_clock(), given.memory_reserve_bytes) {}

    const ServerOptions& options;
    std::unique_ptr<store::Store> store;
    http::asio::io_context io{1};
    http::BlockingPool pool{kBlockingThreads};
    gateway::Tables tables;
    gateway::MemoryGuard memory;
    http::Router router;
    std::unique_ptr<gateway::Gateway> gateway;
    std::unique_ptr<sources::ModelFiles> model_files;
    std::unique_ptr<control::Control> control;
    std::unique_ptr<http::Server> server;
    std::unique_ptr<CertificateKeeper> certificate;   // null: plain HTTP
    std::unique_ptr<worker::Worker> worker;
    std::unique_ptr<http::asio::signal_set> signals;

    uint16_t port = 0;
    bool stopping = false;        // io thread
    bool stop_engines = false;    // io thread
    bool cut_short = false;       // io thread
    bool folding = false;         // io thread: one fold at a time
    int status = kDone;
};

// How a browser on this machine calls the host.
std::string shown_host(const std::string& host) {
    const std::string shown = host == "0.0.0.0" || host == "::" ? "localhost" : host;
    return shown.find(':') == std::string::npos ? shown : "[" + shown + "]";
}

std::string shown_url(const ServerOptions& options, uint16_t port) {
    return fmt::format("{}://{}:{}", options.has_tls() ? "https" : "http", shown_host(options.host), port);
}

// How another machine calls it: by address, since the host check lets no name pass that nobody allowed.
std::string url_for_others(const ServerOptions& options) {
    if (!options.public_url.empty()) {
        return options.public_url;
    }
    ServerOptions reached = options;
    const bool any = options.host == "0.0.0.0" || options.host == "::";
    if (const std::string address = platform::outward_address(); any && !address.empty()) {
        reached.host = address;
    }
    return shown_url(reached, options.port);
}

Status fold(Parts& parts) {
    return parts.gateway->fold_journal([&parts](const std::vector<UsageRecord>& records) { return parts.store->add_usage(records); });
}

// The journal first: what is still in it was used, too.
http::Task<Result<std::vector<TokensUsed>>> tokens_used(Parts& parts, WallTime from, WallTime before) {
    while (parts.folding) {
        co_await http::sleep_for(std::chrono::milliseconds(10));
    }
    parts.folding = true;
    auto used = co_await parts.pool.run([&parts, from, before]() -> Result<std::vector<TokensUsed>> {
        GANTRY_TRY(fold(parts));
        return parts.store->tokens_used(from, before);
    });
    parts.folding = false;
    co_return used;
}

Status make_parts(Parts& parts) {
    const ServerOptions& options = parts.options;
    Result<std::unique_ptr<store::Store>> store = store::Store::open(options.data_dir);
    if (!store) {
        return store.error();
    }
    parts.store = std::move(*store);
    gateway::GatewayOptions gateway_options;
    gateway_options.queue_limit = options.queue_limit;
    gateway_options.hold_timeout = options.hold_timeout;
    gateway_options.wake = [&parts](const DeploymentId& deployment, const gateway::WokenBy& by) { parts.control->wake(deployment, by); };
    gateway_options.dialed_prefix = control::kWorkerEndpoint;
    gateway_options.dialer = [&parts](std::string endpoint, SteadyTime deadline) { return parts.control->dial(std::move(endpoint), deadline); };
    gateway_options.tokens_used = [&parts](WallTime from, WallTime before) { return tokens_used(parts, from, before); };
    Result<std::unique_ptr<gateway::Gateway>> gateway =
        gateway::Gateway::create(parts.io, parts.tables, options.data_dir + "/journal", system_clock(), std::move(gateway_options));
    if (!gateway) {
        return gateway.error();
    }
    parts.gateway = std::move(*gateway);
    const std::string near_socket = options.data_dir + "/near.sock";   // no longer than the admin socket
    auto model_files = open_model_folder(options.data_dir, options.offline, near_socket);
    if (!model_files) {
        return model_files.error();
    }
    parts.model_files = std::move(*model_files);
    auto catalogue = open_catalogue(options.catalogue, options.data_dir);
    if (!catalogue) {
        return catalogue.error();
    }
    control::ControlOptions control_options;
    control_options.catalogue = std::move(*catalogue);
    control_options.data_dir = options.data_dir;
    control_options.bootstrap_password = options.bootstrap_password;
    control_options.live = &parts.gateway->live();
    control_options.activity = &parts.gateway->activity();
    control_options.shortage = [&parts] { return parts.memory.shortage(); };
    control_options.chat = parts.gateway->chat();
    control_options.model_files = parts.model_files.get();
    control_options.near_socket = near_socket;
    control_options.public_url = options.public_url;
    control_options.oidc = options.oidc;
    control_options.url_hint = url_for_others(options);
    control_options.admin_endpoint = "unix:" + options.data_dir + "/" + kAdminSocket;
    Result<std::unique_ptr<control::Control>> control = control::Control::create(
        parts.io, parts.pool, *parts.store, parts.tables, system_clock(), system_random(), std::move(control_options));
    if (!control) {
        return control.error();
    }
    parts.control = std::move(*control);
    parts.gateway->start();
    parts.gateway->add_routes(parts.router);
    parts.control->add_routes(parts.router);
    return Ok{};
}

Result<std::shared_ptr<http::TlsIdentity>> load_certificate(Parts& parts) {
    std::shared_ptr<http::TlsIdentity> identity;   // shared by the listener and who renews it
    if (!parts.options.has_tls()) {
        return identity;
    }
    auto loaded = http::TlsIdentity::load(parts.options.tls);
    if (!loaded) {
        return loaded.error();
    }
    identity = std::move(*loaded);
    log::info("tls: the certificate is of {}", identity->summary());
    parts.certificate = std::make_unique<CertificateKeeper>(parts.io, parts.pool, identity);
    return identity;
}

Status listen(Parts& parts) {
    Result<std::shared_ptr<http::TlsIdentity>> identity = load_certificate(parts);
    if (!identity) {
        return identity.error();
    }
    http::ServerOptions server_options;
    server_options.error_response = gateway::openai_error_response;
    server_options.trusted_proxies = parts.options.trusted_proxies;
    parts.server = std::make_unique<http::Server>(parts.io, parts.router, std::move(server_options));
    http::AccessLogOptions access;
    access.quiet_paths = {"/healthz", "/readyz", "/metrics", "/cluster/v1/exchange", "/cluster/v1/data"};
    parts.server->use(http::access_log(std::move(access)));
    parts.server->use(http::exception_guard(gateway::openai_error_response));
    parts.server->use(gateway::host_check(parts.options.allowed_hosts));
    gateway::Authentication authentication = gateway::make_authentication(parts.tables, parts.router, system_clock());
    parts.server->use(std::move(authentication.middleware));
    parts.server->on_head(gateway::refuse_while(parts.stopping, gateway::refuse_while_short(parts.memory, std::move(authentication.head_check))));
    const auto link = parts.control->link_tls();
    if (!link) {
        return link.error();
    }
    parts.server->accept_mutual(*link, gateway::kLinkListener);
    const Result<uint16_t> port = parts.server->listen_tcp(parts.options.host, parts.options.port, "public", std::move(*identity));
    if (!port) {
        if (port.error().code == ErrorCode::kConflict) {
            return conflict(fmt::format("port {} is in use already, perhaps by another gantry; stop that one, or choose another "
                                        "port with --port",
                                        parts.options.port));
        }
        return port.error();
    }
    parts.port = *port;
    return parts.server->listen_unix(parts.options.data_dir + "/" + kAdminSocket, "admin");
}

Status start_worker(Parts& parts) {
    if (parts.options.no_worker) {
        return Ok{};
    }
    const Result<WorkerId> id = parts.control->embedded_worker(platform::host_name());
    if (!id) {
        return id.error();
    }
    worker::WorkerOptions options;
    options.data_dir = parts.options.data_dir + "/worker";
    options.id = *id;
    options.name = platform::host_name();
    options.model_files = parts.model_files.get();
    options.data_address_given = !parts.options.data_address.empty();
    options.data_address = options.data_address_given ? parts.options.data_address : platform::outward_address();
    Result<std::unique_ptr<worker::Worker>> worker = worker::Worker::start(std::move(options), *parts.control, system_clock(), system_random());
    if (!worker) {
        return worker.error();
    }
    parts.worker = std::move(*worker);
    control::WorkerAccess access;
    access.poke = [embedded = parts.worker.get()] { embedded->poke(); };
    access.log_files = [embedded = parts.worker.get()](const InstanceId& instance) { return embedded->log_files(instance); };
    parts.control->attach_worker(*id, std::move(access));
    return Ok{};
}

bool delete_old_usage(Parts& parts) {
    const auto deleted = parts.store->delete_usage_before(system_clock().wall() - std::chrono::days(parts.options.usage_days));
    if (!deleted) {
        log::error("usage: old records can't be deleted: {}; it is tried again", deleted.error().message);
    } else if (*deleted > 0) {
        log::info("usage: {} records older than {} days deleted; their sums by the hour stay", *deleted, parts.options.usage_days);
    }
    return deleted.ok();
}

// Usage goes from the journal into its table every few seconds. A failure is told once, not every time.
// Once a day old records go, right behind a fold that left no line of them in the journal: after a kill, such a line would
// bring its record back and count it twice.
http::Task<void> fold_loop(Parts& parts) {
    bool failed = false;
    SteadyTime next_deletion{};
    while (!parts.stopping) {
        co_await http::sleep_for(kFoldEvery);
        if (parts.stopping) {
            break;
        }
        if (parts.folding) {   // what budgets have used is looked up
            continue;
        }
        const SteadyTime now = system_clock().steady();
        const bool deletes = parts.options.usage_days > 0 && now >= next_deletion && parts.gateway->rotate_journal();
        parts.folding = true;
        const Status folded = co_await parts.pool.run([&parts] { return fold(parts); });
        if (folded && deletes) {
            const bool deleted = co_await parts.pool.run([&parts] { return delete_old_usage(parts); });
            next_deletion = now + (deleted ? SteadyTime::duration(kDeleteUsageEvery) : SteadyTime::duration(kDeleteUsageAgain));
        }
        parts.folding = false;
        if (!folded && !failed) {
            log::error("usage: the journal can't be folded: {}; it is kept and tried again", folded.error().message);
        }
        failed = !folded;
    }
}

// Stop order: no new requests (draining.h), watchers and reconciler first (they would never end by themselves), requests in flight
// to their deadline, the listeners, then the worker, the journal, the store.
http::Task<void> shut_down(Parts& parts) {
    const Deadline deadline =
        Deadline::after(parts.stop_engines ? std::min(kInterruptDrain, parts.options.drain) : parts.options.drain);
    co_await parts.pool.run([&parts] {
        parts.control->stop();
        return true;
    });
    parts.gateway->end_holds();
    while (parts.server->exchanges() > 0 && !deadline.passed(system_clock().steady()) && !parts.cut_short) {
        co_await http::sleep_for(kLookAgain);
    }
    co_await parts.server->stop(deadline);
    const bool stop_engines = parts.stop_engines;
    co_await parts.pool.run([&parts, stop_engines] {
        if (parts.worker) {
            parts.worker->stop(stop_engines, Deadline::after(kEngineStop));
        }
        return true;
    });
    while (parts.folding) {
        co_await http::sleep_for(std::chrono::milliseconds(10));
    }
    const Status folded = co_await parts.pool.run([&parts] { return fold(parts); });
    if (!folded) {
        log::error("usage: the journal is left for the next start: {}", folded.error().message);
    }
    parts.io.stop();
}

// The deadline of a drain that has begun can't be moved, so that a second stop() with a nearer one runs beside it.
http::Task<void> cut_short(Parts& parts) {
    parts.cut_short = true;
    co_await parts.server->stop(Deadline::after(kSecondSignalDrain));
}

void wait_for_signal(Parts& parts) {
    parts.signals->async_wait([&parts](const boost::system::error_code& failure, int number) {
        if (failure) {
            return;
        }
        if (number == SIGHUP) {
            parts.certificate->renew();
            wait_for_signal(parts);
            return;
        }
        if (number == SIGINT) {
            parts.stop_engines = true;
        }
        if (!parts.stopping) {
            parts.stopping = true;
            log::info("{}: draining; engines {}", number == SIGINT ? "SIGINT" : "SIGTERM",
                      parts.stop_engines ? "are stopped too" : "go on, the next start adopts them");
            http::asio::co_spawn(parts.io, shut_down(parts), http::asio::detached);
        } else {
            log::info("second signal: cutting what is in flight");
            http::asio::co_spawn(parts.io, cut_short(parts), http::asio::detached);
        }
        wait_for_signal(parts);
    });
}

void greet(const Parts& parts) {
    const ServerOptions& options = parts.options;
    note(fmt::format("gantry {} ({})", kVersion, commit()));
    note(fmt::format("  console and API  {}", shown_url(options, parts.port)));
    const std::string password = options.data_dir + "/initial_admin_password";
    std::error_code ignored;
    if (std::filesystem::exists(password, ignored)) {
        note(fmt::format("  first login      admin, password in {}", password));
    }
    note(fmt::format("  data             {}", options.data_dir));
    note_stop();
}

Status run_parts(Parts& parts) {
    GANTRY_TRY(make_parts(parts));
    GANTRY_TRY(listen(parts));
    // Before the worker: from here on a signal stops in good order, and never kills between two steps.
    parts.signals = std::make_unique<http::asio::signal_set>(parts.io, SIGINT, SIGTERM);
    if (parts.certificate) {
        parts.signals->add(SIGHUP);
        http::asio::co_spawn(parts.io, parts.certificate->watch(), http::asio::detached);
    }
    wait_for_signal(parts);
    GANTRY_TRY(start_worker(parts));
    parts.control->start();
    greet(parts);
    http::asio::co_spawn(parts.io, fold_loop(parts), http::asio::detached);
    parts.io.run();
    return Ok{};
}

}  // namespace

int run_server(const ServerOptions& options) {
    umask(077);
    raise_handle_limit();
    platform::give_back_large_blocks();
    const Status prepared = prepare_data_dir(options.data_dir);
    if (!prepared) {
        return fail(prepared.error());
    }
    start_log(options.data_dir, options.verbose);
    auto parts = std::make_unique<Parts>(options);
    Status ran = Ok{};
    try {
        ran = run_parts(*parts);
    } catch (const std::exception& error) {
        ran = internal_error(fmt::format("the server failed: {}", error.what()));
    }
    int status = ran ? kDone : fail(ran.error());
    if (!ran && parts->control) {
        parts->control->stop();
    }
    // The worker talks to control, and handlers still in memory hold what they were given.
    parts->worker.reset();
    parts->server.reset();
    if (parts->store) {
        const Status closed = parts->store->close();
        if (!closed) {
            status = fail(closed.error());
        }
    }
    return status;
}

}  // namespace gantry::cli
