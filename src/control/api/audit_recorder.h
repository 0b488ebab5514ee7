#pragma once
// The one place where changes enter the audit log: around every handler that is no GET. It reads the object before, compares it
// with the answer after, and writes who changed what. The record is in the transaction of the change (one_change.h), except at
// logins and logouts. Where it alone can't be written the change stands; that is logged and counted.
//
// Recorded: each success that changed something, logins (failed ones, too: 60 a minute at most), logouts of a session.
// Blocks on the disk.

#include <optional>
#include <string>

#include "control/api/api.h"
#include "domain/audit.h"

namespace gantry::control {

class AuditRecorder {
public:
    AuditRecorder(ApiContext& api, const ApiRoute& route, const Call& call);
    void record(const Result<Answer>& answer);
    static bool changes(const ApiRoute& route);        // no GET, and nothing that only tries

private:
    bool describe(const Answer& answer);               // false: nothing changed
    bool describe_login(const Result<Answer>& answer);
    void take_object(const json::object& object);

    ApiContext& api_;
    const Call& call_;
    const bool changes_;
    AuditEvent event_;
    std::optional<json::object> before_;
};

}  // namespace gantry::control
