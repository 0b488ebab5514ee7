#include "control/auth/first_admin.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

#include "base/log.h"
#include "control/auth/passwords.h"
#include "control/control.h"
#include "protocol/management/objects.h"

namespace gantry::control {
namespace {

constexpr char kFirstAdminSetting[] = "first_admin_id";
constexpr char kObsoleteSetting[] = "initial_password_obsolete";

std::string file_in(const std::string& data_dir) { return data_dir + "/" + kInitialPasswordFile; }

Status write_all(int fd, const std::string& text) {
    size_t done = 0;
    while (done < text.size()) {
        const ssize_t wrote = ::write(fd, text.data() + done, text.size() - done);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) return error_from_errno("the initial password can't be written", errno);
        done += static_cast<size_t>(wrote);
    }
    if (::fsync(fd) != 0) return error_from_errno("the initial password can't be written", errno);
    return Ok{};
}

Status write_password_file(const std::string& data_dir, const std::string& password) {
    const std::string path = file_in(data_dir);
    const std::string part = path + ".part";
    ::unlink(part.c_str());
    const int fd = ::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return error_from_errno("the initial password can't be written", errno);
    Status written = write_all(fd, password + "\n");
    ::close(fd);
    if (!written) return written;
    if (::rename(part.c_str(), path.c_str()) != 0) {
        return error_from_errno("the initial password can't be written", errno);
    }
    const int folder = ::open(data_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0) {
        ::fsync(folder);
        ::close(folder);
    }
    return Ok{};
}

void remove_file(const std::string& data_dir) {
    if (::unlink(file_in(data_dir).c_str()) != 0 && errno != ENOENT) {
        log::warn("the initial password's file can't be removed; remove {} by hand", kInitialPasswordFile);
    }
}

// A crash between changing the password and removing the file leaves one behind that nobody needs.
Status remove_obsolete_file(store::Store& store, const std::string& data_dir) {
    if (::access(file_in(data_dir).c_str(), F_OK) != 0) return Ok{};
    const auto obsolete = store.setting(kObsoleteSetting);
    if (!obsolete) return obsolete.error();
    const auto admin = store.setting(kFirstAdminSetting);
    if (!admin) return admin.error();
    bool stays = !obsolete->has_value() && admin->has_value();
    if (stays) {
        const auto user = store.user(UserId(**admin));
        stays = user.ok() && user->must_change_password;
    }
    if (!stays) remove_file(data_dir);
    return Ok{};
}

}  // namespace

Status ensure_first_admin(store::Store& store, const std::string& data_dir, const std::string& bootstrap_password,
                          const Clock& clock, RandomSource& random) {
    const auto users = store.users({.cursor = {}, .limit = 1, .name_contains = {}, .descending = false});
    if (!users) return users.error();
    if (!users->items.empty()) return remove_obsolete_file(store, data_dir);
    const bool given = !bootstrap_password.empty();
    if (given && bootstrap_password.size() < protocol::management::kPasswordCharsMin) {
        return invalid_argument(fmt::format("the bootstrap password must have at least {} characters",
                                            protocol::management::kPasswordCharsMin));
    }
    const std::string password = given ? bootstrap_password : random.token(kRandomPasswordLength);
    auto hash = hash_password(password);
    if (!hash) return hash.error();
    if (!given) GANTRY_TRY(write_password_file(data_dir, password));
    User admin;
    admin.id = new_id<UserId>(random, "usr");
    admin.name = "admin";
    admin.role = Role::kAdmin;
    admin.password_hash = *std::move(hash);
    admin.must_change_password = !given;
    admin.created_at = admin.updated_at = clock.wall();
    // The setting first: without the user it says nothing, and the user without it would leave the file for ever.
    GANTRY_TRY(store.set_setting(kFirstAdminSetting, admin.id.text));
    GANTRY_TRY(store.create_user(admin));
    if (given) log::info("the first admin is \"admin\", with the bootstrap password");
    else log::info("the first admin is \"admin\"; the password is in {} in the data folder", kInitialPasswordFile);
    return Ok{};
}

void forget_initial_password(store::Store& store, const std::string& data_dir, const UserId& user) {
    const auto admin = store.setting(kFirstAdminSetting);
    if (admin && admin->has_value() && **admin == user.text) remove_file(data_dir);
}

Result<std::string> reset_password(store::Store& store, const std::string& user_name, const Clock& clock,
                                   RandomSource& random) {
    auto user = store.user_by_name(user_name);
    if (!user) return user.error();
    const std::string password = random.token(kRandomPasswordLength);
    auto hash = hash_password(password);
    if (!hash) return hash.error();
    const auto admin = store.setting(kFirstAdminSetting);
    if (admin && admin->has_value() && **admin == user->id.text) {
        GANTRY_TRY(store.set_setting(kObsoleteSetting, "1"));  // the next start removes the file
    }
    const int64_t seen = user->version;
    user->password_hash = *std::move(hash);
    user->must_change_password = true;
    user->updated_at = clock.wall();
    ++user->version;
    GANTRY_TRY(store.update_user(*user, seen));
    GANTRY_TRY(store.delete_sessions_of(user->id));
    AuditEvent event;
    event.id = new_id<AuditEventId>(random, "aud");
    event.at = clock.wall();
    event.via = "command line";
    event.action = "update";
    event.object_kind = "user";
    event.object_id = user->id.text;
    event.object_name = user->name;
    event.changes = {{"password", std::nullopt, std::nullopt}};
    GANTRY_TRY(store.add_audit(event));
    return password;
}

}  // namespace gantry::control
