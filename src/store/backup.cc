// Backup and restore. A backup is one file: the control database (VACUUM INTO: a consistent copy while in use) with the tables
// of usage and the few files beside the databases copied into it. It appears under its name only once it is whole and on disk.

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "base/log.h"
#include "base/platform/files.h"
#include "store/data_folder.h"
#include "store/migrations.h"
#include "store/sqlite_store.h"

namespace gantry::store {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kFirstUsageVersionWithHours = 2;
constexpr const char* kSuffixes[] = {"", "-wal", "-shm"};
// Without them the workers that joined would not know the server again.
constexpr const char* kFiles[] = {"cluster/authority.key", "cluster/authority.pem"};

Status done(const Result<int64_t>& result) {
    if (!result) return result.error();
    return Ok{};
}

void remove_database(const std::string& path) {
    std::error_code ignored;
    for (const char* suffix : kSuffixes) fs::remove(path + suffix, ignored);
}

Status rename_file(const std::string& from, const std::string& to) {
    std::error_code failure;
    fs::rename(from, to, failure);
    if (failure) return error_from_errno("renaming " + fs::path(from).filename().string(), failure.value());
    return Ok{};
}

Result<std::unique_ptr<Connection>> open_copy(const std::string& path) { return Connection::open(path, {}); }

// Leaves one file without a WAL beside it, on disk.
Status finish_copy(std::unique_ptr<Connection> db, const std::string& path) {
    GANTRY_TRY(db->checkpoint(true));
    GANTRY_TRY(db->script("PRAGMA journal_mode = DELETE"));
    db.reset();
    return sync_file(path);
}

// Both tables as of one moment: an hour that holds more than its records would count those again when they come again.
Status copy_tables(Connection& to, int64_t version) {
    Transaction transaction(to);
    GANTRY_TRY(transaction.begin_read());   // writing begins with the first row; `source` is never locked for others' writes
    GANTRY_TRY(done(to.run("INSERT INTO usage_records SELECT * FROM source.usage_records")));
    if (version >= kFirstUsageVersionWithHours) {
        GANTRY_TRY(done(to.run("INSERT INTO usage_hours SELECT * FROM source.usage_hours")));
    }
    return transaction.commit();
}

// The usage rows of `from` (a usage.db, or a backup) of this version into the empty tables of `to`.
Status copy_usage(Connection& to, const std::string& from, int64_t version) {
    GANTRY_TRY(done(to.run("ATTACH ? AS source", from)));
    Status copied = copy_tables(to, version);
    GANTRY_TRY(to.script("DETACH source"));
    return copied;
}

// The tables of usage.db inside the copy, whose own user_version and application_id stay those of the control database.
Status add_usage_to_copy(Connection& copy, const std::string& usage_path) {
    auto version = stored_version(copy);
    if (!version) return std::move(version).error();
    for (const Migration& migration : usage_migrations()) GANTRY_TRY(copy.script(migration.sql));
    GANTRY_TRY(copy.script(fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {};"
                                       "CREATE TABLE backup_info (usage_version INTEGER NOT NULL) STRICT",
                                       kControlApplicationId, *version)));
    GANTRY_TRY(done(copy.run("INSERT INTO backup_info VALUES (?)", usage_migrations().back().version)));
    return copy_usage(copy, usage_path, usage_migrations().back().version);
}

Status add_files_to_copy(Connection& copy, const DataFolder& folder) {
    GANTRY_TRY(copy.script("CREATE TABLE backup_files (name TEXT NOT NULL PRIMARY KEY, content TEXT NOT NULL) STRICT"));
    for (const char* name : kFiles) {
        const auto content = platform::read_file(folder.file(name));
        if (!content && content.error().code == ErrorCode::kNotFound) continue;
        if (!content) return content.error();
        GANTRY_TRY(done(copy.run("INSERT INTO backup_files VALUES (?, ?)", name, *content)));
    }
    return Ok{};
}

Status write_backup(Database& control, const std::string& usage_path, const DataFolder& folder, const std::string& to) {
    remove_database(to);
    GANTRY_TRY(create_private(to));
    GANTRY_TRY(control.copy_into(to));
    auto copy = open_copy(to);
    if (!copy) return std::move(copy).error();
    GANTRY_TRY(add_usage_to_copy(**copy, usage_path));
    GANTRY_TRY(add_files_to_copy(**copy, folder));
    return finish_copy(std::move(*copy), to);
}

