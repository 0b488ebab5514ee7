#pragma once
// A whole answer of a hub, through its redirects. Each hop is looked at anew: its URL by base/url.h, its address before it is connected
// to, and a redirect never leads nearer to this machine than where it came from: huggingface.co can't send us to 10.0.0.1, a mirror on
// this machine may send us to itself. A token goes to the origin it is for, and not along. Blocking. Threads: any.

#include <string>

#include "sources/transfer.h"

namespace gantry::sources {

inline constexpr int kRedirectsMax = 5;

struct Answer {
    AnswerHead head{};
    Url url{};                                // that gave it, behind all redirects
    Nearness nearness = Nearness::kPublic;    // of its address
    std::string body{};
};

class Fetcher {
public:
    explicit Fetcher(const Settings& settings) : settings_(settings) {}

    struct Wanted {
        Url url{};
        std::string unix_socket{};            // as in Ask
        std::string token{};                  // for the origin of `url`
        std::string range{};
        size_t body_max = 16u << 20;          // kTooLarge beyond
        Nearness nearest = Nearness::kLoopback;   // no address nearer than that, from the first hop on
        bool head_only = false;               // the body is left, wherever the redirects end
    };
    // An answer of whatever status but a redirect's. kUnavailable, kPermissionDenied ("address_not_allowed"), kTooLarge.
    Result<Answer> get(const Wanted& wanted) const;
    const Settings& settings() const { return settings_; }
    // What goes on fails within about a second, and whatever is asked later. Threads: any.
    void stop() { stopped_ = true; }

private:
    Result<Answer> hop(const Wanted& wanted, const Url& url, Nearness nearest) const;
    const Settings settings_;
    std::atomic<bool> stopped_{false};
};

}  // namespace gantry::sources
