#include "control/auth/oidc_users.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "protocol/management/objects.h"

namespace gantry::control {
namespace {

Role role_of(const Person& person, const OidcOptions& options) {
    const auto& groups = person.groups;
    const bool admin = !options.admin_group.empty() && std::find(groups.begin(), groups.end(), options.admin_group) != groups.end();
    return admin ? Role::kAdmin : Role::kUser;
}

// The role follows the provider's group where one is named. The last admin stays one: somebody must be.
Status keep_role(User& user, const Person& person, const OidcOptions& options, store::Store& store, const Clock& clock) {
    const Role role = role_of(person, options);
    if (options.admin_group.empty() || user.role == role) return Ok{};
    const Role before = std::exchange(user.role, role);
    const int64_t seen = user.version++;
    user.updated_at = clock.wall();
    Status changed = store.update_user(user, seen);
    if (changed) {
        log::info("oidc: {} is {} now, as the provider's groups say", user.name, role == Role::kAdmin ? "an admin" : "no admin");
        return Ok{};
    }
    user.role = before;
    user.version = seen;
    if (changed.error().reason != "last_admin") return changed;
    log::warn("oidc: {} is in the group \"{}\" no longer, but stays an admin: there is no other", user.name, log::escape(options.admin_group, 64));
    return Ok{};
}

Result<OidcUser> admitted(User known, const Person& person, const OidcOptions& options, store::Store& store, const Clock& clock) {
    if (known.disabled) {
        return Error{ErrorCode::kPermissionDenied, "your user is disabled here: ask the administrator", {}, "user_disabled"};
    }
    GANTRY_TRY(keep_role(known, person, options, store, clock));
    return OidcUser{std::move(known), false};
}

Result<OidcUser> create(const Person& person, const OidcOptions& options, store::Store& store, const Clock& clock, RandomSource& random) {
    if (!options.new_users) {
        return Error{ErrorCode::kPermissionDenied, "no new users are made by logging in here: ask the administrator", {}, "oidc_not_allowed"};
    }
    if (!protocol::management::valid_user_name(person.name)) {
        return Error{ErrorCode::kPermissionDenied,
                     fmt::format("the provider calls you \"{}\", which can't be a user's name here (1 to 64 of letters, digits and . _ @ -): "
                                 "the administrator can have names made of another claim with --oidc-name-claim",
                                 log::escape(person.name, 64)),
                     {}, "oidc_name_invalid"};
    }
    OidcUser made;
    made.created = true;
    User& user = made.user;
    user.id = new_id<UserId>(random, "usr");
    user.name = person.name;
    user.role = role_of(person, options);
    user.created_at = user.updated_at = clock.wall();
    Status created = store.create_user(user, person.identity);
    if (created) return made;
    // Somebody may log in twice at the same time.
    if (auto meanwhile = store.user_by_identity(person.identity)) return admitted(*std::move(meanwhile), person, options, store, clock);
    if (created.error().param == "name") {
        return Error{ErrorCode::kConflict,
                     fmt::format("there is another user named \"{}\" here, and it is not you: ask the administrator to rename that one", user.name),
                     {}, "oidc_name_taken"};
    }
    return created.error();
}

}  // namespace

Result<OidcUser> user_of(const Person& person, const OidcOptions& options, store::Store& store, const Clock& clock, RandomSource& random) {
    GANTRY_TRY(check_allowed(person, options));
    auto known = store.user_by_identity(person.identity);
    if (!known && known.error().code == ErrorCode::kNotFound) return create(person, options, store, clock, random);
    if (!known) return std::move(known).error();
    return admitted(*std::move(known), person, options, store, clock);
}

}  // namespace gantry::control
