#include "base/ascii.h"
#include "base/url.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>

namespace gantry {
namespace {

constexpr size_t kHostBytesMax = 253;
constexpr size_t kLabelBytesMax = 63;
constexpr uint16_t kHttpPort = 80;
constexpr uint16_t kHttpsPort = 443;

Error bad(const char* what) { return invalid_argument(what); }

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alnum(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

Status check_ipv6(const std::string& host) {
    AddressBytes address{};
    const std::string inner = host.substr(1, host.size() - 2);
    if (::inet_pton(AF_INET6, inner.c_str(), address.data()) != 1) return bad("holds no IPv6 address between the brackets");
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
        if (label.empty() || label.size() > kLabelBytesMax || !clean) {
            return bad("names a host that is neither a name of letters, digits, . _ - nor an address");
        }
        if (end != std::string::npos || !is_digit(label[0])) continue;
        in_addr address{};
        if (::inet_pton(AF_INET, host.c_str(), &address) != 1) return bad("names a host that ends in a number, but is no IPv4 address");
    }
    return Ok{};
}

Status check_characters(std::string_view text) {
    for (const char c : text) {
        if (c <= ' ' || c >= 0x7f || std::string_view("\\\"<>^`{|}").find(c) != std::string_view::npos) {
            return bad("holds a character that no URL has: percent-encode it");
        }
    }
    return Ok{};
}

Status take_authority(const std::string& authority, Url& url) {
    if (authority.find('@') != std::string::npos) return bad("names a user; give a key or token apart from the URL");
    const size_t bracket = authority.rfind(']');
    const size_t colon = authority.find(':', bracket == std::string::npos ? 0 : bracket);
    url.port = url.tls ? kHttpsPort : kHttpPort;
    if (colon != std::string::npos) {
        const char* const end = authority.data() + authority.size();
        const auto [at, failure] = std::from_chars(authority.data() + colon + 1, end, url.port);
        if (failure != std::errc() || at != end || url.port == 0) return bad("must have a port from 1 to 65535 behind the colon");
    }
    url.host = lowered(authority.substr(0, colon));
    const bool bracketed = url.host.starts_with('[') && url.host.ends_with(']');
    return bracketed ? check_ipv6(url.host) : check_name(url.host);
}

// 0.0.0.0/8 is this machine under another name; 169.254.0.0/16 is the link's own, with the clouds' metadata; 100.100.100.200 is
// Alibaba's; from 224.0.0.0 on it is many at once, or nobody.
Nearness nearness_of_ipv4(const uint8_t* a) {
    if (a[0] == 0 || (a[0] == 169 && a[1] == 254) || (a[0] == 100 && a[1] == 100 && a[2] == 100 && a[3] == 200) || a[0] >= 224) {
        return Nearness::kForbidden;
    }
    if (a[0] == 127) return Nearness::kLoopback;
    const bool home = a[0] == 10 || (a[0] == 172 && (a[1] & 0xf0) == 16) || (a[0] == 192 && a[1] == 168) || (a[0] == 100 && (a[1] & 0xc0) == 64);
    return home ? Nearness::kPrivate : Nearness::kPublic;
}

}  // namespace

std::string Url::origin() const {
    const bool usual = port == (tls ? kHttpsPort : kHttpPort);
    return fmt::format("{}://{}{}", tls ? "https" : "http", host, usual ? "" : fmt::format(":{}", port));
}

std::string Url::endpoint() const { return fmt::format("{}:{}:{}", tls ? "tls" : "tcp", host, port); }

Result<Url> parse_url(std::string_view text) {
    if (text.size() > kUrlBytesMax) return bad("is longer than 8192 bytes");
    Url url;
    url.tls = text.starts_with("https://");
    if (!url.tls && !text.starts_with("http://")) return bad("must begin with https:// or http://");
    GANTRY_TRY(check_characters(text));
    if (text.find('#') != std::string_view::npos) return bad("has a fragment (#), which is not for servers");
    text.remove_prefix(url.tls ? 8 : 7);
    const size_t end = text.find_first_of("/?");
    GANTRY_TRY(take_authority(std::string(text.substr(0, end)), url));
    if (end == std::string_view::npos) return url;
    text.remove_prefix(end);
    const size_t question = std::min(text.find('?'), text.size());
    url.path = text.substr(0, question);
    url.query = text.substr(question);
    return url;
}

Result<Url> parse_redirect(const Url& from, std::string_view location) {
    location = location.substr(0, location.find('#'));
    if (location.starts_with("//")) return parse_url((from.tls ? "https:" : "http:") + std::string(location));
    if (location.starts_with('/')) return parse_url(from.origin() + std::string(location));
    return parse_url(location);
}

std::string url_encoded(std::string_view text, bool slashes) {
    std::string out;
    for (const char c : text) {
        const bool plain = is_alnum(c) || std::string_view("-._~").find(c) != std::string_view::npos || (slashes && c == '/');
        out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return out;
}

Nearness nearness_of(const AddressBytes& a) {
    constexpr AddressBytes kAmazonMetadata = {0xfd, 0x00, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54};
    const auto zeros = [&a](size_t from, size_t to) { return std::all_of(a.begin() + from, a.begin() + to, [](uint8_t b) { return b == 0; }); };
    if (zeros(0, 15) && a[15] == 1) return Nearness::kLoopback;
    const bool mapped = zeros(0, 10) && a[10] == 0xff && a[11] == 0xff;
    const bool translated = a[0] == 0 && a[1] == 0x64 && a[2] == 0xff && a[3] == 0x9b && zeros(4, 12);
    if (mapped || translated || zeros(0, 12)) return nearness_of_ipv4(a.data() + 12);
    const bool link_local = a[0] == 0xfe && (a[1] & 0xc0) == 0x80;
    if (link_local || a == kAmazonMetadata || a[0] == 0xff) return Nearness::kForbidden;
    return (a[0] & 0xfe) == 0xfc ? Nearness::kPrivate : Nearness::kPublic;
}

Nearness nearness_of_host(const std::string& host) {
    if (host == "metadata.google.internal" || host == "metadata") return Nearness::kForbidden;
    if (host == "localhost" || host.ends_with(".localhost")) return Nearness::kLoopback;
    AddressBytes address{};
    if (host.starts_with('[')) {
        const bool good = ::inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), address.data()) == 1;
        return good ? nearness_of(address) : Nearness::kForbidden;
    }
    address[10] = address[11] = 0xff;
    return ::inet_pton(AF_INET, host.c_str(), address.data() + 12) == 1 ? nearness_of(address) : Nearness::kPublic;
}

}  // namespace gantry
