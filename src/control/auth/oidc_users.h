#pragma once
// Which user of ours a person is whom a provider vouches for; made at the first login. Blocks on the disk. Threads: any.

#include "base/clock.h"
#include "base/ids.h"
#include "control/auth/id_token.h"
#include "store/store.h"

namespace gantry::control {

struct OidcUser {
    User user;
    bool created = false;
};
// kPermissionDenied: not among those who may, or disabled. kConflict: the name is another user's, who is never taken over.
Result<OidcUser> user_of(const Person& person, const OidcOptions& options, store::Store& store, const Clock& clock, RandomSource& random);

}  // namespace gantry::control
