#include "control/auth/login_throttle.h"

#include <algorithm>
#include <vector>

#include "gateway/throttle.h"

namespace gantry::control {
namespace {

// A source's text has no space in it; an account's is cut, since it may be anything.
std::string account_key(const std::string& account, const std::string& source) {
    return "account " + source + " " + account.substr(0, 64);
}
std::string peer_key(const std::string& source) { return "peer " + source; }

}  // namespace

void LoginThrottle::make_room(SteadyTime now) {
    if (entries_.size() < kEntriesMax) return;
    std::erase_if(entries_, [now](const auto& e) { return now - e.second.last > kForgetAfter; });
    if (entries_.size() < kEntriesMax) return;
    // Still full: the older half goes. It forgives those, which is the lesser evil than growing or refusing everybody.
    std::vector<SteadyTime> times;
    for (const auto& [key, entry] : entries_) times.push_back(entry.last);
    std::nth_element(times.begin(), times.begin() + static_cast<long>(times.size() / 2), times.end());
    const SteadyTime middle = times[times.size() / 2];
    std::erase_if(entries_, [middle](const auto& e) { return e.second.last <= middle; });
}

void LoginThrottle::count(const std::string& key, int free, SteadyTime now) {
    Entry& entry = entries_[key];
    if (now - entry.last > kForgetAfter) entry = Entry{};
    entry.last = now;
    ++entry.attempts;
    if (entry.attempts < free) return;
    const int doublings = std::min(entry.attempts - free, 12);
    entry.free_at = now + std::min<std::chrono::seconds>(std::chrono::seconds(1LL << doublings), kWaitMax);
}

std::optional<std::chrono::seconds> LoginThrottle::admit(const std::string& account, const std::string& peer) {
    const SteadyTime now = clock_.steady();
    const std::string source = gateway::peer_source(peer);
    const std::string keys[] = {account_key(account, source), peer_key(source)};
    std::lock_guard lock(mutex_);
    for (const std::string& key : keys) {
        const auto found = entries_.find(key);
        if (found == entries_.end() || now >= found->second.free_at) continue;
        return std::chrono::ceil<std::chrono::seconds>(found->second.free_at - now);
    }
    make_room(now);
    count(keys[0], kFreeByAccount, now);
    count(keys[1], kFreeByPeer, now);
    return std::nullopt;
}

void LoginThrottle::succeeded(const std::string& account, const std::string& peer) {
    const std::string source = gateway::peer_source(peer);
    std::lock_guard lock(mutex_);
    entries_.erase(account_key(account, source));
    // A peer may be an office behind one address: its own success takes back its own attempt, not the failures of others.
    const auto found = entries_.find(peer_key(source));
    if (found != entries_.end() && --found->second.attempts <= 0) entries_.erase(found);
}

size_t LoginThrottle::entries() const {
    std::lock_guard lock(mutex_);
    return entries_.size();
}

}  // namespace gantry::control
