#include "domain/provider.h"

#include <fmt/format.h>

#include <algorithm>

namespace gantry {
namespace {

constexpr size_t kBaseUrlBytesMax = 1024;

Error bad(const std::string& what) { return invalid_argument(fmt::format("\"base_url\" {}", what), "base_url"); }

}  // namespace

bool valid_provider_name(const std::string& name) {
    if (name.empty() || name.size() > 64 || name[0] == '-' || name[0] == '_') return false;
    return std::all_of(name.begin(), name.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'; });
}

std::string model_name(const Provider& provider, const std::string& model) { return provider.name + "/" + model; }

Result<BaseUrl> parse_base_url(std::string_view text) {
    if (text.size() > kBaseUrlBytesMax) return bad("is longer than 1024 bytes");
    Result<Url> url = parse_url(text);
    if (!url) return bad(url.error().message);
    if (!url->query.empty()) return bad("must be http:// or https://, a host, a port where it is another than usual, and a path: no query");
    if (url->path.find("..") != std::string::npos || url->path.find("//") != std::string::npos) {
        return bad("must have no \"..\" and no \"//\" in its path");
    }
    if (url->path.find('@') != std::string::npos) return bad("must have no \"@\" in its path");
    if (nearness_of_host(url->host) == Nearness::kForbidden) {
        return bad("names an address of this machine's own network link, where clouds keep secrets: a provider is elsewhere");
    }
    while (url->path.ends_with('/')) url->path.pop_back();
    return url;
}

}  // namespace gantry
