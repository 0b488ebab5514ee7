#pragma once
// A machine that has a token becomes a worker; one that is a worker gets a new certificate before the old one ends.
// Threads: any that may block on the disk.

#include "control/cluster/alarms.h"
#include "control/cluster/authority.h"
#include "control/publish.h"
#include "protocol/worker/join.h"

namespace gantry::control {

class Joining {
public:
    Joining(store::Store& store, Publisher& publisher, const Authority& authority, Alarms& alarms, const Clock& clock, RandomSource& random)
        : store_(store), publisher_(publisher), authority_(authority), alarms_(alarms), clock_(clock), random_(random) {}

    // kUnauthenticated: no token of ours; kPermissionDenied: used up, expired, revoked; kConflict: the name is taken, or its gantry too
    // old or too new; kInvalidArgument: the certificate request. Repeated with the same token and key it gives the same worker.
    Result<protocol::JoinAnswer> join(const protocol::JoinRequest& request, const std::string& peer);
    // For a member (sessions.h): of whatever key the request has.
    Result<protocol::JoinAnswer> renew(const WorkerId& worker, const protocol::RenewRequest& request);

private:
    Result<protocol::JoinAnswer> answer(const WorkerId& worker, const std::string& certificate_request) const;

    store::Store& store_;
    Publisher& publisher_;
    const Authority& authority_;
    Alarms& alarms_;
    const Clock& clock_;
    RandomSource& random_;
};

// kUnauthenticated, with one text for every cause: no token of ours. Whether it is still good is another question.
Status check_join_token(store::Store& store, const std::string& id, const std::string& secret);

// A new token: its text is shown once, its row is kept.
struct NewJoinToken {
    std::string text;
    JoinToken row;
};
NewJoinToken make_join_token(const Authority& authority, RandomSource& random);

}  // namespace gantry::control
