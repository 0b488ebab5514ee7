#include "sources/transfer.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <mutex>

#include "base/ascii.h"
#include "base/assert.h"
#include "base/version.h"

namespace gantry::sources {
namespace {

constexpr size_t kHeadBytesMax = 64 * 1024;
constexpr long kBufferBytes = 256 * 1024;

void init_once() {
    static std::once_flag once;
    std::call_once(once, [] { GANTRY_ASSERT(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK, "libcurl cannot be started"); });
}

std::string trimmed(std::string_view text) {
    const size_t begin = text.find_first_not_of(" \t"), end = text.find_last_not_of(" \t\r\n");
    return begin == std::string_view::npos || end == std::string_view::npos ? std::string() : std::string(text.substr(begin, end - begin + 1));
}

Nearness nearness_of_socket(const sockaddr& address, unsigned length) {
    AddressBytes bytes{};
    if (address.sa_family == AF_INET && length >= sizeof(sockaddr_in)) {
        bytes[10] = bytes[11] = 0xff;
        std::memcpy(bytes.data() + 12, &reinterpret_cast<const sockaddr_in&>(address).sin_addr, 4);
        return nearness_of(bytes);
    }
    if (address.sa_family == AF_INET6 && length >= sizeof(sockaddr_in6)) {
        std::memcpy(bytes.data(), &reinterpret_cast<const sockaddr_in6&>(address).sin6_addr, 16);
        return nearness_of(bytes);
    }
    return Nearness::kForbidden;
}

// What libcurl's codes mean for a person.
std::string words_of(CURLcode code, const Url& url, const std::string& detail, const std::string& proxy) {
    const std::string who = proxy.empty() ? url.host : fmt::format("{} through the proxy", url.host);
    switch (code) {
        case CURLE_COULDNT_RESOLVE_HOST:
            return fmt::format("the name {} cannot be resolved; check the network and DNS, or set a mirror or proxy", url.host);
        case CURLE_COULDNT_RESOLVE_PROXY: return "the proxy's name cannot be resolved; check HTTPS_PROXY";
        case CURLE_COULDNT_CONNECT: return fmt::format("{} cannot be reached: {}", who, detail);
        case CURLE_OPERATION_TIMEDOUT: return fmt::format("{} is too slow: {}", who, detail);
        case CURLE_PEER_FAILED_VERIFICATION:
            return fmt::format("the certificate of {} is not trusted ({}); where a company's own authority signs, name its file in SSL_CERT_FILE",
                               url.host, detail);
        case CURLE_SSL_CACERT_BADFILE: return "the authorities of SSL_CERT_FILE cannot be read; check the path and that it is PEM";
        case CURLE_PARTIAL_FILE: return fmt::format("{} broke off before the end", who);
        case CURLE_ABORTED_BY_CALLBACK: return "this process ends";
        default: return fmt::format("{}: {}", who, detail);
    }
}

}  // namespace

const std::string& AnswerHead::field(const std::string& name) const {
    static const std::string kNone;
    const auto found = fields.find(name);
    return found == fields.end() ? kNone : found->second;
}

Result<std::unique_ptr<Transfer>> Transfer::make(const Settings& settings, const Ask& ask, OnHead on_head, OnBody on_body) {
    const bool own = !ask.unix_socket.empty();
    if (settings.offline && !own) {
        return unavailable(fmt::format("{} is not asked: this process is offline (--offline, GANTRY_OFFLINE)", ask.url.host), "offline");
    }
    if (!own && nearness_of_host(ask.url.host) > ask.nearest) {
        return Error{ErrorCode::kPermissionDenied, fmt::format("{} must not be connected to", ask.url.host), {}, "address_not_allowed"};
    }
    init_once();
    auto transfer = std::unique_ptr<Transfer>(new Transfer(settings, ask, std::move(on_head), std::move(on_body)));
    if (transfer->handle_ == nullptr) return unavailable("no connection can be made: this machine is out of memory");
    transfer->set_up();
    return transfer;
}

Transfer::Transfer(const Settings& settings, const Ask& ask, OnHead on_head, OnBody on_body)
    : settings_(settings), ask_(ask), on_head_(std::move(on_head)), on_body_(std::move(on_body)), handle_(curl_easy_init()),
        proxy_(ask.unix_socket.empty() ? settings.proxy_for(ask.url) : std::string()) {
    error_text_.resize(CURL_ERROR_SIZE);
    reached_ = nearness_of_host(ask.url.host);
}

Transfer::~Transfer() {
    if (handle_ != nullptr) curl_easy_cleanup(handle_);
    curl_slist_free_all(sent_fields_);
}

void Transfer::set_up() {
    const auto set = [this](CURLoption option, auto value) {
        const CURLcode done = curl_easy_setopt(handle_, option, value);
        GANTRY_ASSERT(done == CURLE_OK, "libcurl does not know an option");
    };
    set(CURLOPT_URL, ask_.url.text().c_str());
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));   // ranges side by side want connections of their own
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_BUFFERSIZE, kBufferBytes);
    set(CURLOPT_PROXY, proxy_.c_str());                                    // empty: none, whatever the environment says
    set(CURLOPT_NOPROXY, "");
    set(CURLOPT_USERAGENT, (std::string("gantry/") + kVersion).c_str());
    set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(settings_.connect_within.count()));
    set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(settings_.stalled_after.count()));
    if (ask_.within.count() > 0) set(CURLOPT_TIMEOUT_MS, static_cast<long>(ask_.within.count()));
    if (ask_.bytes_per_second > 0) set(CURLOPT_MAX_RECV_SPEED_LARGE, static_cast<curl_off_t>(ask_.bytes_per_second));
    if (!settings_.ca_file.empty()) set(CURLOPT_CAINFO, settings_.ca_file.c_str());
    if (!ask_.unix_socket.empty()) set(CURLOPT_UNIX_SOCKET_PATH, ask_.unix_socket.c_str());
    if (!ask_.range.empty()) set(CURLOPT_RANGE, ask_.range.c_str());
    sent_fields_ = curl_slist_append(sent_fields_, "accept-encoding: identity");   // a digest is of the bytes as they are kept
    if (!ask_.token.empty()) sent_fields_ = curl_slist_append(sent_fields_, ("authorization: Bearer " + ask_.token).c_str());
    set(CURLOPT_HTTPHEADER, sent_fields_);
    set(CURLOPT_ERRORBUFFER, error_text_.data());
    set(CURLOPT_HEADERFUNCTION, &Transfer::take_head);
    set(CURLOPT_HEADERDATA, this);
    set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    set(CURLOPT_WRITEFUNCTION, &Transfer::take_body);
    set(CURLOPT_WRITEDATA, this);
    set(CURLOPT_OPENSOCKETFUNCTION, &Transfer::open_socket);
    set(CURLOPT_OPENSOCKETDATA, this);
    if (ask_.stop == nullptr) return;
    set(CURLOPT_NOPROGRESS, 0L);
    set(CURLOPT_XFERINFOFUNCTION, &Transfer::look_around);
    set(CURLOPT_XFERINFODATA, this);
}

