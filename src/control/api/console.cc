// The console: the web application of console/, built and compressed by CMake and part of the binary. Static: nothing of the
// server's data, so that it needs no login; what it shows comes by the APIs. Files under /assets/ carry a hash of what they hold in
// their names and never change; each page's address gives the one page that starts the application.
#include "control/api/console.h"

#include <algorithm>

#include "control/api/api.h"

namespace gantry::control {
namespace {

// No inline script or style, no other origin; data: for what the page draws itself.
constexpr char kPolicy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; "
    "worker-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

constexpr char kNotBuilt[] =
    "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Gantry</title>\n<h1>Gantry</h1>\n"
    "<p>This binary was built without the web console: <code>./dev build</code> builds it in. The command line "
    "(<code>gantry help</code>) and the APIs (<code>/v1</code>, <code>/api/v1</code>) do all that it does.</p></html>\n";

const ConsoleFile* find(std::string_view name) {
    const auto files = console_files();
    const auto found = std::find_if(files.begin(), files.end(), [name](const ConsoleFile& file) { return file.name == name; });
    return found == files.end() ? nullptr : &*found;
}

bool takes(std::string_view accepted, std::string_view coding) {
    for (size_t at = accepted.find(coding); at != std::string_view::npos; at = accepted.find(coding, at + 1)) {
        const bool begins = at == 0 || accepted[at - 1] == ' ' || accepted[at - 1] == ',';
        const std::string_view rest = accepted.substr(at + coding.size());
        if (begins && (rest.empty() || rest.front() == ',' || (rest.front() == ';' && !rest.starts_with(";q=0")))) return true;
    }
    return false;
}

void harden(http::Headers& headers) {
    headers.set("content-security-policy", kPolicy);
    headers.set("x-frame-options", "DENY");
    headers.set("x-content-type-options", "nosniff");
    headers.set("referrer-policy", "no-referrer");
    headers.set("cross-origin-opener-policy", "same-origin");
}

http::Task<void> send(http::Exchange& exchange, const ConsoleFile& file, const char* caching) {
    http::Response response;
    harden(response.headers);
    response.headers.set("content-type", std::string(file.type));
    response.headers.set("cache-control", caching);
    response.headers.set("vary", "accept-encoding");
    const std::string_view accepted = exchange.request().headers.get("accept-encoding");
    if (!file.brotli.empty() && takes(accepted, "br")) {
        response.headers.set("content-encoding", "br");
        response.body = file.brotli;
    } else if (!file.gzip.empty() && takes(accepted, "gzip")) {
        response.headers.set("content-encoding", "gzip");
        response.body = file.gzip;
    } else {
        response.body = file.plain;
    }
    co_await exchange.respond(std::move(response));
}

http::Task<void> show_page(http::Exchange& exchange) {
    static constexpr ConsoleFile kMissing{"index.html", "text/html; charset=utf-8", kNotBuilt, {}, {}};
    const ConsoleFile* page = find("index.html");
    if (page == nullptr) page = &kMissing;
    co_await send(exchange, *page, "no-cache");
}

http::Task<void> show_asset(http::Exchange& exchange) {
    const ConsoleFile* file = find("assets/" + exchange.request().params.at("name"));
    if (file == nullptr) {
        // A page of another version asks for it: it must not be kept.
        http::Response response = to_response(error_answer(not_found("the console has no such file: load the page again")));
        response.headers.set("cache-control", "no-store");
        co_await exchange.respond(std::move(response));
        co_return;
    }
    co_await send(exchange, *file, "public, max-age=31536000, immutable");
}

}  // namespace

void add_console(http::Router& router, ApiContext&) {
    router.add({"GET", "/", gateway::kPublic, show_page});
    router.add({"GET", "/assets/{name}", gateway::kPublic, show_asset});
    for (const char* page : kConsolePages) {
        router.add({"GET", std::string("/") + page, gateway::kPublic, show_page});
        router.add({"GET", std::string("/") + page + "/{rest...}", gateway::kPublic, show_page});
    }
}

}  // namespace gantry::control
