#include "gateway/limiter.h"

#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "base/log.h"
#include "base/metrics.h"

namespace gantry::gateway {
namespace {

using http::Exchange;
using http::Task;
using std::chrono::milliseconds;

constexpr milliseconds kLoadPatience{5'000};   // a request waits so long for the state of its budget
constexpr milliseconds kLoadRetry{1'000};

const char* to_string(Quota::Reason reason) {
    switch (reason) {
        case Quota::Reason::kRequests: return "requests";
        case Quota::Reason::kTokens: return "tokens";
        case Quota::Reason::kConcurrent: return "concurrent";
        case Quota::Reason::kBudget: return "budget";
        case Quota::Reason::kUnknown: return "budget_unknown";
    }
    return "";
}

void count(const char* reason) {
    metrics::counter("gantry_gateway_limited_total", "Inference requests refused by a limit of their key or user, by reason.",
                     {{"reason", reason}})
        .Increment();
}

struct WindowFields {
    std::string_view limit, remaining, reset;
};
constexpr WindowFields kOfRequests = {"x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"};
constexpr WindowFields kOfTokens = {"x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"};

void set_window(http::Headers& headers, const WindowFields& of, const std::optional<Quota::Window>& window) {
    if (!window) return;
    headers.add(of.limit, std::to_string(window->limit));
    headers.add(of.remaining, std::to_string(window->left));
    headers.add(of.reset, reset_text(window->until_full));
}

}  // namespace

std::string reset_text(Duration duration) {
    const int64_t ms = std::max<int64_t>(0, std::chrono::ceil<milliseconds>(duration).count());
    if (ms == 0) return "0s";
    if (ms < 1000) return std::to_string(ms) + "ms";
    const int64_t s = (ms + 999) / 1000;
    if (s < 60) return std::to_string(s) + "s";
    if (s < 3600) return fmt::format("{}m{}s", s / 60, s % 60);
    return fmt::format("{}h{}m{}s", s / 3600, s / 60 % 60, s % 60);
}

Limiter::Limiter(http::asio::io_context& io, const Tables& tables, const Clock& clock, TokensUsedIn tokens_used)
    : io_(io), tables_(tables), tokens_used_(std::move(tokens_used)), quota_(clock), loaded_(io) {}

void Limiter::start() {
    const auto auth = tables_.auth();
    for (const auto& [public_id, key] : auth->keys) quota_.expect(key.id.text, key.limits);
    for (const auto& [id, user] : auth->users) quota_.expect(id.text, user.limits);
    first_ = true;
    load_if_needed();
}

void Limiter::load_if_needed() {
    if (loading_ || !quota_.must_load()) return;
    loading_ = true;
    http::asio::co_spawn(io_, load(), http::asio::detached);
}

Task<void> Limiter::load() {
    bool failed = false;
    while (quota_.must_load()) {
        const Quota::Load load = quota_.begin_load(std::exchange(first_, false));
        Result<std::vector<TokensUsed>> used = std::vector<TokensUsed>();
        if (tokens_used_) used = co_await tokens_used_(load.from, load.before);
        if (used) {
            quota_.finish_load(load, *used);
            loaded_.notify();
            continue;
        }
        if (!failed) {
            log::error("what budgets have used this month can't be read: {}; their keys are refused until it can", used.error().message);
        }
        failed = true;
        co_await http::sleep_for(kLoadRetry);
    }
    if (failed) log::info("what budgets have used this month could be read");
    loading_ = false;
}

std::optional<Quota::Refusal> Limiter::admit(Exchange& exchange, Quota::Lease& lease) {
    return quota_.admit(principal(exchange), exchange.request().body.size(), lease);
}

Task<void> Limiter::wait() {
    load_if_needed();
    if (quota_.must_load()) co_await loaded_.wait(kLoadPatience);   // it may have ended on the spot
}

Refusal Limiter::refuse(Exchange& exchange, const Quota::Refusal& refusal) {
    count(to_string(refusal.reason));
    const auto ms = std::chrono::ceil<milliseconds>(refusal.wait).count();
    const int seconds = static_cast<int>((ms + 999) / 1000);
    if (refusal.reason == Quota::Reason::kUnknown) return Refusal(unavailable(refusal.message, "budget_unknown"), seconds);
    const bool spent = refusal.reason == Quota::Reason::kBudget;
    if (spent) {
        exchange.answer_headers.set("x-should-retry", "false");
    } else {
        exchange.answer_headers.set("retry-after-ms", std::to_string(ms));
    }
    return Refusal(Error{ErrorCode::kRateLimited, refusal.message, {}, spent ? "insufficient_quota" : "rate_limit_exceeded"}, seconds);
}

void Limiter::show(Exchange& exchange) {
    const Principal& who = principal(exchange);
    if (who.allowance == nullptr) return;
    const Quota::Windows windows = quota_.windows(who);
    set_window(exchange.answer_headers, kOfRequests, windows.requests);
    set_window(exchange.answer_headers, kOfTokens, windows.tokens);
}

Status Limiter::check_model(const Principal& who, const std::string& model) {
    if (who.may_use(model)) return Ok{};
    count("model");
    return Error{ErrorCode::kPermissionDenied,
                 fmt::format("This key may not use the model '{}'. GET /v1/models lists those that it may.", log::escape(model, 128)),
                 "model", "model_not_allowed"};
}

}  // namespace gantry::gateway
