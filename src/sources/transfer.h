#pragma once
// One GET by libcurl, under the rules that every connection to a hub keeps:
// - http:// and https:// only, and only by the URL that base/url.h has taken apart;
// - the address that is connected to is the one that was checked: the check sits between resolving and connecting;
// - no redirect is followed here: whoever asks looks at each (fetcher.h);
// - a certificate is checked, by the system's authorities or those of Settings::ca_file;
// - not at all while Settings::offline.
// A Unix socket is this machine's own, whatever stands behind it (near.h).
// Threads: a Transfer is used by one.

#include <curl/curl.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/url.h"
#include "sources/settings.h"

namespace gantry::sources {

struct Ask {
    Url url{};
    std::string unix_socket{};                // connected to instead of the URL's host: the rules of hubs are not for it, nor is offline
    std::string token{};                      // of the bearer; empty: none. The caller knows whose it is
    std::string range{};                      // "0-99"; empty: all
    Nearness nearest = Nearness::kLoopback;   // no address nearer than that is connected to
    std::chrono::milliseconds within{0};      // for all of it; 0: while bytes come
    uint64_t bytes_per_second = 0;            // 0: no limit
    const std::atomic<bool>* stop = nullptr;  // once true, it fails within about a second
};

// What came before the body. Names in lower case; of several fields of a name the last.
struct AnswerHead {
    int status = 0;
    std::map<std::string, std::string> fields{};
    const std::string& field(const std::string& name) const;
};

class Transfer {
public:
    // Called once, when the head is complete; false: the body is not wanted, the transfer ends well.
    using OnHead = std::function<bool(const AnswerHead&)>;
    using OnBody = std::function<bool(std::string_view)>;   // false: the same

    // kUnavailable, reason "offline". Nothing is sent yet.
    static Result<std::unique_ptr<Transfer>> make(const Settings& settings, const Ask& ask, OnHead on_head, OnBody on_body);
    ~Transfer();
    Transfer(const Transfer&) = delete;
    Transfer& operator=(const Transfer&) = delete;

    Status run();                                     // for itself, blocking
    CURL* handle() const { return handle_; }          // or in a multi handle,
    Status outcome(CURLcode code) const;              // which gave this
    const AnswerHead& head() const { return head_; }
    // How near the address was; behind a proxy, as far as the host itself tells. Once connected.
    Nearness nearness() const { return reached_; }

private:
    Transfer(const Settings& settings, const Ask& ask, OnHead on_head, OnBody on_body);
    void set_up();
    static size_t take_head(char* bytes, size_t size, size_t count, void* self);
    static size_t take_body(char* bytes, size_t size, size_t count, void* self);
    static int look_around(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t);
    static curl_socket_t open_socket(void* self, curlsocktype purpose, curl_sockaddr* address);

    const Settings settings_;
    const Ask ask_;
    const OnHead on_head_;
    const OnBody on_body_;
    CURL* handle_ = nullptr;
    curl_slist* sent_fields_ = nullptr;
    std::string proxy_;
    std::string error_text_;
    AnswerHead head_;
    bool head_told_ = false;
    bool unwanted_ = false;       // by whoever asked: no failure
    bool refused_ = false;        // an address that must not be connected to
    Nearness reached_ = Nearness::kPublic;
};

}  // namespace gantry::sources
