#pragma once
// Slows down guessing of passwords. Counted by (account, peer) and by peer: nobody can lock another out of an account from
// elsewhere, and one peer can't walk through accounts. An attempt counts when it begins, so that a thousand at once are a
// thousand; a success forgives. A peer is an IPv4 address or the /64 of an IPv6 one. Bounded memory. By the steady clock. Threads: any.

#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.h"

namespace gantry::control {

class LoginThrottle {
public:
    static constexpr int kFreeByAccount = 5;      // failures before waiting begins
    static constexpr int kFreeByPeer = 20;
    static constexpr std::chrono::seconds kWaitMax{300};
    static constexpr std::chrono::minutes kForgetAfter{15};
    static constexpr size_t kEntriesMax = 8192;

    explicit LoginThrottle(const Clock& clock) : clock_(clock) {}
    // nullopt: go on, the attempt is counted. Else: how long to wait; the attempt is not counted.
    std::optional<std::chrono::seconds> admit(const std::string& account, const std::string& peer);
    void succeeded(const std::string& account, const std::string& peer);
    size_t entries() const;

private:
    struct Entry {
        int attempts = 0;
        SteadyTime last{};
        SteadyTime free_at{};
    };
    void count(const std::string& key, int free, SteadyTime now);
    void make_room(SteadyTime now);

    const Clock& clock_;
    mutable std::mutex mutex_;                    // protects entries_
    std::map<std::string, Entry> entries_;
};

}  // namespace gantry::control
