#pragma once
// The server's side of the links of workers elsewhere: which process speaks for each, what it reported last, whether two do.
//
// A process is an incarnation (random at its start). While one speaks for a worker, by reports and with its stream of events open,
// another with the same certificate is a clone and is refused. A restarted process is none: with the old one its stream ended.
// Threads: any that may block on the disk.

#include <map>
#include <mutex>
#include <set>
#include <string>

#include "control/cluster/alarms.h"
#include "control/heartbeat.h"
#include "control/publish.h"
#include "protocol/worker/codec.h"

namespace gantry::control {

class Sessions {
public:
    // So many reports a second at most are asked for, of all workers together; each once a second, where they are fewer.
    static constexpr int64_t kReportsPerSecond = 100;

    Sessions(store::Store& store, Publisher& publisher, Heartbeat& heartbeat, Alarms& alarms, const Clock& clock)
        : store_(store), publisher_(publisher), heartbeat_(heartbeat), alarms_(alarms), clock_(clock) {}

    struct Caller {
        WorkerId worker;        // by its certificate
        std::string peer;       // address
    };
    // Takes the report and gives what the worker should run. kPermissionDenied, reason "worker_removed": it has no membership;
    // reason "foreign_instance": it reports another worker's. kConflict, reason "worker_cloned": another process speaks for it.
    // kInvalidArgument: the report is another worker's. kConflict, reasons "worker_too_old" and "worker_too_new": protocol/worker/versions.h.
    Result<protocol::ExchangeAnswer> exchange(const Caller& caller, protocol::ExchangeRequest request);

    // A stream of events of this incarnation opened or ended; the errors of exchange(). In pairs, the second only after an ok.
    Status opened(const Caller& caller, const std::string& incarnation);
    void closed(const WorkerId& worker, const std::string& incarnation);

    bool is_member(const WorkerId& worker) const { return member(worker).has_value(); }
    // Its events and connections of data are taken, too: it is a member, and its version was not refused last.
    bool may_link(const WorkerId& worker);

private:
    struct Session {
        std::string incarnation{};
        size_t streams = 0;             // of events, open
        SteadyTime heard_at{};
        std::string hash{};             // of `report`
        protocol::WorkerReport report{};  // the last whole one, as it came
        bool has_report = false;
    };
    std::optional<Membership> member(const WorkerId& worker) const;
    Result<Membership> check_member(const Caller& caller) const;
    Status check_version(const Caller& caller, int64_t link_version);
    // The caller speaks for the worker from here on; kConflict where another does.
    Status take_over(const Caller& caller, const std::string& incarnation);
    Status check_report(const Caller& caller, const protocol::WorkerReport& report);
    Status note_place(const Caller& caller, const Membership& membership, const std::string& machine_id);
    std::string name_of(const WorkerId& worker) const;

    store::Store& store_;
    Publisher& publisher_;
    Heartbeat& heartbeat_;
    Alarms& alarms_;
    const Clock& clock_;
    std::mutex mutex_;                  // protects what follows
    std::map<WorkerId, Session> sessions_;
    std::set<WorkerId> refused_;        // members whose version does not go with ours, by their last report
};

// How an instance of a worker elsewhere is reached: "worker:<worker id>/<instance id>"; what the worker's report says of that is
// between it and its engines.
Endpoint remote_endpoint(const WorkerId& worker, const std::string& instance);

}  // namespace gantry::control
