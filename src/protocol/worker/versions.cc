#include "protocol/worker/versions.h"

#include <fmt/format.h>

#include <algorithm>

namespace gantry::protocol {
namespace {

constexpr int64_t kUnsaid = 1;

}  // namespace

Status check_link_versions(int64_t worker, int64_t server) {
    worker = std::max(worker, kUnsaid);
    server = std::max(server, kUnsaid);
    const bool old = worker < server;
    if ((old ? server - worker : worker - server) <= 1) return Ok{};
    const std::string what = fmt::format("the worker's gantry speaks version {} of what workers and servers say to each other, the server's "
                                         "version {}, and one apart is the most that works",
                                         worker, server);
    const char* const next = old ? "upgrade the worker's; the server's /join.sh brings the server's own to its machine"
                                 : "upgrade the server's first, or put the server's own on the worker's machine";
    return Error{ErrorCode::kConflict, fmt::format("{}: {}", what, next), {}, old ? "worker_too_old" : "worker_too_new"};
}

}  // namespace gantry::protocol
