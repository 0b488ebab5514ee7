#pragma once
// How much keys and users have used, and whether they may go on. In memory; the io thread only; no database. Internal to the
// gateway.
//
// Requests and tokens a minute are token buckets in the form of the generic cell rate algorithm (ITU-T I.371, the virtual
// scheduling of its annex A): a bucket holds what is allowed a minute, refills evenly, and starts full, so that a full
// bucket can be used up at once, and after that there is no more than the limit a minute. A request takes an estimate of its
// prompt beforehand (kBytesPerToken; a full bucket at most) and, when it ends, what it really used: that may leave the bucket in debt, which must be
// refilled first. The buckets go by the steady clock: a clock that is set moves nothing.
//
// A month is a calendar month in UTC. What it has used so far is in the usage table: it is loaded when a budget is first seen
// (begin_load, finish_load) and counted on from there. Until then a budget lets nothing pass.

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "domain/usage.h"
#include "domain/user.h"

namespace gantry::gateway {

// One limit a minute. The caller names the limit each time, so that an edited one is in force at once. Limits are 1..kLimitMax.
class Bucket {
public:
    // How long until `units` are there (or the bucket is full, if that is less); 0: now.
    Duration wait(uint64_t limit, uint64_t units, SteadyTime now) const;
    void take(uint64_t limit, uint64_t units, SteadyTime now);
    void give_back(uint64_t limit, uint64_t units);
    uint64_t left(uint64_t limit, SteadyTime now) const;
    Duration until_full(SteadyTime now) const;

private:
    SteadyTime full_at_{};   // when all that was taken is refilled
};

// The number of a month: those of two times compare as the times do.
int month_of(WallTime time);
WallTime begin_of(int month);

class Quota {
private:
    struct Account;

public:
    static constexpr uint64_t kBytesPerToken = 4;
    static constexpr size_t kAccountsMax = 10'000;   // over it, those at rest without a budget are forgotten: they would start full

    explicit Quota(const Clock& clock) : clock_(clock) {}

    // The place of a running request, and what it has taken so far. Must not outlive the Quota.
    class Lease {
    public:
        Lease() = default;
        Lease(Lease&& other) noexcept { swap(other); }
        Lease& operator=(Lease&& other) noexcept {
            Lease(std::move(other)).swap(*this);
            return *this;
        }
        ~Lease() { settle(0); }
        // The request has ended, having used `tokens`. The place is free, further calls do nothing.
        void settle(uint64_t tokens);

    private:
        friend class Quota;
        void swap(Lease& other) noexcept {
            std::swap(quota_, other.quota_);
            std::swap(accounts_, other.accounts_);
            std::swap(reserved_, other.reserved_);
        }
        Quota* quota_ = nullptr;
        Account* accounts_[2] = {nullptr, nullptr};
        uint64_t reserved_[2] = {0, 0};   // tokens taken beforehand, of each
    };

    enum class Reason { kRequests, kTokens, kConcurrent, kBudget, kUnknown };
    struct Refusal {
        Reason reason = Reason::kRequests;
        std::string message;
        Duration wait{};      // until it may be tried again; 0 with kBudget: retrying is of no use
    };
    // Takes a place, a request and the estimated tokens of a body of `bytes` from the key and from the user of `who`, or
    // nothing at all. REQUIRES: who.allowance
    std::optional<Refusal> admit(const Principal& who, uint64_t bytes, Lease& lease);

    // Where a limit a minute stands; of key and user the one that leaves less.
    struct Window {
        uint64_t limit = 0;
        uint64_t left = 0;
        Duration until_full{};
    };
    struct Windows {
        std::optional<Window> requests;
        std::optional<Window> tokens;
    };
    Windows windows(const Principal& who);   // REQUIRES: who.allowance

    // Budgets whose month is not known yet. expect(): there is a budget, known or not, before the first request.
    void expect(const std::string& id, const Limits& limits);
    bool must_load() const { return unknown_ > 0; }
    struct Load {
        int month = 0;
        WallTime from{};
        WallTime before{};    // what ends later is counted here
    };
    // `first`: nothing was counted here yet, so that everything of the month is to be loaded, even what an earlier process
    // recorded under a clock that was ahead of ours.
    Load begin_load(bool first);
    void finish_load(const Load& load, const std::vector<TokensUsed>& used);

    size_t accounts() const { return accounts_.size(); }

private:
    struct Account {
        Limits limits{};
        Bucket requests{};
        Bucket tokens{};
        uint64_t running = 0;
        int month = -1;              // the one that month_tokens is of
        uint64_t month_tokens = 0;
        bool month_known = false;
        bool loading = false;        // month_tokens counts from the load's `before` on
    };
    Account& account(const std::string& id, const Limits& limits);
    void turn_month(Account& account, int month);
    void set_known(Account& account, bool known);
    void forget_the_idle();
    std::optional<Refusal> look(Account& account, const char* whose, uint64_t tokens, SteadyTime now) const;

    const Clock& clock_;
    std::unordered_map<std::string, Account> accounts_;   // by the id of a key or a user; addresses stay
    size_t unknown_ = 0;                                  // accounts with a budget whose month is not known
};

}  // namespace gantry::gateway
