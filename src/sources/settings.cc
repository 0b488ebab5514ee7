#include "sources/settings.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <optional>

namespace gantry::sources {
namespace {

using Variable = std::function<std::string(const char*)>;

Result<Url> endpoint_of(const char* name, std::string text) {
    while (text.ends_with('/')) text.pop_back();
    if (text.find("://") == std::string::npos) text.insert(0, "https://");   // MODELSCOPE_DOMAIN is a bare host
    auto url = parse_url(text);
    if (!url) return invalid_argument(fmt::format("{} {}", name, url.error().message));
    if (!url->query.empty()) return invalid_argument(fmt::format("{} has a query (?), which no endpoint has", name));
    if (nearness_of_host(url->host) == Nearness::kForbidden) {
        return invalid_argument(fmt::format("{} names an address of this machine's own network link, where clouds keep secrets", name));
    }
    return url;
}

bool is_yes(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return text == "1" || text == "true" || text == "yes" || text == "on";
}

// "20M", "500K", "1000000": of bytes.
constexpr uint64_t kRateMax = UINT64_MAX >> 32, kFolderMax = 1ull << 60;

Result<uint64_t> bytes_of(const char* name, std::string text, uint64_t most, const char* what) {
    uint64_t unit = 1;
    const std::string_view units = "KMGT";
    if (const size_t at = text.empty() ? std::string_view::npos : units.find(text.back()); at != std::string_view::npos) {
        unit = uint64_t{1} << (10 * (at + 1));
        text.pop_back();
    }
    uint64_t number = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (failed != std::errc() || end != text.data() + text.size() || number == 0 || number > most / unit) {
        return invalid_argument(fmt::format("{} must be a number of {}", name, what));
    }
    return number * unit;
}

// A token goes into a field of a head: one line, no space.
Result<std::string> token_of(const char* name, std::string text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
    const bool clean = std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
    return clean ? Result<std::string>(std::move(text)) : invalid_argument(fmt::format("{} holds a character that no token has", name));
}

std::optional<AddressBytes> address_of(const std::string& host) {
    AddressBytes address{};
    const std::string inner = host.starts_with('[') && host.ends_with(']') ? host.substr(1, host.size() - 2) : host;
    if (::inet_pton(AF_INET6, inner.c_str(), address.data()) == 1) return address;
    address = {};
    address[10] = address[11] = 0xff;
    if (::inet_pton(AF_INET, inner.c_str(), address.data() + 12) == 1) return address;
    return std::nullopt;
}

// "10.0.0.0/8"
bool in_network(const AddressBytes& address, const std::string& network) {
    const size_t slash = network.find('/');
    const auto start = address_of(network.substr(0, slash));
    unsigned bits = 0;
    if (!start || slash == std::string::npos ||
        std::from_chars(network.data() + slash + 1, network.data() + network.size(), bits).ec != std::errc()) {
        return false;
    }
    if (network.find('.') < slash) bits += 96;
    for (unsigned bit = 0; bit < std::min(bits, 128u); ++bit) {
        if (((address[bit / 8] ^ (*start)[bit / 8]) >> (7 - bit % 8) & 1) != 0) return false;
    }
    return true;
}

}  // namespace

bool without_proxy(const std::string& no_proxy, const std::string& host) {
    const auto address = address_of(host);
    for (size_t begin = 0; begin < no_proxy.size();) {
        const size_t end = std::min(no_proxy.find_first_of(", ", begin), no_proxy.size());
        std::string entry = no_proxy.substr(begin, end - begin);
        begin = end + 1;
        if (entry.empty()) continue;
        std::transform(entry.begin(), entry.end(), entry.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
        if (entry == "*" || entry == host) return true;
        if (address) {
            if (in_network(*address, entry) || address_of(entry) == address) return true;
            continue;
        }
        const std::string name = entry.starts_with('.') ? entry.substr(1) : entry;
        if (host == name || host.ends_with("." + name)) return true;
    }
    return false;
}

const std::string& Settings::proxy_for(const Url& url) const {
    static const std::string kNone;
    const std::string& proxy = url.tls ? https_proxy : http_proxy;
    return proxy.empty() || without_proxy(no_proxy, url.host) ? kNone : proxy;
}

Result<Settings> settings_from(const Variable& variable) {
    Settings settings;
    const auto first_of = [&](std::initializer_list<const char*> names) {
        for (const char* name : names) {
            if (std::string value = variable(name); !value.empty()) return std::pair(name, std::move(value));
        }
        return std::pair("", std::string());
    };
    for (auto [into, found] : {std::pair(&settings.hugging_face, first_of({"HF_ENDPOINT"})),
                               std::pair(&settings.modelscope, first_of({"MODELSCOPE_ENDPOINT", "MODELSCOPE_DOMAIN"}))}) {
        if (found.second.empty()) continue;
        auto url = endpoint_of(found.first, found.second);
        if (!url) return url.error();
        *into = std::move(*url);
    }
    for (auto [into, found] : {std::pair(&settings.hugging_face_token, first_of({"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"})),
                               std::pair(&settings.modelscope_token, first_of({"MODELSCOPE_API_TOKEN"}))}) {
        auto token = token_of(found.first, found.second);
        if (!token) return token.error();
        *into = std::move(*token);
    }
    settings.ca_file = variable("SSL_CERT_FILE");
    // HTTP_PROXY in capitals is what a CGI program gets from a client's "Proxy:" field; so nobody takes it.
    settings.http_proxy = first_of({"http_proxy", "all_proxy", "ALL_PROXY"}).second;
    settings.https_proxy = first_of({"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"}).second;
    settings.no_proxy = first_of({"no_proxy", "NO_PROXY"}).second;
    settings.offline = is_yes(variable("GANTRY_OFFLINE")) || is_yes(variable("HF_HUB_OFFLINE"));
    if (const auto limit = first_of({"GANTRY_DOWNLOAD_LIMIT"}); !limit.second.empty()) {
        const auto rate = bytes_of(limit.first, limit.second, kRateMax, "bytes a second, such as 20M");
        if (!rate) return rate.error();
        settings.bytes_per_second = *rate;
    }
    if (const auto quota = first_of({"GANTRY_MODELS_QUOTA"}); !quota.second.empty()) {
        const auto bytes = bytes_of(quota.first, quota.second, kFolderMax, "bytes, such as 500G");
        if (!bytes) return bytes.error();
        settings.folder_bytes = *bytes;
    }
    return settings;
}

Result<Settings> settings_from_environment() {
    return settings_from([](const char* name) {
        const char* const value = std::getenv(name);
        return value == nullptr ? std::string() : std::string(value);
    });
}

}  // namespace gantry::sources
