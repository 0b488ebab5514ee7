// The disk fails under the store: every write and sync in turn, once and lastingly; and the power goes at every operation.
// Kept throughout: what was acknowledged is there, what failed is not half there, reads go on, writes recover by themselves.

#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>

#include "base/log.h"
#include "store/fault_vfs_for_test.h"
#include "store/store_for_test.h"

namespace gantry::store {
namespace {

DatabaseOptions faulty() {
    fault::install();
    log::start({.level = log::Level::kError, .file = {}, .to_stderr = false});   // hundreds of planned failures
    // A checkpoint every few writes, so that each of its operations gets its turn too.
    return {.busy_timeout = std::chrono::milliseconds(2000), .vfs = fault::kVfs, .checkpoint_pages = 8};
}

// The quick suite takes every few operations; with GANTRY_SLOW_TESTS set, each one.
int64_t stride(int64_t quick) { return std::getenv("GANTRY_SLOW_TESTS") != nullptr ? 1 : quick; }

// A day of the store's life, step by step; each step says what must be there once it is acknowledged.
struct Step {
    std::string name;
    bool durable;                                     // acknowledged means on disk (else: survives a kill only)
    std::function<Status(SqliteStore&)> act;
    std::function<bool(SqliteStore&)> holds;
};

std::vector<Step> a_day() {
    const Deployment d = a_deployment("d", 1);
    const User ann = a_user("ann", Role::kAdmin, 1);
    const User bob = a_user("bob", Role::kUser, 2);
    Instance seen = an_instance("2", d, 3);
    seen.state = InstanceState::kRunning;
    seen.reason = std::string(5000, 'r');   // over one page
    Deployment edited = d;
    edited.version = 2;
    edited.replicas = 2;
    const auto ok = [](const auto& result) { return result.ok(); };
    std::vector<Step> steps;
    const auto add = [&](std::string name, bool durable, auto act, auto holds) {
        steps.push_back({std::move(name), durable, act, holds});
    };
    add("users", true, [=](SqliteStore& s) { return s.create_user(ann); }, [=](SqliteStore& s) { return ok(s.user(ann.id)); });
    add("bob", true, [=](SqliteStore& s) { return s.create_user(bob); }, [=](SqliteStore&) { return true; });
    add("key", true, [=](SqliteStore& s) { return s.create_key(a_key("k", bob)); }, [=](SqliteStore&) { return true; });
    add("deployment", true, [=](SqliteStore& s) { return s.create_deployment(d); },
        [=](SqliteStore&) { return true; });
    add("instance", true, [=](SqliteStore& s) { return s.create_instance(an_instance("1", d, 2)); },
        [=](SqliteStore& s) { return ok(s.instance(InstanceId("ins_1"))); });
    add("instance 2", true, [=](SqliteStore& s) { return s.create_instance(an_instance("2", d, 3)); },
        [=](SqliteStore& s) { return ok(s.instance(InstanceId("ins_2"))); });
    add("observe", false, [=](SqliteStore& s) { return s.observe_instances({seen}); },
        [=](SqliteStore& s) { return s.instance(seen.id).ok() && s.instance(seen.id)->reason != ""; });
    add("edit", true, [=](SqliteStore& s) { return s.update_deployment(edited, 1); },
        [=](SqliteStore& s) { return !s.deployment(d.id).ok() || s.deployment(d.id)->replicas == 2; });
    add("usage", false, [=](SqliteStore& s) { return s.add_usage({a_usage("1", 1), a_usage("2", 2), a_usage("3", 3)}); },
        [=](SqliteStore& s) { return s.usage({}, {})->items.size() == 3; });
    add("setting", true, [=](SqliteStore& s) { return s.set_setting("k", std::string(5000, 'v')); },
        [=](SqliteStore& s) { return s.setting("k")->has_value(); });
    add("together", true,
        [](SqliteStore& s) -> Status {
            const auto held = s.together();
            GANTRY_TRY(s.set_setting("first of two", std::string(3000, '1')));
            GANTRY_TRY(s.set_setting("second of two", std::string(3000, '2')));
            return held->commit();
        },
        [](SqliteStore& s) { return s.setting("second of two")->has_value(); });
    add("bob leaves", true, [=](SqliteStore& s) { return s.delete_user(bob.id); },
        [=](SqliteStore& s) { return !s.user(bob.id).ok() && !s.key(ApiKeyId("key_k")).ok(); });
    add("delete", true, [=](SqliteStore& s) { return s.delete_deployment(d.id); },
        [=](SqliteStore& s) { return !s.deployment(d.id).ok() && s.instance(InstanceId("ins_1"))->stopping; });
    return steps;
}

// Nothing half done, whatever was acknowledged.
void expect_whole(SqliteStore& store) {
    const auto snapshot = store.snapshot();
    ASSERT_TRUE(snapshot.ok()) << snapshot.error().message;
    for (const Instance& i : snapshot->instances) {
        EXPECT_EQ(i.stopping, snapshot->deployments.empty()) << i.id.text;
    }
    const auto first = store.setting("first of two"), second = store.setting("second of two");
    ASSERT_TRUE(first.ok() && second.ok());
    EXPECT_EQ(first->has_value(), second->has_value());
    const auto auth = store.auth_rows();
    ASSERT_TRUE(auth.ok());
    std::set<UserId> users;
    for (const User& user : auth->users) users.insert(user.id);
    for (const ApiKey& key : auth->keys) EXPECT_TRUE(users.contains(key.user_id)) << key.id.text;
    const auto usage = store.usage({}, {});
    ASSERT_TRUE(usage.ok());
    EXPECT_TRUE(usage->items.empty() || usage->items.size() == 3) << usage->items.size();
    const auto hours = store.usage_summary({.bucket = UsageBucket::kTotal});
    ASSERT_TRUE(hours.ok());
    EXPECT_EQ(hours->items.empty() ? 0 : hours->items[0].totals.requests, static_cast<int64_t>(usage->items.size()))
        << "an hour holds its records, no more and no less";
}

void expect_sound_files(const TempDir& dir) {
    for (const char* name : {"gantry.db", "usage.db"}) {
        auto db = Connection::open(dir.file(name), {});
        ASSERT_TRUE(db.ok()) << db.error().message;
        EXPECT_OK(check_integrity(**db));
    }
}

struct Failure {
    const char* name;
    fault::Operation operation;
    int code;
    bool lasting;
};

class DiskFails : public ::testing::TestWithParam<Failure> {};

// True: the planned failure was reached.
bool fail_nth(const Failure& failure, int64_t nth) {
    TempDir dir;
    auto store = open_store(dir.path(), faulty());
    EXPECT_OK(store->set_setting("before", "there"));
    fault::fail(failure.operation, nth, failure.code, failure.lasting);
    std::vector<Step> todo = a_day();
    for (const Step& step : todo) {
        Status done = step.act(*store);
        if (!done) {
            EXPECT_EQ(done.error().code, ErrorCode::kStorageFull) << step.name << ": " << done.error().message;
            // Reads go on while writes fail.
            const auto before = store->setting("before");
            EXPECT_TRUE(before.ok() && *before == "there") << step.name;
            expect_whole(*store);
            EXPECT_TRUE(!failure.lasting || failure.operation == fault::Operation::kSync || !store->check_writable().ok());
            const bool reached = fault::happened();
            EXPECT_TRUE(reached);
            fault::heal();
            // No reopening: the very next try does it.
            done = step.act(*store);
            EXPECT_TRUE(done.ok()) << step.name << ": " << (done.ok() ? "" : done.error().message);
            fault::fail(failure.operation, int64_t{1} << 40, failure.code, false);
            EXPECT_TRUE(step.holds(*store)) << step.name;
            EXPECT_OK(store->check_writable());
            nth = 0;
        }
        EXPECT_TRUE(step.holds(*store)) << step.name;
        expect_whole(*store);
    }
    // A failure inside a checkpoint is nobody's error; it counts as reached all the same.
    const bool reached = nth == 0 || fault::happened();
    fault::heal();
    EXPECT_OK(store->close());
    store.reset();
    auto again = open_store(dir.path());
    for (const Step& step : todo) EXPECT_TRUE(step.holds(*again)) << step.name;
    EXPECT_OK(again->close());
    expect_sound_files(dir);
    return reached;
}

TEST_P(DiskFails, AtEveryOperationInTurn) {
    int64_t nth = 1;
    while (fail_nth(GetParam(), nth)) {
        if (HasFailure()) FAIL() << "at operation " << nth;
        nth += stride(GetParam().operation == fault::Operation::kSync ? 1 : 4);
        ASSERT_LT(nth, 2000);
    }
    // The loop ended because the operation came no more: the day has that many.
    EXPECT_GT(nth, 10);
}

INSTANTIATE_TEST_SUITE_P(Store, DiskFails,
                         ::testing::Values(Failure{"full_once", fault::Operation::kWrite, SQLITE_FULL, false},
                                           Failure{"full", fault::Operation::kWrite, SQLITE_FULL, true},
                                           Failure{"write_error", fault::Operation::kWrite, SQLITE_IOERR_WRITE, true},
                                           Failure{"sync_error_once", fault::Operation::kSync, SQLITE_IOERR_FSYNC, false},
                                           Failure{"sync_error", fault::Operation::kSync, SQLITE_IOERR_FSYNC, true}),
                         [](const auto& test) { return test.param.name; });

TEST(DiskFailsAtOpen, ErrorAndThenAFullStart) {
    for (int64_t nth = 1;; nth += stride(3)) {
        ASSERT_LT(nth, 500);
        TempDir dir;
        const DatabaseOptions options = faulty();
        fault::fail(fault::Operation::kAny, nth, SQLITE_FULL, true);
        {
            auto store = SqliteStore::open(dir.path(), options);
            if (!store.ok()) {
                EXPECT_EQ(store.error().code, ErrorCode::kStorageFull) << nth << store.error().message;
            }
            if (!fault::happened()) break;
        }
        fault::heal();
        auto store = open_store(dir.path(), options);
        ASSERT_NE(store, nullptr) << nth;
        EXPECT_OK(store->create_user(a_user("ann")));
        EXPECT_OK(store->close());
    }
    fault::heal();
}

// Runs the day in a child whose power goes at the nth operation; the child reports each acknowledged step by one byte.
// The number of acknowledged steps; -1: the child came to its end.
int run_child(const std::string& path, int64_t nth, fault::Loss loss, const DatabaseOptions& options) {
    int ends[2];
    if (::pipe(ends) != 0) std::abort();
    const pid_t child = ::fork();
    if (child == 0) {
        fault::cut_power(nth, loss, static_cast<uint64_t>(nth));
        auto store = SqliteStore::open(path, options);
        if (!store) ::_exit(3);
        for (const Step& step : a_day()) {
            if (!step.act(**store)) ::_exit(4);
            if (::write(ends[1], "+", 1) != 1) ::_exit(5);
        }
        if (!(*store)->close()) ::_exit(6);
        if (::write(ends[1], "!", 1) != 1) ::_exit(5);
        ::_exit(0);
    }
    ::close(ends[1]);
    int acknowledged = 0;
    char byte = 0;
    bool end = false;
    while (::read(ends[0], &byte, 1) == 1) byte == '!' ? void(end = true) : void(++acknowledged);
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    return end ? -1 : acknowledged;
}

class PowerCut : public ::testing::TestWithParam<fault::Loss> {};

// The first operations are those of the first start: migrations cut at every point are part of this.
TEST_P(PowerCut, AtEveryOperationInTurn) {
    const DatabaseOptions options = faulty();
    const std::vector<Step> day = a_day();
    const int64_t step = stride(GetParam() == fault::Loss::kSome ? 3 : 5);
    for (int64_t nth = 1;; nth += step) {
        ASSERT_LT(nth, 3000);
        TempDir dir;
        const int acknowledged = run_child(dir.path(), nth, GetParam(), options);
        auto store = SqliteStore::open(dir.path(), {});
        ASSERT_TRUE(store.ok()) << "cut at " << nth << ": " << store.error().message;
        const size_t done = acknowledged < 0 ? day.size() : static_cast<size_t>(acknowledged);
        for (size_t i = 0; i < done; ++i) {
            if (!day[i].durable && GetParam() != fault::Loss::kNone && acknowledged >= 0) continue;
            EXPECT_TRUE(day[i].holds(**store)) << "cut at " << nth << ": '" << day[i].name << "' was acknowledged";
        }
        expect_whole(**store);
        EXPECT_OK((*store)->create_user(a_user("after")));
        EXPECT_OK((*store)->close());
        expect_sound_files(dir);
        if (HasFailure()) FAIL() << "cut at operation " << nth;
        if (acknowledged < 0) break;
    }
}

INSTANTIATE_TEST_SUITE_P(Store, PowerCut, ::testing::Values(fault::Loss::kNone, fault::Loss::kAll, fault::Loss::kSome),
                         [](const auto& test) {
                             return test.param == fault::Loss::kNone  ? "kill"
                                    : test.param == fault::Loss::kAll ? "all_unsynced_lost"
                                                                      : "some_unsynced_lost";
                         });

}  // namespace
}  // namespace gantry::store
