#pragma once
// The one parser of http:// and https:// URLs, for whatever this program connects to: what two parsers read differently is how a
// check of the host is got around. Strict: no user or password, no backslash, no space, no character beyond ASCII, no fragment.
// And how far away an address is, for whoever must not be led to this machine's own services. Pure. Threads: any.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace gantry {

struct Url {
    bool tls = false;
    std::string host{};       // in lower case: a name, an IPv4 address in four decimal numbers, or an IPv6 address in brackets
    uint16_t port = 0;
    std::string path{};       // as it is sent, percent-encoded; empty, or begins with a slash
    std::string query{};      // the same, with its "?"; empty: none

    std::string origin() const;     // "https://host", the port where it is another than usual
    std::string text() const { return origin() + path + query; }
    std::string target() const { return (path.empty() ? "/" : path) + query; }
    std::string endpoint() const;   // for http::Client
    bool same_origin(const Url& other) const { return tls == other.tls && host == other.host && port == other.port; }

    bool operator==(const Url&) const = default;
};

inline constexpr size_t kUrlBytesMax = 8192;   // signed URLs are long

// kInvalidArgument, the message saying what the URL does wrong: "names no host". Whoever calls says which URL.
Result<Url> parse_url(std::string_view text);
// Where a redirect from there leads: `location` is a whole URL, or begins with "//" or "/".
Result<Url> parse_redirect(const Url& from, std::string_view location);
// Percent-encodes all but letters, digits and "-._~"; with `slashes` those stay, too.
std::string url_encoded(std::string_view text, bool slashes = false);

// An IPv6 address, or an IPv4 address as its IPv6 form (::ffff:1.2.3.4).
using AddressBytes = std::array<uint8_t, 16>;

// In the order of nearness.
enum class Nearness {
    kPublic,
    kPrivate,     // of a network at home: 10/8, 172.16/12, 192.168/16, 100.64/10, fc00::/7
    kLoopback,    // this machine
    kForbidden,   // nobody's to connect to: the link's own, where clouds tell a machine its secrets; this machine under another name; many at once
};
Nearness nearness_of(const AddressBytes& address);
// Of a URL's host where it is an address, or a name that stands for one; of another name kPublic: what it resolves to is another question.
Nearness nearness_of_host(const std::string& host);

}  // namespace gantry
