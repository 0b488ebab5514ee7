#pragma once
// The first login of a new data folder: user "admin", its password in <data_dir>/initial_admin_password (mode 0600) until it
// is changed. Blocks on the disk.

#include <string>

#include "base/clock.h"
#include "base/ids.h"
#include "store/store.h"

namespace gantry::control {

inline constexpr char kInitialPasswordFile[] = "initial_admin_password";

// Makes the first admin where there are no users at all. The file is complete on disk before the user's row is committed: a
// crash between leaves a file without a user, and the next start writes both anew. `bootstrap_password`: that one, no file.
// Also removes a file whose password is no longer the admin's.
Status ensure_first_admin(store::Store& store, const std::string& data_dir, const std::string& bootstrap_password,
                          const Clock& clock, RandomSource& random);

// `user` has a new password: if it was the first admin, the file goes.
void forget_initial_password(store::Store& store, const std::string& data_dir, const UserId& user);

}  // namespace gantry::control
