#include "sources/near.h"

namespace gantry::sources {
namespace {

Url url_of(const std::string& path, const Source& source) {
    Url url{.tls = false, .host = "near", .port = 80};
    url.path = path;
    url.query = "?source=" + url_encoded(source.text(), false);
    return url;
}

}  // namespace

std::optional<Manifest> Near::manifest(const Source& source) const {
    if (!any()) return std::nullopt;
    const auto answer = fetcher_.get({.url = url_of("/manifest", source), .unix_socket = socket_});
    if (!answer || answer->head.status != 200) return std::nullopt;
    auto manifest = ModelCache::parse(answer->body, ModelCache::id_of(source.text()));
    return manifest ? std::optional(*std::move(manifest)) : std::nullopt;
}

std::optional<Located> Near::blob(const Source& source, const Digest& digest) const {
    if (!any()) return std::nullopt;
    Located located{.url = url_of("/blobs/" + digest.hex, source), .unix_socket = socket_};
    const auto answer = fetcher_.get({.url = located.url, .unix_socket = socket_, .range = "0-0", .head_only = true});
    return answer && answer->head.status == 206 ? std::optional(std::move(located)) : std::nullopt;
}

}  // namespace gantry::sources
