// Backup while in use, and what restore makes of it, on this host or another one.

#include <fstream>
#include <thread>

#include "store/store_for_test.h"

namespace gantry::store {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

TEST(Backup, WhileAWriterWritesThenRestoredElsewhere) {
    TempDir dir;
    auto store = open_store(dir.file("data"));
    EXPECT_OK(store->add_usage({a_usage("1"), a_usage("2")}));
    EXPECT_OK(store->add_audit({.id = AuditEventId("aud_1"), .at = at(0)}));
    std::atomic<int> written = 0;
    std::atomic<bool> stop = false;
    std::thread writer([&] {
        for (int i = 0; !stop; ++i) {
            EXPECT_OK(store->create_user(a_user(fmt::format("u{:05}", i), Role::kUser, i)));
            written = i + 1;
        }
    });
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (written < 10 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    const int before = written;
    EXPECT_OK(store->backup(dir.file("backup.db")));
    const int after = written + 1;   // one may be under way
    stop = true;
    writer.join();
    EXPECT_OK(store->close());
    store.reset();

    EXPECT_FALSE(fs::exists(dir.file("backup.db.partial")));
    EXPECT_FALSE(fs::exists(dir.file("backup.db-wal")));
    EXPECT_EQ(fs::status(dir.file("backup.db")).permissions(), fs::perms::owner_read | fs::perms::owner_write);
    EXPECT_OK(restore(dir.file("backup.db"), dir.file("elsewhere")));
    auto restored = open_store(dir.file("elsewhere"));
    const auto rows = restored->auth_rows();
    ASSERT_TRUE(rows.ok());
    const int there = static_cast<int>(rows->users.size());
    EXPECT_GE(there, before);
    EXPECT_LE(there, after);
    for (int i = 0; i < there; ++i) EXPECT_EQ(rows->users[static_cast<size_t>(i)].name, fmt::format("u{:05}", i));
    EXPECT_EQ(restored->usage({}, {})->items.size(), 2u);
    EXPECT_OK(restored->add_usage({a_usage("2"), a_usage("3")}));
    EXPECT_EQ(restored->usage({}, {})->items.size(), 3u);
    EXPECT_EQ(restored->usage_summary({})->items.at(0).totals.requests, 3);
    EXPECT_EQ(restored->audit({}, {})->items.size(), 1u);
    EXPECT_OK(restored->create_user(a_user("new")));
    EXPECT_OK(restored->close());
}

TEST(Backup, TheAuthorityOfTheClusterTravelsAlong) {
    TempDir dir;
    const auto text = [&](const std::string& name) {
        std::ifstream file(dir.file(name));
        return std::string(std::istreambuf_iterator<char>(file), {});
    };
    {
        auto store = open_store(dir.file("data"));
        fs::create_directory(dir.file("data/cluster"));
        std::ofstream(dir.file("data/cluster/authority.key")) << "a key\n";
        std::ofstream(dir.file("data/cluster/authority.pem")) << "a certificate\n";
        EXPECT_OK(store->backup(dir.file("backup.db")));
        EXPECT_OK(store->close());
    }
    EXPECT_OK(restore(dir.file("backup.db"), dir.file("elsewhere")));
    EXPECT_EQ(text("elsewhere/cluster/authority.key"), "a key\n");
    EXPECT_EQ(text("elsewhere/cluster/authority.pem"), "a certificate\n");
    EXPECT_EQ(fs::status(dir.file("elsewhere/cluster/authority.key")).permissions(), fs::perms::owner_read | fs::perms::owner_write);
    EXPECT_OK(open_store(dir.file("elsewhere"))->close());

    // Another one's is kept.
    std::ofstream(dir.file("elsewhere/cluster/authority.key")) << "another\n";
    EXPECT_OK(restore(dir.file("backup.db"), dir.file("elsewhere")));
    EXPECT_EQ(text("elsewhere/cluster/authority.key"), "a key\n");
    EXPECT_EQ(text("elsewhere/cluster/authority.key.replaced-1"), "another\n");
    EXPECT_FALSE(fs::exists(dir.file("elsewhere/cluster/authority.pem.replaced-1"))) << "which was the same";

    EXPECT_OK((*Connection::open(dir.file("backup.db"), {}))->script("UPDATE backup_files SET name = '../evil' WHERE name LIKE '%key'"));
    EXPECT_CODE(restore(dir.file("backup.db"), dir.file("third")), ErrorCode::kInvalidArgument);
    EXPECT_FALSE(fs::exists(dir.file("evil")));
}

TEST(Backup, RestoreBringsADamagedFolderBackAndKeepsWhatWasThere) {
    TempDir dir;
    {
        auto store = open_store(dir.file("data"));
        EXPECT_OK(store->create_user(a_user("ann")));
        EXPECT_OK(store->backup(dir.file("backup.db")));
        EXPECT_OK(store->close());
    }
    std::ofstream(dir.file("data/gantry.db"), std::ios::trunc) << "ruined";
    ASSERT_FALSE(Store::open(dir.file("data")).ok());
    for (int time = 1; time <= 2; ++time) {
        EXPECT_OK(restore(dir.file("backup.db"), dir.file("data")));
        EXPECT_TRUE(fs::exists(dir.file(fmt::format("data/gantry.db.replaced-{}", time))));
    }
    EXPECT_EQ(fs::file_size(dir.file("data/gantry.db.replaced-1")), 6u);
    auto store = open_store(dir.file("data"));
    EXPECT_OK(store->user_by_name("ann"));
    EXPECT_OK(store->close());
}

// A backup of the time before there were hours: the next start makes them.
TEST(Backup, OneWithoutHoursIsRestored) {
    TempDir dir;
    {
        auto store = open_store(dir.file("data"));
        EXPECT_OK(store->add_usage({a_usage("1"), a_usage("2")}));
        EXPECT_OK(store->delete_usage_before(at(1000)));
        EXPECT_OK(store->add_usage({a_usage("3")}));
        EXPECT_OK(store->backup(dir.file("new.db")));
        EXPECT_OK(store->backup(dir.file("old.db")));
        EXPECT_OK(store->close());
    }
    constexpr char kUndo[] =
        "DROP TABLE usage_hours; ALTER TABLE usage_records DROP COLUMN audio_ms; ALTER TABLE usage_records DROP COLUMN images;"
        "UPDATE backup_info SET usage_version = 1";
    EXPECT_OK((*Connection::open(dir.file("old.db"), {}))->script(kUndo));
    for (const auto& [backup, requests] : {std::pair{"new.db", 3}, std::pair{"old.db", 1}}) {
        EXPECT_OK(restore(dir.file(backup), dir.file("data")));
        auto store = open_store(dir.file("data"));
        EXPECT_EQ(store->usage_summary({})->items.at(0).totals.requests, requests) << backup;
        EXPECT_OK(store->close());
    }
}

TEST(Backup, Refusals) {
    TempDir dir;
    auto store = open_store(dir.file("data"));
    EXPECT_OK(store->create_user(a_user("ann")));
    std::ofstream(dir.file("taken")) << "x";
    EXPECT_CODE(store->backup(dir.file("taken")), ErrorCode::kConflict);
    EXPECT_FALSE(store->backup(dir.file("no/such/folder/b")).ok());
    EXPECT_OK(store->backup(dir.file("good")));
    // In use: nothing is touched.
    EXPECT_CODE(restore(dir.file("good"), dir.file("data")), ErrorCode::kConflict);
    EXPECT_OK(store->close());
    store.reset();
    const auto refused = [&](const std::string& backup) {
        const Status status = restore(backup, dir.file("data"));
        EXPECT_FALSE(status.ok());
        auto again = open_store(dir.file("data"));
        EXPECT_OK(again->user_by_name("ann"));
        EXPECT_OK(again->close());
        for (const auto& file : fs::directory_iterator(dir.file("data"))) {
            EXPECT_THAT(file.path().string(), ::testing::Not(HasSubstr("restoring")));
            EXPECT_THAT(file.path().string(), ::testing::Not(HasSubstr("replaced")));
        }
    };
    refused(dir.file("missing"));
    refused(dir.file("taken"));
    refused(dir.file("data/usage.db"));
    refused(dir.file("data/gantry.db"));   // a plain copy lacks the usage: not one of `gantry backup`
    fs::copy(dir.file("good"), dir.file("short"));
    fs::resize_file(dir.file("short"), fs::file_size(dir.file("short")) / 2);
    refused(dir.file("short"));
    fs::copy(dir.file("good"), dir.file("newer"));
    EXPECT_OK((*Connection::open(dir.file("newer"), {}))->script("PRAGMA user_version = 99"));
    refused(dir.file("newer"));
}

}  // namespace
}  // namespace gantry::store
