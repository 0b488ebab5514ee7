#pragma once
// Holds requests to the limits of their keys and users: the answers, the x-ratelimit-* fields, and loading what budgets have
// used so far. Internal to the gateway. Threads: the io thread.

#include <functional>
#include <optional>
#include <string>

#include "gateway/answers.h"
#include "gateway/gateway.h"
#include "gateway/quota.h"

namespace gantry::gateway {

class Limiter {
public:
    Limiter(http::asio::io_context& io, const Tables& tables, const Clock& clock, TokensUsedIn tokens_used);

    // Loads what the budgets in the tables have used: before the first request, so that none has to wait for it.
    void start();
    // Either takes a place and lets the request pass (nullopt), or says why not; of kUnknown it may say something else after wait().
    // REQUIRES: principal(exchange).limited()
    std::optional<Quota::Refusal> admit(http::Exchange& exchange, Quota::Lease& lease);
    http::Task<void> wait();
    // What the client is told: 429, or 503 while a budget can't be looked up.
    Refusal refuse(http::Exchange& exchange, const Quota::Refusal& refusal);
    // The fields that tell the limits go out with the answer. Nothing without an allowance.
    void show(http::Exchange& exchange);
    // 403 where the key or its user may not use this model, whether it exists or not.
    Status check_model(const Principal& who, const std::string& model);

private:
    http::Task<void> load();
    void load_if_needed();

    http::asio::io_context& io_;
    const Tables& tables_;
    const TokensUsedIn tokens_used_;
    Quota quota_;
    http::Signal loaded_;
    bool loading_ = false;
    bool first_ = false;
};

// "120ms", "1s", "6m0s", "1h0m5s": how OpenAI writes when a limit is at rest again. Rounded up.
std::string reset_text(Duration duration);

}  // namespace gantry::gateway
