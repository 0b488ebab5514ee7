#include "worker/peer_trouble.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace gantry::worker {
namespace {

// What follows the words, as far as it is an address and a port.
std::optional<std::string> after(std::string_view log, std::string_view words) {
    const size_t at = log.rfind(words);
    if (at == log.npos) return std::nullopt;
    std::string_view rest = log.substr(at + words.size());
    const auto* end = std::find_if(rest.begin(), rest.end(), [](char c) { return !((c >= '0' && c <= '9') || c == '.' || c == ':'); });
    return std::string(rest.begin(), end);
}

}  // namespace

std::string peer_trouble(std::string_view log) {
    // ggml-rpc.cpp of the pinned tree; these are its last words before it aborts.
    if (const auto peer = after(log, "Failed to connect to ")) {
        return fmt::format("the part of this instance at {} can't be reached: workers that run an instance together connect to each other "
                           "directly, by their data addresses, through no NAT and no closed firewall",
                           *peer);
    }
    if (const auto peer = after(log, "RPC handshake failed for ")) {
        return fmt::format("the part of this instance at {} speaks another version of ggml's RPC: give all workers the same llama.cpp", *peer);
    }
    if (log.find("Remote RPC server crashed or returned malformed response") != log.npos) {
        return "a part of this instance on another worker ended, or the connection to it broke";
    }
    return {};
}

}  // namespace gantry::worker
