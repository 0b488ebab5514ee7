// `/`: what this is, until the console comes. Static: nothing of the server's data, and no script.
#include <fmt/format.h>

#include "base/version.h"
#include "control/api/api.h"

namespace gantry::control {
namespace {

constexpr char kPage[] = R"html(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Gantry</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 42rem; margin: 4rem auto; padding: 0 1rem; }}
h1 {{ margin-bottom: 0; }}
p.version {{ margin-top: 0; opacity: .7; }}
code {{ font-family: ui-monospace, monospace; }}
</style>
</head>
<body>
<h1>Gantry</h1>
<p class="version">version {0}</p>
<p>This server serves models. The web console comes with a later version; until then the command line and the APIs do
everything.</p>
<ul>
<li><a href="/healthz">/healthz</a>: is the process alive</li>
<li><a href="/readyz">/readyz</a>: is it ready, and if not, why</li>
<li><code>/v1</code>: the OpenAI API, with an API key</li>
<li><code>/api/v1</code>: the management API, described by <code>/api/v1/openapi.json</code>, with a key or a login</li>
</ul>
<p>The first login is <code>admin</code>; its password is in the file <code>initial_admin_password</code> in the server's data
folder. On the server's own machine <code>gantry ps</code> needs neither.</p>
</body>
</html>
)html";

http::Task<void> show(http::Exchange& exchange) {
    http::Response response;
    response.body = fmt::format(kPage, kVersion);
    response.headers.set("content-type", "text/html; charset=utf-8");
    response.headers.set("content-security-policy",
                         "default-src 'none'; style-src 'sha256-JxiDqZXI1acF53uwWfurELU2LLTpdDBlnHrVUdnoveo='; base-uri 'none'; form-action 'none'; "
                         "frame-ancestors 'none'");
    response.headers.set("x-frame-options", "DENY");
    response.headers.set("x-content-type-options", "nosniff");
    response.headers.set("referrer-policy", "no-referrer");
    response.headers.set("cache-control", "no-cache");
    co_await exchange.respond(std::move(response));
}

}  // namespace

void add_status_page(http::Router& router, ApiContext&) {
    router.add({"GET", "/", gateway::kPublic, [](http::Exchange& exchange) { return show(exchange); }});
}

}  // namespace gantry::control