Error no_backup(const std::string& why) {
    return invalid_argument(fmt::format("this file can't be restored: {}. Nothing was changed.", why), "backup");
}

Result<int64_t> number(Connection& db, const char* sql) {
    Statement statement = db.query(sql);
    auto row = statement.step();
    if (!row) return std::move(row).error();
    return *row ? statement.integer(0) : 0;
}

// Reads every page once, so that a backup that is not whole is refused before anything is touched.
Status check_backup(Connection& db) {
    auto application = number(db, "PRAGMA application_id");
    if (!application || *application != kControlApplicationId) return no_backup("it is no backup of gantry's");
    if (!check_integrity(db)) return no_backup("it is damaged");
    auto version = number(db, "PRAGMA user_version");
    if (!version) return std::move(version).error();
    if (*version > schema_version()) {
        return no_backup(fmt::format("it has schema version {}, and this gantry knows versions up to {}: use a newer gantry",
                                     *version, schema_version()));
    }
    auto usage_version = number(db, "SELECT usage_version FROM backup_info");
    if (!usage_version) return no_backup("it was not made by `gantry backup`");
    if (*usage_version > usage_migrations().back().version) return no_backup("its usage table is of a newer gantry");
    return Ok{};
}

// usage.db of the usage version the backup has; the next start migrates it, as it does the control database.
Status split_usage(Connection& control, const std::string& backup, const std::string& usage_path) {
    auto version = number(control, "SELECT usage_version FROM backup_info");
    if (!version) return std::move(version).error();
    std::vector<Migration> migrations = usage_migrations();
    migrations.resize(static_cast<size_t>(*version));
    remove_database(usage_path);
    GANTRY_TRY(create_private(usage_path));
    auto usage = open_copy(usage_path);
    if (!usage) return std::move(usage).error();
    GANTRY_TRY(migrate(**usage, migrations));
    GANTRY_TRY(copy_usage(**usage, backup, *version));
    GANTRY_TRY(finish_copy(std::move(*usage), usage_path));
    return control.script("DROP TABLE usage_records; DROP TABLE IF EXISTS usage_hours; DROP TABLE backup_info");
}

struct BackedUpFile {
    std::string name, content;
};
// Takes them out of the copy; none in a backup of the time before there were any.
Result<std::vector<BackedUpFile>> take_files(Connection& control) {
    std::vector<BackedUpFile> files;
    auto has_them = number(control, "SELECT count(*) FROM sqlite_master WHERE name = 'backup_files'");
    if (!has_them) return std::move(has_them).error();
    if (*has_them == 0) return files;
    {
        Statement rows = control.query("SELECT name, content FROM backup_files");
        while (true) {
            auto row = rows.step();
            if (!row) return std::move(row).error();
            if (!*row) break;
            files.push_back({rows.text(0), rows.text(1)});
        }
    }
    // Their names become paths.
    for (const BackedUpFile& file : files) {
        if (std::find(std::begin(kFiles), std::end(kFiles), file.name) == std::end(kFiles)) {
            return no_backup("it holds a file that is none of gantry's");
        }
    }
    GANTRY_TRY(control.script("DROP TABLE backup_files"));
    return files;
}

// What is there already and differs is kept beside them. Before the databases: with files of a backup that is not in place yet the
// old databases still start.
Status put_files(const DataFolder& folder, const std::vector<BackedUpFile>& files) {
    for (const BackedUpFile& file : files) {
        const std::string path = folder.file(file.name);
        GANTRY_TRY(platform::make_folders(fs::path(path).parent_path().string(), 0700));
        const auto there = platform::read_file(path);
        if (there && *there == file.content) continue;
        if (there) {
            int number = 1;
            while (fs::exists(fmt::format("{}.replaced-{}", path, number))) ++number;
            GANTRY_TRY(platform::write_file_atomic(fmt::format("{}.replaced-{}", path, number), *there));
        }
        GANTRY_TRY(platform::write_file_atomic(path, file.content));
    }
    return Ok{};
}

