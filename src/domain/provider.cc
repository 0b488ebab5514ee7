#include "domain/provider.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <optional>

namespace gantry {
namespace {

constexpr size_t kUrlBytesMax = 1024;
constexpr size_t kHostBytesMax = 253;
constexpr uint16_t kHttpPort = 80;
constexpr uint16_t kHttpsPort = 443;

Error bad(const char* what) { return invalid_argument(fmt::format("\"base_url\" {}", what), "base_url"); }
Error forbidden() { return bad("names an address of this machine's own network link, where clouds keep secrets: a provider is elsewhere"); }

bool is_alnum(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }

// 0.0.0.0/8 is this machine under another name; 169.254.0.0/16 is the link's own, with the clouds' metadata; 100.100.100.200 is Alibaba's.
bool forbidden_ipv4(const uint8_t* a) {
    return a[0] == 0 || (a[0] == 169 && a[1] == 254) || (a[0] == 100 && a[1] == 100 && a[2] == 100 && a[3] == 200);
}

bool forbidden_ipv6(const std::array<uint8_t, 16>& a) {
    constexpr std::array<uint8_t, 16> kAmazonMetadata = {0xfd, 0x00, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54};
    const auto zeros = [&a](size_t from, size_t to) { return std::all_of(a.begin() + from, a.begin() + to, [](uint8_t b) { return b == 0; }); };
    const bool mapped = zeros(0, 10) && a[10] == 0xff && a[11] == 0xff;
    const bool translated = a[0] == 0 && a[1] == 0x64 && a[2] == 0xff && a[3] == 0x9b && zeros(4, 12);
    const bool holds_ipv4 = mapped || translated || (zeros(0, 12) && !(zeros(12, 15) && a[15] == 1));   // ::1 is loopback
    const bool link_local = a[0] == 0xfe && (a[1] & 0xc0) == 0x80;
    return link_local || a == kAmazonMetadata || (holds_ipv4 && forbidden_ipv4(a.data() + 12));
}

Status check_ipv6(const std::string& host) {
    std::array<uint8_t, 16> address{};
    const std::string inner = host.substr(1, host.size() - 2);
    if (::inet_pton(AF_INET6, inner.c_str(), address.data()) != 1) return bad("holds no IPv6 address between the brackets");
    if (forbidden_ipv6(address)) return forbidden();
    return Ok{};
}

// A name, or an IPv4 address in four decimal numbers: resolvers also take 0xa9fea9fe and 2852039166 for one.
Status check_name(const std::string& host) {
    if (host.empty()) return bad("names no host");
    if (host.size() > kHostBytesMax) return bad("names a host of more than 253 characters");
    size_t begin = 0;
    for (size_t end = 0; end != std::string::npos; begin = end + 1) {
        end = host.find('.', begin);
        const std::string label = host.substr(begin, end == std::string::npos ? end : end - begin);
        const bool clean = std::all_of(label.begin(), label.end(), [](char c) { return is_alnum(c) || c == '-' || c == '_'; });
        if (label.empty() || label.size() > 63 || !clean) return bad("names a host that is neither a name of letters, digits, . _ - nor an address");
        if (end != std::string::npos || std::isdigit(static_cast<unsigned char>(label[0])) == 0) continue;
        std::array<uint8_t, 4> address{};
        if (::inet_pton(AF_INET, host.c_str(), address.data()) != 1) return bad("names a host that ends in a number, but is no IPv4 address");
        if (forbidden_ipv4(address.data())) return forbidden();
    }
    if (host == "metadata.google.internal" || host == "metadata") return forbidden();
    return Ok{};
}

Status check_path(const std::string& path) {
    for (const char c : path) {
        if (c <= ' ' || c >= 0x7f || std::string_view("?#@\\\"<>^`{|}").find(c) != std::string_view::npos) {
            return bad("must be http:// or https://, a host, a port where it is another than usual, and a path: no user, query or fragment");
        }
    }
    if (path.find("..") != std::string::npos || path.find("//") != std::string::npos) return bad("must have no \"..\" and no \"//\" in its path");
    return Ok{};
}

}  // namespace

bool valid_provider_name(const std::string& name) {
    if (name.empty() || name.size() > 64 || name[0] == '-' || name[0] == '_') return false;
    return std::all_of(name.begin(), name.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'; });
}

std::string model_name(const Provider& provider, const std::string& model) { return provider.name + "/" + model; }

std::string BaseUrl::text() const {
    const bool usual = port == (tls ? kHttpsPort : kHttpPort);
    return fmt::format("{}://{}{}{}", tls ? "https" : "http", host, usual ? "" : fmt::format(":{}", port), path);
}

std::string BaseUrl::endpoint() const { return fmt::format("{}:{}:{}", tls ? "tls" : "tcp", host, port); }

Result<BaseUrl> parse_base_url(std::string_view text) {
    if (text.size() > kUrlBytesMax) return bad("is longer than 1024 bytes");
    BaseUrl url;
    url.tls = text.starts_with("https://");
    if (!url.tls && !text.starts_with("http://")) return bad("must begin with https:// or http://");
    text.remove_prefix(url.tls ? 8 : 7);
    const size_t slash = text.find('/');
    std::string authority(text.substr(0, slash));
    if (slash != std::string_view::npos) url.path = text.substr(slash);
    GANTRY_TRY(check_path(authority + url.path));
    const size_t bracket = authority.rfind(']');
    const size_t colon = authority.find(':', bracket == std::string::npos ? 0 : bracket);
    url.port = url.tls ? kHttpsPort : kHttpPort;
    if (colon != std::string::npos) {
        const char* const end = authority.data() + authority.size();
        const auto [at, failure] = std::from_chars(authority.data() + colon + 1, end, url.port);
        if (failure != std::errc() || at != end || url.port == 0) return bad("must have a port from 1 to 65535 behind the colon");
    }
    url.host = authority.substr(0, colon);
    std::transform(url.host.begin(), url.host.end(), url.host.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const bool bracketed = url.host.starts_with('[') && url.host.ends_with(']');
    GANTRY_TRY(bracketed ? check_ipv6(url.host) : check_name(url.host));
    while (url.path.ends_with('/')) url.path.pop_back();
    return url;
}

}  // namespace gantry
