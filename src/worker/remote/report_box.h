#pragma once
// Between a worker's thread, which never waits for the network, and the link to its server: the newest report on its way out, the
// newest assignment on its way in. Whatever came between two sends is replaced, not queued.
// Threads: exchange() from the worker's, the rest from any.

#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "protocol/worker/codec.h"
#include "protocol/worker/messages.h"

namespace gantry::worker {

class ReportBox final : public protocol::ServerLink {
public:
    static constexpr std::chrono::milliseconds kReportEvery{1'000};      // unless the server says otherwise
    static constexpr std::chrono::milliseconds kReportEveryMax{5'000};   // whatever it says

    // `incarnation`: random, of this process. `reported`: more than figures changed, which should be sent at once; called on the
    // worker's thread, must not wait.
    ReportBox(std::string incarnation, std::string machine_id, std::function<void()> reported);

    // ServerLink: keeps the report, gives the assignment as it is known; unknown until the server answered for the first time.
    protocol::Assignment exchange(const protocol::WorkerReport& report) override;

    // What to send now; nullopt: the worker has not reported yet.
    std::optional<protocol::ExchangeRequest> next();
    // The answer to the last next(). True: there is another assignment, for which the worker should be poked.
    bool take(protocol::ExchangeAnswer answer);
    // Nothing came of it: the server may have forgotten, or be another process now. The next one is whole.
    void forget_sent();

    // How often figures alone should be sent.
    std::chrono::milliseconds report_every() const;

    // Where the engine of an instance listens, by the worker's own word; "": it runs no such one, or not yet.
    Endpoint endpoint_of(const std::string& instance) const;

private:
    const std::string incarnation_;
    const std::string machine_id_;
    const std::function<void()> reported_;
    mutable std::mutex mutex_;            // protects what follows
    std::optional<protocol::WorkerReport> report_;
    std::string given_ = "none";          // revision of what exchange() gave last
    std::optional<protocol::Assignment> assignment_;
    int64_t epoch_ = 0;
    std::chrono::milliseconds report_every_ = kReportEvery;
    std::string sent_hash_;               // of the request on its way
    std::string known_hash_;              // of the report that the server has; "": none
};

}  // namespace gantry::worker
