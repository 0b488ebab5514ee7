// Starting on what the world left: other processes, locks, damage, missing files, older and newer schemas; kill -9.

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <random>
#include <set>
#include <thread>

#include "store/store_for_test.h"

namespace gantry::store {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

std::unique_ptr<Connection> raw(const std::string& path) {
    EXPECT_OK(create_private(path));
    auto db = Connection::open(path, {.busy_timeout = std::chrono::milliseconds(100)});
    EXPECT_TRUE(db.ok()) << (db.ok() ? "" : db.error().message);
    return std::move(*db);
}

void fill(const std::string& path, bool clean) {
    auto store = open_store(path);
    EXPECT_OK(store->create_user(a_user("root", Role::kAdmin)));
    for (int i = 0; i < 60; ++i) EXPECT_OK(store->create_deployment(a_deployment("d" + std::to_string(i), i)));
    EXPECT_OK(store->add_usage({a_usage("1")}));
    if (clean) EXPECT_OK(store->close());
}

std::string schema_of(Connection& db) {
    std::string text;
    Statement all = db.query("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name");
    while (*all.step()) text += all.text(0) + ";\n";
    return text;
}

TEST(Migrations, FromEveryEarlierSchemaToTheNewest) {
    TempDir fresh;
    EXPECT_OK(open_store(fresh.path())->close());
    struct File {
        const char* name;
        const std::vector<Migration>* migrations;
    };
    for (const File& file : {File{"gantry.db", &control_migrations()}, File{"usage.db", &usage_migrations()}}) {
        const std::string expected = schema_of(*raw(fresh.file(file.name)));
        EXPECT_THAT(expected, HasSubstr("CREATE TABLE"));
        for (size_t from = 0; from <= file.migrations->size(); ++from) {
            TempDir dir;
            std::vector<Migration> earlier(file.migrations->begin(), file.migrations->begin() + static_cast<long>(from));
            EXPECT_OK(migrate(*raw(dir.file(file.name)), earlier));
            EXPECT_OK(open_store(dir.path())->close());
            auto db = raw(dir.file(file.name));
            EXPECT_EQ(*stored_version(*db), file.migrations->back().version) << "from " << from;
            EXPECT_EQ(schema_of(*db), expected) << "from " << from;
        }
    }
    EXPECT_EQ(schema_version(), control_migrations().back().version);
}

TEST(Migrations, KeysAndUsersOfVersionOneStayAndMayDoAll) {
    TempDir dir;
    {
        auto db = raw(dir.file("gantry.db"));
        EXPECT_OK(migrate(*db, {control_migrations().front()}));
        EXPECT_OK(db->script("INSERT INTO users VALUES ('usr_a', 'ann', 'admin', 'hash', 1, 0, 3, 1000, 2000);"
                             "INSERT INTO keys VALUES ('key_a', 'usr_a', 'k', 'pub', 'digest', 5000, 1, 4, 3000)"));
    }
    auto store = open_store(dir.path());
    const auto user = store->user(UserId("usr_a"));
    ASSERT_TRUE(user.ok());
    EXPECT_EQ(user->name, "ann");
    EXPECT_EQ(user->version, 3);
    EXPECT_FALSE(user->limits.any());
    EXPECT_TRUE(user->models.empty());
    const auto key = store->key(ApiKeyId("key_a"));
    ASSERT_TRUE(key.ok());
    EXPECT_EQ(key->expires_at, from_unix_ms(5000));
    EXPECT_TRUE(key->disabled && key->scopes.all() && key->models.empty() && !key->limits.any());
    EXPECT_EQ(key->created_at, from_unix_ms(3000));
    EXPECT_OK(store->create_key(a_key("new", *user)));
}

TEST(Migrations, AuditEventsOfVersionThirteenKeepTheirOrder) {
    TempDir dir;
    {
        auto db = raw(dir.file("gantry.db"));
        const std::vector<Migration>& all = control_migrations();
        EXPECT_OK(migrate(*db, {all.begin(), all.begin() + 13}));
        for (const std::string id : {"aud_c", "aud_a", "aud_b"}) {
            EXPECT_OK(db->run("INSERT INTO audit_log VALUES (?, 7000, 'usr_a', 'ann', '', '::1', 'POST', 'create', 'key', 'k', 'k', '[]', 'r', 201)",
                              id));
        }
    }
    auto store = open_store(dir.path());
    AuditEvent e;
    e.id = AuditEventId("aud_0");
    e.at = from_unix_ms(7000);
    EXPECT_OK(store->add_audit(e));
    std::string order;
    const auto rows = store->audit({}, {});
    ASSERT_TRUE(rows.ok());
    for (const AuditEvent& row : rows->items) order += row.id.text + " ";
    EXPECT_EQ(order, "aud_c aud_a aud_b aud_0 ");
    EXPECT_EQ(rows->items[0].actor_name, "ann");
    EXPECT_EQ(rows->items[0].status, 201);
}

TEST(Migrations, AFailingOneLeavesTheVersionBefore) {
    TempDir dir;
    auto db = raw(dir.file("x.db"));
    const std::vector<Migration> bad = {{1, "good", "CREATE TABLE a (x INTEGER)"},
                                        {2, "bad", "CREATE TABLE b (x INTEGER); INSERT INTO a VALUES (1); CREATE TABLE a (y)"}};
    EXPECT_FALSE(migrate(*db, bad).ok());
    EXPECT_EQ(*stored_version(*db), 1);
    EXPECT_THAT(schema_of(*db), ::testing::Not(HasSubstr("TABLE b")));
    const std::vector<Migration> repaired = {bad[0], {2, "repaired", "CREATE TABLE b (x INTEGER)"}};
    EXPECT_OK(migrate(*db, repaired));
    EXPECT_EQ(*stored_version(*db), 2);
}

TEST(Recovery, NewerSchemaIsRefusedWithBothVersions) {
    for (const std::string name : {"gantry.db", "usage.db"}) {
        const int known = name == "gantry.db" ? schema_version() : usage_migrations().back().version;
        TempDir dir;
        fill(dir.path(), true);
        EXPECT_OK(raw(dir.file(name))->script("PRAGMA user_version = 4711"));
        const auto store = Store::open(dir.path());
        EXPECT_CODE(store, ErrorCode::kInternal);
        EXPECT_THAT(store.error().message, HasSubstr("4711"));
        EXPECT_THAT(store.error().message, HasSubstr("up to " + std::to_string(known)));
        EXPECT_THAT(store.error().message, HasSubstr(name));
        EXPECT_EQ(*stored_version(*raw(dir.file(name))), 4711);
    }
}

TEST(Recovery, SecondOpenerIsToldThePid) {
    TempDir dir;
    auto first = open_store(dir.path());
    const auto second = Store::open(dir.path());
    EXPECT_CODE(second, ErrorCode::kConflict);
    EXPECT_THAT(second.error().message, HasSubstr("pid " + std::to_string(::getpid())));
    EXPECT_OK(first->create_user(a_user("ann")));
    EXPECT_OK(first->close());
    first.reset();
    EXPECT_OK(open_store(dir.path())->user_by_name("ann"));
}

TEST(Recovery, TheLockIsNotInheritedByChildrenThatExec) {
    TempDir dir;
    auto store = open_store(dir.path());
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    if (child == 0) {   // an engine: it outlives its server
        ::dup2(ends[0], 0);
        ::close(ends[1]);
        ::execl("/bin/cat", "cat", nullptr);
        ::_exit(127);
    }
    ::close(ends[0]);
    // By the link of its executable: exec has happened once it differs from ours.
    const std::string link = "/proc/" + std::to_string(child) + "/exe";
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    std::error_code failure;
    while (fs::read_symlink(link, failure) == fs::read_symlink("/proc/self/exe") &&
           std::chrono::steady_clock::now() < deadline) {
        std::this_thread::yield();
    }
    EXPECT_OK(store->close());
    store.reset();
    EXPECT_NE(open_store(dir.path()), nullptr);
    ::close(ends[1]);
    ::waitpid(child, nullptr, 0);
}

TEST(Recovery, ClosedStoreRefusesCallsAndMarksTheStopClean) {
    TempDir dir;
    auto store = open_store(dir.path());
    EXPECT_OK(store->close());
    EXPECT_OK(store->close());
    EXPECT_CODE(store->create_user(a_user("ann")), ErrorCode::kUnavailable);
    EXPECT_CODE(store->users({}), ErrorCode::kUnavailable);
    store.reset();
    EXPECT_FALSE(DataFolder::lock(dir.path())->stopped_uncleanly());
    // That look itself was not closed cleanly.
    EXPECT_TRUE(DataFolder::lock(dir.path())->stopped_uncleanly());
}

TEST(Recovery, DatabasesAreForTheirOwnerOnly) {
    TempDir dir;
    auto store = open_store(dir.file("new/folder"));
    EXPECT_OK(store->create_user(a_user("ann")));
    EXPECT_OK(store->add_usage({a_usage("1")}));
    for (const auto& entry : fs::directory_iterator(dir.file("new/folder"))) {
        EXPECT_EQ(entry.status().permissions() & (fs::perms::group_all | fs::perms::others_all), fs::perms::none)
            << entry.path();
    }
    EXPECT_EQ(fs::status(dir.file("new/folder")).permissions(), fs::perms::owner_all);
}

TEST(Recovery, VanishedOrEmptyDatabaseIsNeverReplaced) {
    for (const char* name : {"gantry.db", "usage.db"}) {
        for (const bool emptied : {false, true}) {
            TempDir dir;
            fill(dir.path(), true);
            fs::remove(dir.file(name));
            if (emptied) std::ofstream(dir.file(name)).flush();
            const auto store = Store::open(dir.path());
            EXPECT_CODE(store, ErrorCode::kInternal);
            EXPECT_THAT(store.error().message, HasSubstr(name));
            EXPECT_THAT(store.error().message, HasSubstr("gantry restore"));
            EXPECT_EQ(fs::exists(dir.file(name)), emptied);
        }
    }
}

TEST(Recovery, ForeignFilesAreRefused) {
    TempDir dir;
    fill(dir.path(), true);
    {
        std::ofstream out(dir.file("gantry.db"), std::ios::trunc);
        out << std::string(8192, 'x');
    }
    const auto garbage = Store::open(dir.path());
    EXPECT_CODE(garbage, ErrorCode::kInternal);
    EXPECT_THAT(garbage.error().message, HasSubstr("gantry.db is damaged"));
    EXPECT_THAT(garbage.error().message, HasSubstr("gantry restore"));
    fs::remove(dir.file("gantry.db"));
    EXPECT_OK(raw(dir.file("gantry.db"))->script("CREATE TABLE cats (x); PRAGMA user_version = 1"));
    const auto other = Store::open(dir.path());
    EXPECT_CODE(other, ErrorCode::kInternal);
    EXPECT_THAT(other.error().message, HasSubstr("no database of gantry's"));
}

// Each page of the file in turn is overwritten. After an unclean stop the store either refuses, naming the way out, or (where
// the page holds nothing in use) has every row.
TEST(Recovery, CorruptPagesAreFoundAfterAnUncleanStop) {
    TempDir whole;
    fill(whole.path(), true);
    const auto size = fs::file_size(whole.file("gantry.db"));
    ASSERT_GT(size, 10u * 4096);
    int refused = 0;
    for (uintmax_t offset = 4096; offset < size; offset += 4096) {
        TempDir dir;
        fs::copy(whole.path(), dir.path(), fs::copy_options::recursive | fs::copy_options::overwrite_existing);
        {
            std::fstream file(dir.file("gantry.db"), std::ios::in | std::ios::out | std::ios::binary);
            file.seekp(static_cast<std::streamoff>(offset));
            file << std::string(4096, '\x5a');
        }
        { const auto died = DataFolder::lock(dir.path()); }
        auto store = Store::open(dir.path());
        if (store) {
            EXPECT_EQ((*store)->deployments({.limit = 500})->items.size(), 60u);
            continue;
        }
        ++refused;
        EXPECT_CODE(store, ErrorCode::kInternal);
        EXPECT_THAT(store.error().message, HasSubstr("gantry.db is damaged"));
        EXPECT_THAT(store.error().message, HasSubstr("gantry restore"));
        // It stays refused: a refusal does not count as a clean stop.
        EXPECT_FALSE(Store::open(dir.path()).ok());
    }
    EXPECT_GT(refused, 10);
}

TEST(Recovery, DamageMetWhileRunningIsAnErrorAndNoCrash) {
    TempDir dir;
    fill(dir.path(), true);
    fs::resize_file(dir.file("gantry.db"), 4096 * 3);   // a clean stop, then half the file is gone
    auto store = Store::open(dir.path());
    if (!store) {
        EXPECT_CODE(store, ErrorCode::kInternal);
        return;
    }
    const auto list = (*store)->deployments({.limit = 500});
    EXPECT_CODE(list, ErrorCode::kInternal);
    EXPECT_THAT(list.error().message, HasSubstr("gantry restore"));
}

TEST(Recovery, TruncatedWalKeepsWholeTransactionsFromTheStart) {
    TempDir whole;
    fs::create_directory(whole.file("copy"));
    {
        auto store = open_store(whole.file("data"));
        for (int i = 0; i < 20; ++i) {
            const std::string n = std::to_string(i);
            EXPECT_OK(store->create_user(a_user(n, Role::kUser, i)));
        }
        for (const auto& file : fs::directory_iterator(whole.file("data"))) {
            if (file.path().extension() != ".db-shm") fs::copy(file.path(), whole.file("copy"));
        }
    }
    const auto wal_size = fs::file_size(whole.file("copy/gantry.db-wal"));
    ASSERT_GT(wal_size, 40'000u);
    size_t last = 0;
    for (uintmax_t keep = 0; keep <= wal_size; keep += 3001) {
        TempDir dir;
        fs::copy(whole.file("copy"), dir.path(), fs::copy_options::recursive | fs::copy_options::overwrite_existing);
        fs::resize_file(dir.file("gantry.db-wal"), keep);
        auto store = open_store(dir.path());
        ASSERT_NE(store, nullptr);
        const auto users = store->users({.limit = 500});
        ASSERT_TRUE(users.ok());
        for (size_t i = 0; i < users->items.size(); ++i) EXPECT_EQ(users->items[i].name, std::to_string(i));
        EXPECT_GE(users->items.size(), last);
        last = users->items.size();
    }
    EXPECT_GT(last, 15u);
}

TEST(Recovery, LockedDatabaseIsUnavailableThenFine) {
    TempDir dir;
    auto store = open_store(dir.path(), {.busy_timeout = std::chrono::milliseconds(50)});
    EXPECT_OK(store->create_user(a_user("ann")));
    auto other = raw(dir.file("gantry.db"));
    EXPECT_OK(other->script("BEGIN IMMEDIATE"));
    const auto start = std::chrono::steady_clock::now();
    const Status locked = store->create_user(a_user("bob"));
    EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(45));
    EXPECT_CODE(locked, ErrorCode::kUnavailable);
    EXPECT_EQ(locked.error().reason, "database_locked");
    EXPECT_CODE(store->check_writable(), ErrorCode::kUnavailable);
    EXPECT_OK(store->user_by_name("ann"));   // reads go on
    EXPECT_OK(other->script("ROLLBACK"));
    EXPECT_OK(store->create_user(a_user("bob")));
    EXPECT_OK(store->check_writable());
}

TEST(Recovery, RemovedWhileRunningTakesNoMoreWrites) {
    for (const char* name : {"gantry.db", "gantry.db-wal"}) {
        TempDir dir;
        auto store = open_store(dir.path());
        EXPECT_OK(store->create_user(a_user("ann")));
        fs::remove(dir.file(name));
        const Status refused = store->create_user(a_user("bob"));
        EXPECT_CODE(refused, ErrorCode::kStorageFull);
        EXPECT_EQ(refused.error().reason, "database_removed");
        EXPECT_FALSE(store->check_writable().ok());
        EXPECT_OK(store->user_by_name("ann"));
        EXPECT_FALSE(fs::exists(dir.file(name)));
        // What the message says: a backup still saves it all.
        EXPECT_OK(store->backup(dir.file("saved")));
        store.reset();
        EXPECT_OK(restore(dir.file("saved"), dir.path()));
        EXPECT_OK(open_store(dir.path())->user_by_name("ann"));
    }
}

// A child creates rows and reports each acknowledged one; it is killed somewhere in between, again and again.
TEST(Recovery, KillLosesNothingThatWasAcknowledged) {
    TempDir dir;
    std::mt19937 random(20261123);
    std::set<std::string> acknowledged;
    for (int round = 0; round < 12; ++round) {
        int ends[2];
        ASSERT_EQ(::pipe(ends), 0);
        const pid_t child = ::fork();
        if (child == 0) {
            auto store = SqliteStore::open(dir.path(), {.checkpoint_pages = 20});
            if (!store) ::_exit(3);
            for (int i = 0;; ++i) {
                const std::string name = fmt::format("r{:02}i{:04}", round, i);
                const User user = a_user(name);
                if (!(*store)->create_user(user) || !(*store)->create_key(a_key(name, user))) ::_exit(4);
                if (i % 5 == 4 && !(*store)->delete_user(a_user(fmt::format("r{:02}i{:04}", round, i - 2)).id)) ::_exit(5);
                if (::write(ends[1], name.data(), name.size()) != static_cast<ssize_t>(name.size())) ::_exit(6);
            }
        }
        ::close(ends[1]);
        // The kill comes after a random number of reports, at whatever point the child has reached by then.
        const auto reports = static_cast<unsigned>(random() % 60);
        char name[8];
        for (unsigned i = 0; i < reports; ++i) {
            ASSERT_EQ(::read(ends[0], name, sizeof name), 8);
            acknowledged.emplace(name, 8);
        }
        ::kill(child, SIGKILL);
        while (::read(ends[0], name, sizeof name) == 8) acknowledged.emplace(name, 8);
        ::close(ends[0]);
        int status = 0;
        ::waitpid(child, &status, 0);
        ASSERT_TRUE(WIFSIGNALED(status)) << status;

        auto store = open_store(dir.path());
        ASSERT_NE(store, nullptr);
        const auto rows = store->auth_rows();
        ASSERT_TRUE(rows.ok());
        std::set<std::string> users, with_key;
        for (const User& user : rows->users) users.insert(user.name);
        for (const ApiKey& key : rows->keys) with_key.insert(key.name);
        for (const std::string& wanted : acknowledged) {
            const int i = std::stoi(wanted.substr(4));
            // i % 5 == 2 is deleted two rows later, acknowledged with that row: before, it may be there or not.
            const bool deleted = i % 5 == 2 && acknowledged.contains(fmt::format("{}{:04}", wanted.substr(0, 4), i + 2));
            if (deleted) {
                EXPECT_FALSE(users.contains(wanted) || with_key.contains(wanted)) << wanted;
            } else if (i % 5 != 2) {
                EXPECT_TRUE(users.contains(wanted) && with_key.contains(wanted)) << wanted;
            }
        }
        for (const std::string& key : with_key) EXPECT_TRUE(users.contains(key)) << key;
        auto check = raw(dir.file("gantry.db"));
        EXPECT_OK(check_integrity(*check));
    }
    EXPECT_GT(acknowledged.size(), 100u);
}

TEST(Recovery, ManyThreadsReadAndWriteAtOnce) {
    TempDir dir;
    auto store = open_store(dir.path());
    EXPECT_OK(store->create_user(a_user("ann")));
    std::atomic<bool> stop = false;
    std::atomic<int> failures = 0;
    std::vector<std::thread> readers;
    for (int t = 0; t < 4; ++t) {
        readers.emplace_back([&] {
            while (!stop) {
                // One view: a deployment is created with its instance's deployment present, or neither is seen.
                const auto snapshot = store->snapshot();
                if (!snapshot) {
                    ++failures;
                    continue;
                }
                std::set<DeploymentId> known;
                for (const Deployment& d : snapshot->deployments) known.insert(d.id);
                for (const Instance& i : snapshot->instances) failures += known.contains(i.deployment_id) ? 0 : 1;
            }
        });
    }
    std::vector<std::thread> writers;
    for (int t = 0; t < 3; ++t) {
        writers.emplace_back([&, t] {
            for (int n = 0; n < 20; ++n) {
                const std::string name = fmt::format("t{}n{}", t, n);
                const Deployment d = a_deployment(name, n);
                if (!store->create_deployment(d) || !store->create_instance(an_instance(name, d, n))) ++failures;
                if (!store->observe_instances({an_instance(name, d, n)}) || !store->add_usage({a_usage(name, n)})) ++failures;
            }
        });
    }
    for (std::thread& writer : writers) writer.join();
    stop = true;
    for (std::thread& reader : readers) reader.join();
    EXPECT_EQ(failures, 0);
    EXPECT_EQ(store->snapshot()->instances.size(), 60u);
    EXPECT_EQ(store->usage({.limit = 500}, {})->items.size(), 60u);
    EXPECT_OK(store->close());
}

}  // namespace
}  // namespace gantry::store
