// GET /join.sh?token=...: a shell script that brings this very binary to another machine and has it join; GET /join/gantry?token=...:
// the binary. For whoever has a token that is still good. What comes over plain HTTP can be changed on its way: docs/workers.md.
#include <fcntl.h>
#include <fmt/format.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/platform/files.h"
#include "base/platform/process.h"
#include "base/version.h"
#include "control/api/api.h"
#include "control/cluster/joining.h"

namespace gantry::control {
namespace {

constexpr size_t kPieceBytes = 1u << 20;

constexpr char kScript[] = R"sh(#!/bin/sh
# Brings gantry {version} from {url} to this machine and has it join as a worker.
set -eu
url='{url}'
token='{token}'
sum='{sum}'
arch='{arch}'
die() {{ echo "gantry: $*" >&2; exit 1; }}
[ "$(uname -s)" = Linux ] || die "this machine runs no Linux, and the server's gantry is for Linux"
[ "$(uname -m)" = "$arch" ] ||
    die "the server's gantry is for $arch, this machine is $(uname -m): install one built for it, then: gantry worker --server $url --token-file FILE"
if [ "$(id -u)" = 0 ]; then bin=/usr/local/bin conf=/etc/gantry; else bin=$HOME/.local/bin conf=$HOME/.config/gantry; fi
mkdir -p "$bin"
umask 077
mkdir -p "$conf"
new=$bin/.gantry.$$
trap 'rm -f "$new"' EXIT
if command -v curl >/dev/null; then curl -fsS -o "$new" "$url/join/gantry?token=$token"; else wget -q -O "$new" "$url/join/gantry?token=$token"; fi ||
    die "the binary can't be fetched from $url"
[ "$(sha256sum "$new" | cut -d' ' -f1)" = "$sum" ] || die "what came is not the server's binary (its SHA-256 differs); try again"
chmod 755 "$new"
"$new" version >/dev/null 2>&1 || {{
    ldd "$new" 2>/dev/null | grep 'not found' >&2
    packages="libsqlite3-0 libspdlog1.10 libprometheus-cpp-core1.0 libsodium23 libboost-json1.81.0 libboost-url1.81.0 libssl3"
    packages="$packages libcurl4 libarchive13 libpq5"
    die "the server's gantry does not start here: install what is missing (Debian 12: apt-get install $packages), or its CPU can more than this one"
}}
mv -f "$new" "$bin/gantry"
printf '%s\n' "$token" > "$conf/worker-token"
echo "gantry: installed $bin/gantry" >&2
if [ "$(id -u)" = 0 ] && [ -d /run/systemd/system ] && [ "${{GANTRY_JOIN_START:-yes}}" = yes ]; then
    # As packaging/gantry-worker.service says it: engines are processes of their own, which a restart of the worker leaves serving.
    data=/var/lib/gantry-worker
    id gantry >/dev/null 2>&1 || useradd --system --home-dir "$data" --shell /usr/sbin/nologin gantry
    for group in video render; do if getent group "$group" >/dev/null; then usermod -a -G "$group" gantry; fi; done
    mkdir -p "$data"
    chown -R gantry: "$data"
    chown gantry: "$conf/worker-token"
    chmod 755 "$conf"
    umask 022
    cat > /etc/systemd/system/gantry-worker.service <<UNIT
[Unit]
Description=Gantry worker of $url
After=network-online.target
Wants=network-online.target

[Service]
ExecStart=$bin/gantry worker --server $url --token-file $conf/worker-token --data-dir $data
User=gantry
Restart=on-failure
RestartSec=5
KillMode=process
TimeoutStopSec=30
LimitNOFILE=65536
StateDirectory=gantry-worker
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths=$data

[Install]
WantedBy=multi-user.target
UNIT
    systemctl daemon-reload
    systemctl enable gantry-worker.service
    systemctl restart gantry-worker.service
    echo "gantry: the service gantry-worker runs now and after each start of the machine: systemctl status gantry-worker" >&2
    echo "gantry: it runs as the user gantry, who must be able to read the model files" >&2
    exit 0
fi
echo "gantry: to join now, and on every start of the machine: $bin/gantry worker --server $url --token-file $conf/worker-token" >&2
[ "${{GANTRY_JOIN_START:-yes}}" = yes ] || exit 0
trap - EXIT
exec "$bin/gantry" worker --server "$url" --token-file "$conf/worker-token"
)sh";

// SHA-256 of the file behind the running program, as it was at first sight.
Result<std::string> own_digest() {
    static Guarded<std::string> known;
    const std::string before = known.with([](std::string& text) { return text; });
    if (!before.empty()) return before;
    const platform::UniqueFd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    if (!file.valid()) return error_from_errno("the server's own binary can't be read", errno);
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    std::string piece(kPieceBytes, '\0');
    while (true) {
        const ssize_t got = ::read(file.get(), piece.data(), piece.size());
        if (got < 0) return error_from_errno("the server's own binary can't be read", errno);
        if (got == 0) break;
        crypto_hash_sha256_update(&state, reinterpret_cast<const unsigned char*>(piece.data()), static_cast<size_t>(got));
    }
    unsigned char hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_final(&state, hash);
    const std::string text = to_hex(hash, sizeof hash);
    known.with([&text](std::string& kept) { kept = text; });
    return text;
}

Status check_token(ApiContext& api, const std::string& text) {
    const auto token = protocol::parse_join_token(text);
    if (!token) return token.error();
    GANTRY_TRY(check_join_token(api.store, token->id, token->secret));
    const auto row = api.store.join_token(JoinTokenId(token->id));
    if (!row) return row.error();
    const std::string state = state_of(*row, api.clock.wall());
    if (state == "usable") return Ok{};
    return Error{ErrorCode::kPermissionDenied, "the join token is " + (state == "used" ? "used up" : state), {}, "join_token_" + state};
}

// How the machine that asks reaches this server: what an admin said, or what it wrote itself, which the host check let pass.
std::string url_of(const ApiContext& api, const http::Request& request) {
    if (!api.options.public_url.empty()) return api.options.public_url;
    return fmt::format("{}://{}", request.tls ? "https" : "http", request.headers.get("host"));
}

http::Task<void> refuse(http::Exchange& exchange, const Error& error) {
    http::Response response = to_response(error_answer(error));
    response.body += '\n';
    co_await exchange.respond(std::move(response));
}

http::Task<void> script(ApiContext& api, http::Exchange& exchange) {
    const std::string token(exchange.request().query_value("token"));
    const auto sum = co_await api.pool.run([&]() -> Result<std::string> {
        GANTRY_TRY(check_token(api, token));
        return own_digest();
    });
    if (!sum) {
        co_await refuse(exchange, sum.error());
        co_return;
    }
    std::string text = fmt::format(kScript, fmt::arg("version", kVersion), fmt::arg("url", url_of(api, exchange.request())), fmt::arg("token", token),
                                   fmt::arg("sum", *sum), fmt::arg("arch", platform::machine_name()));
    http::Response response = http::text_response(200, std::move(text));
    response.headers.set("cache-control", "no-store");
    co_await exchange.respond(std::move(response));
}

http::Task<void> binary(ApiContext& api, http::Exchange& exchange) {
    const std::string token(exchange.request().query_value("token"));
    const Status good = co_await api.pool.run([&] { return check_token(api, token); });
    const platform::UniqueFd file(good ? ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC) : -1);
    if (!good || !file.valid()) {
        const Error why = good ? internal_error("the server's own binary can't be read") : good.error();
        co_await refuse(exchange, why);
        co_return;
    }
    http::Headers headers{{"content-type", "application/octet-stream"}, {"cache-control", "no-store"}};
    const bool began = co_await exchange.start_stream(200, std::move(headers));
    while (began) {
        const std::string piece = co_await api.pool.run([&file] {
            std::string bytes(kPieceBytes, '\0');
            const ssize_t got = ::read(file.get(), bytes.data(), bytes.size());
            bytes.resize(got > 0 ? static_cast<size_t>(got) : 0);
            return bytes;
        });
        if (piece.empty()) break;
        const bool written = co_await exchange.write(piece);
        if (!written) co_return;
    }
    if (began) co_await exchange.finish();
}

}  // namespace

void add_join_script(http::Router& router, ApiContext& api) {
    router.add({"GET", "/join.sh", gateway::kPublic, [&api](http::Exchange& exchange) { return script(api, exchange); }});
    router.add({"GET", "/join/gantry", gateway::kPublic, [&api](http::Exchange& exchange) { return binary(api, exchange); }});
}

}  // namespace gantry::control
