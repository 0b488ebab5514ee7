// /api/v1/server: which server this is.
#include <unistd.h>

#include <array>

#include "base/version.h"
#include "control/api/api.h"
#include "protocol/management/objects.h"

namespace gantry::control {
namespace {

std::string host_name() {
    std::array<char, 256> name{};
    if (::gethostname(name.data(), name.size() - 1) != 0) return "gantry";
    return name.data();
}

Result<Answer> get(ApiContext& api, const Call& call) {
    protocol::management::ServerInfo info;
    info.name = host_name();
    info.version = kVersion;
    info.commit = commit();
    info.started_at = api.started_at;
    info.url_hint = api.options.url_hint;
    if (call.admin()) info.data_dir = api.options.data_dir;
    return json_answer(200, protocol::management::to_json(info));
}

}  // namespace

void add_server_routes(http::Router& router, ApiContext& api) {
    add_routes(router, api, {{"GET", "/api/v1/server", gateway::kUser, get}});
}

}  // namespace gantry::control
