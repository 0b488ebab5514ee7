#pragma once
// The requests being answered now, for a person to look at and to cancel. An entry is a node of a list and lives in the frame of
// the coroutine that answers; what is shown is put together only when somebody asks.
// Threads: the io thread.

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "domain/request.h"
#include "http/http.h"

namespace gantry::gateway {

class LiveRequests {
public:
    class Entry {
    public:
        // `exchange` outlives it, is behind authentication, and so has a principal.
        Entry(LiveRequests& all, const http::Exchange& exchange, SteadyTime begun, const char* operation);
        ~Entry();
        Entry(const Entry&) = delete;
        Entry& operator=(const Entry&) = delete;

        // What was asked for, once it is known.
        void set_asked(const std::string& model, bool stream, size_t body_bytes);
        // An attempt at an instance begins; cancelling the request cancels `stop`.
        void set_attempt(const InstanceId& instance, const http::Canceller& stop);
        // It waits for something else than an engine; cancelling the request calls `stop`. Empty: no longer.
        void set_held(std::function<void()> stop) { held_ = std::move(stop); }
        void set_tokens(uint32_t completion) { completion_tokens_ = completion; }
        void set_prompt_tokens(uint32_t prompt) { prompt_tokens_ = prompt; }
        // Why it must end, once somebody cancelled it; else null.
        const Error* cancelled() const { return cancelled_ ? &*cancelled_ : nullptr; }

    private:
        friend class LiveRequests;
        LiveRequests& all_;
        Entry* before_ = nullptr;
        Entry* behind_ = nullptr;
        const uint64_t number_;              // in the order of their beginning
        const http::Exchange& exchange_;
        const SteadyTime begun_;
        const char* const operation_;
        std::string model_;
        InstanceId instance_;
        bool stream_ = false;
        size_t body_bytes_ = 0;
        uint32_t completion_tokens_ = 0;
        std::optional<uint32_t> prompt_tokens_;
        std::function<void()> held_;
        std::optional<http::Canceller> stop_;
        std::optional<Error> cancelled_;
    };

    LiveRequests() = default;
    LiveRequests(const LiveRequests&) = delete;
    LiveRequests& operator=(const LiveRequests&) = delete;

    struct Filter {
        UserId user;                 // empty: of all
        std::string model;           // empty: of all
        uint64_t beyond = 0;         // only those behind this number, in the order asked for; 0: from the start
        uint32_t limit = 50;
        bool newest_first = false;
    };
    struct Page {
        std::vector<LiveRequest> items;
        uint64_t next = 0;           // `beyond` of the next page; 0: that was all
    };
    Page list(const Filter& filter, SteadyTime now) const;
    // Those that requests are being answered by.
    std::set<InstanceId> instances_in_use() const;
    // Ends the request with `why` as its error. `user`: whose it must be; empty: anybody's. nullopt: there is none such.
    std::optional<LiveRequest> cancel(const std::string& request_id, const UserId& user, Error why, SteadyTime now);

private:
    static LiveRequest shown(const Entry& entry, SteadyTime now);

    Entry* oldest_ = nullptr;
    Entry* newest_ = nullptr;
    uint64_t begun_ = 0;             // so many, ever
};

}  // namespace gantry::gateway
