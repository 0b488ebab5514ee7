#pragma once
// One line of the audit log: who changed what, from where.

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"

namespace gantry {

// A field of the object, before and after. Both nullopt: it is one whose value is never shown (a password, a variable of an
// engine's environment); else nullopt: it was not there.
struct AuditChange {
    std::string field;                  // "replicas", "options.threads"
    std::optional<std::string> from;    // text as it is, all else as JSON
    std::optional<std::string> to;
    bool operator==(const AuditChange&) const = default;
};

struct AuditEvent {
    AuditEventId id{};
    WallTime at{};
    UserId actor_id{};                  // empty: nobody known, a login that failed
    std::string actor_name{};           // as it was then; of a failed login the name that was tried
    std::string via{};                  // the key's id, "session", "admin socket", "password" (a login), "command line"
    std::string peer{};                 // address; "unix"
    std::string method{};               // of the request; empty: none, the server did it by itself
    std::string action{};               // create, update, delete, restart, login, logout, sleep, wake
    std::string object_kind{};          // deployment, user, key, session, ...
    std::string object_id{};
    std::string object_name{};
    std::vector<AuditChange> changes{};
    std::string request_id{};
    int status = 0;                     // of the answer
};

}  // namespace gantry
