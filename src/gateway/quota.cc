#include "gateway/quota.h"

#include <fmt/format.h>

#include <algorithm>

namespace gantry::gateway {
namespace {

using std::chrono::microseconds;

// In microseconds all products stay below 2^63: kLimitMax * 60e6 = 6e16, kUnitsMax * 60e6 = 6e17.
constexpr microseconds kMinute{60'000'000};
constexpr uint64_t kUnitsMax = 10'000'000'000;
constexpr microseconds kDebtMax{86'400'000'000};    // of one request: a day, far from where nanoseconds end
constexpr std::chrono::seconds kPlaceWait{1};       // nobody knows when a running request ends
constexpr std::chrono::seconds kLoadWait{1};

uint64_t bounded(uint64_t limit) { return std::clamp<uint64_t>(limit, 1, kLimitMax); }

// How long the bucket takes to refill so much. Rounded down, so that `limit` units are exactly a minute.
microseconds refill(uint64_t limit, uint64_t units) {
    const uint64_t us = std::min(units, kUnitsMax) * static_cast<uint64_t>(kMinute.count()) / bounded(limit);
    return std::min(microseconds(static_cast<int64_t>(us)), kDebtMax);
}

microseconds until(SteadyTime time, SteadyTime now) {
    return time <= now ? microseconds(0) : std::chrono::ceil<microseconds>(time - now);
}

}  // namespace

Duration Bucket::wait(uint64_t limit, uint64_t units, SteadyTime now) const {
    const microseconds needed = refill(limit, std::min(units, bounded(limit)));
    return std::max(microseconds(0), until(full_at_, now) + needed - kMinute);
}

void Bucket::take(uint64_t limit, uint64_t units, SteadyTime now) { full_at_ = std::max(full_at_, now) + refill(limit, units); }

void Bucket::give_back(uint64_t limit, uint64_t units) { full_at_ -= refill(limit, units); }

uint64_t Bucket::left(uint64_t limit, SteadyTime now) const {
    const microseconds there = kMinute - until(full_at_, now);
    if (there <= microseconds(0)) return 0;
    return static_cast<uint64_t>(there.count()) * bounded(limit) / static_cast<uint64_t>(kMinute.count());
}

Duration Bucket::until_full(SteadyTime now) const { return until(full_at_, now); }

int month_of(WallTime time) {
    const std::chrono::year_month_day day(std::chrono::floor<std::chrono::days>(time));
    return static_cast<int>(day.year()) * 12 + static_cast<int>(static_cast<unsigned>(day.month())) - 1;
}

WallTime begin_of(int month) {
    const std::chrono::year year(month / 12);
    return std::chrono::sys_days(year / std::chrono::month(static_cast<unsigned>(month % 12) + 1) / 1);
}

void Quota::Lease::settle(uint64_t tokens) {
    if (quota_ == nullptr) return;
    const SteadyTime now = quota_->clock_.steady();
    const int month = month_of(quota_->clock_.wall());
    for (size_t i = 0; i < 2; ++i) {
        Account* const account = accounts_[i];
        if (account == nullptr) continue;
        --account->running;
        if (const auto limit = account->limits.tokens_per_minute) {
            if (tokens > reserved_[i]) account->tokens.take(*limit, tokens - reserved_[i], now);
            if (tokens < reserved_[i]) account->tokens.give_back(*limit, reserved_[i] - tokens);
        }
        quota_->turn_month(*account, month);
        account->month_tokens += tokens;
    }
    quota_ = nullptr;
}

void Quota::set_known(Account& account, bool known) {
    const bool counted = account.limits.tokens_per_month && !account.month_known;
    account.month_known = known;
    const bool counts = account.limits.tokens_per_month && !known;
    unknown_ = unknown_ + (counts ? 1 : 0) - (counted ? 1 : 0);
}

// A month that begins while we look has nothing used. A clock that was set back makes the month another one: it is loaded anew.
void Quota::turn_month(Account& account, int month) {
    if (account.month == month) return;
    const bool next = account.month >= 0 && month > account.month;
    account.month = month;
    account.month_tokens = 0;
    account.loading = false;
    set_known(account, next);
}

Quota::Account& Quota::account(const std::string& id, const Limits& limits) {
    if (accounts_.size() >= kAccountsMax && !accounts_.contains(id)) forget_the_idle();
    Account& found = accounts_[id];
    if (found.limits.tokens_per_month.has_value() != limits.tokens_per_month.has_value()) {
        // Before there was a budget its tokens were not all counted.
        set_known(found, true);
        found.limits.tokens_per_month = limits.tokens_per_month;
        found.month = -1;
    }
    found.limits = limits;
    turn_month(found, month_of(clock_.wall()));
    return found;
}

void Quota::forget_the_idle() {
    const SteadyTime now = clock_.steady();
    std::erase_if(accounts_, [&](const auto& entry) {
        const Account& a = entry.second;
        return a.running == 0 && !a.limits.tokens_per_month && a.requests.until_full(now) == Duration(0) &&
               a.tokens.until_full(now) == Duration(0);
    });
}

std::optional<Quota::Refusal> Quota::look(Account& account, const char* whose, uint64_t tokens, SteadyTime now) const {
    const Limits& limits = account.limits;
    if (limits.tokens_per_month && !account.month_known) {
        return Refusal{Reason::kUnknown, "What this month's budget has left is being looked up. Try again in a moment.", kLoadWait};
    }
    if (limits.tokens_per_month && account.month_tokens >= *limits.tokens_per_month) {
        return Refusal{Reason::kBudget,
                       fmt::format("The budget of {} tokens a month of this {} is used up. It begins anew at {}; an administrator can "
                                   "raise it.",
                                   *limits.tokens_per_month, whose, to_rfc3339(begin_of(account.month + 1))),
                       {}};
    }
    if (limits.concurrent_requests && account.running >= *limits.concurrent_requests) {
        return Refusal{Reason::kConcurrent,
                       fmt::format("This {} has {} requests running, as many as it may have at once. Wait for one to end.", whose,
                                   account.running),
                       kPlaceWait};
    }
    std::optional<Refusal> refusal;
    const auto over = [&](Reason reason, uint64_t limit, const char* what, Duration wait) {
        if (wait <= (refusal ? refusal->wait : Duration(0))) return;
        refusal = Refusal{reason,
                          fmt::format("Over the limit of {} {} a minute of this {}. Try again in {} s.", limit, what, whose,
                                      std::chrono::ceil<std::chrono::seconds>(wait).count()),
                          wait};
    };
    if (const auto limit = limits.requests_per_minute) {
        over(Reason::kRequests, *limit, "requests", account.requests.wait(*limit, 1, now));
    }
    if (const auto limit = limits.tokens_per_minute) {
        over(Reason::kTokens, *limit, "tokens", account.tokens.wait(*limit, tokens, now));
    }
    return refusal;
}

std::optional<Quota::Refusal> Quota::admit(const Principal& who, uint64_t bytes, Lease& lease) {
    const Allowance& allowance = *who.allowance;
    const SteadyTime now = clock_.steady();
    // A prompt is a token at least: a bucket in debt lets none pass.
    const uint64_t tokens = std::clamp<uint64_t>(bytes / kBytesPerToken, 1, kUnitsMax);
    Lease made;
    if (allowance.key.any()) made.accounts_[0] = &account(who.key_id.text, allowance.key);
    // An account may be forgotten while the next is made; one with a place is not.
    if (made.accounts_[0] != nullptr) ++made.accounts_[0]->running;
    if (allowance.user.any()) made.accounts_[1] = &account(who.user_id.text, allowance.user);
    if (made.accounts_[0] != nullptr) --made.accounts_[0]->running;
    std::optional<Refusal> refusal;
    for (size_t i = 0; i < 2; ++i) {
        if (made.accounts_[i] == nullptr) continue;
        std::optional<Refusal> one = look(*made.accounts_[i], i == 0 ? "key" : "user", tokens, now);
        if (!one) continue;
        // A used up budget first, since waiting won't help; else the one that takes longest.
        const bool worse =
            !refusal || (refusal->reason != Reason::kBudget && (one->reason == Reason::kBudget || one->wait > refusal->wait));
        if (worse) refusal = std::move(one);
    }
    if (refusal) return refusal;
    for (size_t i = 0; i < 2; ++i) {
        Account* const account = made.accounts_[i];
        if (account == nullptr) continue;
        ++account->running;
        if (const auto limit = account->limits.requests_per_minute) account->requests.take(*limit, 1, now);
        if (const auto limit = account->limits.tokens_per_minute) {
            made.reserved_[i] = std::min(tokens, *limit);
            account->tokens.take(*limit, made.reserved_[i], now);
        }
    }
    made.quota_ = this;
    lease = std::move(made);
    return std::nullopt;
}

Quota::Windows Quota::windows(const Principal& who) {
    const Allowance& allowance = *who.allowance;
    const SteadyTime now = clock_.steady();
    Windows windows;
    const auto tighten = [&](std::optional<Window>& window, const std::optional<uint64_t>& limit, const Bucket& bucket) {
        if (!limit) return;
        const Window own{*limit, bucket.left(*limit, now), bucket.until_full(now)};
        if (!window || own.left < window->left) window = own;
    };
    const auto add = [&](const std::string& id, const Limits& limits) {
        if (!limits.requests_per_minute && !limits.tokens_per_minute) return;
        const auto found = accounts_.find(id);
        const Account untouched;
        const Account& account = found == accounts_.end() ? untouched : found->second;
        tighten(windows.requests, limits.requests_per_minute, account.requests);
        tighten(windows.tokens, limits.tokens_per_minute, account.tokens);
    };
    add(who.key_id.text, allowance.key);
    add(who.user_id.text, allowance.user);
    return windows;
}

void Quota::expect(const std::string& id, const Limits& limits) {
    if (limits.tokens_per_month) account(id, limits);
}

Quota::Load Quota::begin_load(bool first) {
    const WallTime now = clock_.wall();
    const int month = month_of(now);
    for (auto& [id, account] : accounts_) {
        turn_month(account, month);
        account.loading = account.limits.tokens_per_month && !account.month_known;
        if (account.loading) account.month_tokens = 0;
    }
    return {month, begin_of(month), first ? begin_of(month + 1) : now};
}

void Quota::finish_load(const Load& load, const std::vector<TokensUsed>& used) {
    std::unordered_map<std::string, uint64_t> sums;
    for (const TokensUsed& one : used) {
        sums[one.user_id.text] += one.tokens;
        if (!one.key_id.empty()) sums[one.key_id.text] += one.tokens;
    }
    for (auto& [id, account] : accounts_) {
        if (!account.loading || account.month != load.month) continue;
        if (const auto sum = sums.find(id); sum != sums.end()) account.month_tokens += sum->second;
        account.loading = false;
        set_known(account, true);
    }
}

}  // namespace gantry::gateway