size_t Transfer::take_head(char* bytes, size_t size, size_t count, void* self) {
    Transfer& transfer = *static_cast<Transfer*>(self);
    const std::string_view line(bytes, size * count);
    if (line.starts_with("HTTP/")) {
        transfer.head_ = {};   // an interim answer came before
        return line.size();
    }
    const size_t colon = line.find(':');
    if (colon != std::string_view::npos && line.size() <= kHeadBytesMax && transfer.head_.fields.size() < 256) {
        transfer.head_.fields[lowered(line.substr(0, colon))] = trimmed(line.substr(colon + 1));
        return line.size();
    }
    if (!trimmed(line).empty()) return line.size();
    long status = 0;
    curl_easy_getinfo(transfer.handle_, CURLINFO_RESPONSE_CODE, &status);
    transfer.head_.status = static_cast<int>(status);
    if (status < 200 || transfer.head_told_) return line.size();
    transfer.head_told_ = true;
    if (transfer.on_head_ && !transfer.on_head_(transfer.head_)) {
        transfer.unwanted_ = true;
        return 0;
    }
    return line.size();
}

size_t Transfer::take_body(char* bytes, size_t size, size_t count, void* self) {
    Transfer& transfer = *static_cast<Transfer*>(self);
    if (transfer.on_body_ && !transfer.on_body_(std::string_view(bytes, size * count))) {
        transfer.unwanted_ = true;
        return 0;
    }
    return size * count;
}

int Transfer::look_around(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) { return *static_cast<Transfer*>(self)->ask_.stop ? 1 : 0; }

curl_socket_t Transfer::open_socket(void* self, curlsocktype, curl_sockaddr* address) {
    Transfer& transfer = *static_cast<Transfer*>(self);
    // A proxy's address is the administrator's choice, and it resolves what is behind it.
    if (transfer.proxy_.empty() && transfer.ask_.unix_socket.empty()) {
        const Nearness nearness = nearness_of_socket(address->addr, address->addrlen);
        if (nearness > transfer.ask_.nearest) {
            transfer.refused_ = true;
            return CURL_SOCKET_BAD;
        }
        transfer.reached_ = nearness;
    }
    return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

Status Transfer::run() { return outcome(curl_easy_perform(handle_)); }

Status Transfer::outcome(CURLcode code) const {
    if (code == CURLE_OK || unwanted_) return Ok{};
    if (refused_ && code == CURLE_COULDNT_CONNECT) {
        return Error{ErrorCode::kPermissionDenied,
                     fmt::format("{} resolves to an address that must not be connected to: of this machine, its network or its cloud",
                                 ask_.url.host), {},
                     "address_not_allowed"};
    }
    const std::string detail = error_text_[0] != '\0' ? error_text_.c_str() : curl_easy_strerror(code);
    return unavailable(words_of(code, ask_.url, detail, proxy_));
}

}  // namespace gantry::sources
