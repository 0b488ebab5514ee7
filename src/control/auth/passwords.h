#pragma once
// Passwords, as argon2id by libsodium. Hashing takes tens of milliseconds and 64 MiB on purpose; the memory goes back with
// each call. Off the io thread, at most HashGate::kAtOnce at a time. Threads: any; HashGate: the io thread.

#include <string>

#include "base/ids.h"
#include "base/result.h"
#include "http/http.h"

namespace gantry::control {

Result<std::string> hash_password(const std::string& password);       // kUnavailable: no memory for it now
bool verify_password(const std::string& hash, const std::string& password);
// A hash that no password fits, of the same cost: verified where there is no such user, so that time tells nothing.
const std::string& nobodys_hash();

inline constexpr size_t kRandomPasswordLength = 20;                    // 100 random bits

// Lets a few in, a few wait, and refuses the rest: a flood of logins costs neither the memory nor the pool's threads.
class HashGate {
public:
    static constexpr int kAtOnce = 2;
    static constexpr int kWaitingMax = 32;
    explicit HashGate(http::asio::io_context& io) : changed_(io) {}
    http::Task<bool> enter();   // false: too many wait
    void leave();

private:
    http::Signal changed_;
    int running_ = 0;
    int waiting_ = 0;
};

}  // namespace gantry::control