// Both databases as fresh files beside those in use; the files that came with them.
Result<std::vector<BackedUpFile>> unpack(const std::string& backup, const std::string& control_path, const std::string& usage_path) {
    remove_database(control_path);
    GANTRY_TRY(create_private(control_path));
    std::error_code failure;
    fs::copy_file(backup, control_path, fs::copy_options::overwrite_existing, failure);
    if (failure) return error_from_errno("copying the backup", failure.value());
    fs::permissions(control_path, fs::perms::owner_read | fs::perms::owner_write, failure);
    if (failure) return error_from_errno("protecting the copy of the backup", failure.value());
    auto control = open_copy(control_path);
    if (!control) return no_backup("it is no database");
    GANTRY_TRY(check_backup(**control));
    GANTRY_TRY(split_usage(**control, backup, usage_path));
    auto files = take_files(**control);
    if (!files) return files;
    GANTRY_TRY(finish_copy(std::move(*control), control_path));
    return files;
}

// gantry.db leaves first and comes last: a folder in between refuses to start instead of starting with half.
Status swap_in(const DataFolder& folder, const std::string& control_path, const std::string& usage_path) {
    int number = 1;
    const auto kept = [&](const std::string& name) { return folder.file(fmt::format("{}.replaced-{}", name, number)); };
    while (fs::exists(kept("gantry.db")) || fs::exists(kept("usage.db"))) ++number;
    for (const char* database : {"gantry.db", "usage.db"}) {
        for (const char* suffix : kSuffixes) {
            const std::string path = folder.file(std::string(database) + suffix);
            // "gantry.db.replaced-1-wal" belongs to "gantry.db.replaced-1", so that what is kept can be opened.
            if (fs::exists(path)) GANTRY_TRY(rename_file(path, kept(database) + suffix));
        }
        GANTRY_TRY(sync_folder(folder.path()));
    }
    GANTRY_TRY(folder.initialized() ? Status(Ok{}) : create_private(folder.file("initialized")));
    GANTRY_TRY(rename_file(usage_path, folder.file("usage.db")));
    GANTRY_TRY(sync_folder(folder.path()));
    GANTRY_TRY(rename_file(control_path, folder.file("gantry.db")));
    return sync_folder(folder.path());
}

}  // namespace

Status SqliteStore::backup(const std::string& path) {
    std::error_code ignored;
    if (fs::exists(path, ignored)) {
        return conflict(fmt::format("{} exists already: choose another name for the backup.", path));
    }
    const std::string partial = path + ".partial";
    Status written = write_backup(*control_, usage_->path(), folder_, partial);
    if (written) written = rename_file(partial, path);
    if (!written) {
        remove_database(partial);
        return written;
    }
    const std::string folder = fs::absolute(path).parent_path().string();
    return sync_folder(folder);
}

Result<BackupFile> backup_into_folder(Store& store, const std::string& data_dir, WallTime now) {
    const fs::path folder = fs::path(data_dir) / "backups";
    std::error_code failure;
    if (fs::create_directory(folder, failure)) fs::permissions(folder, fs::perms::owner_all, failure);
    if (failure) return error_from_errno("making the folder of backups", failure.value());
    std::string name = to_rfc3339(now);
    std::erase_if(name, [](char c) { return c == '-' || c == ':'; });
    const std::string path = (folder / ("gantry-" + name + ".db")).string();
    GANTRY_TRY(store.backup(path));
    const uintmax_t bytes = fs::file_size(path, failure);
    return BackupFile{path, failure ? 0 : bytes, now};
}

Status restore(const std::string& backup, const std::string& data_dir) {
    std::error_code ignored;
    if (!fs::is_regular_file(backup, ignored)) return not_found(fmt::format("there is no backup {}.", backup));
    auto folder = DataFolder::lock(data_dir);
    if (!folder) return std::move(folder).error();
    const std::string control_path = folder->file("gantry.db.restoring");
    const std::string usage_path = folder->file("usage.db.restoring");
    const auto files = unpack(backup, control_path, usage_path);
    Status done_so_far = files ? put_files(*folder, *files) : Status(files.error());
    if (done_so_far) done_so_far = swap_in(*folder, control_path, usage_path);
    if (!done_so_far) {
        remove_database(control_path);
        remove_database(usage_path);
        if (!folder->stopped_uncleanly()) (void)folder->mark_clean();
        return done_so_far;
    }
    log::info("restored a backup; what was there is kept as *.replaced-N");
    return folder->mark_clean();
}

}  // namespace gantry::store
