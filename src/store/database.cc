#include "store/database.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <filesystem>
#include <optional>

#include "base/assert.h"
#include "base/log.h"
#include "store/data_folder.h"

namespace gantry::store {
namespace {

// More are opened when more threads read at once; these stay.
constexpr size_t kIdleReadersMax = 4;

Error damaged(const std::string& file, const std::string& what) {
    return internal_error(fmt::format("{} is damaged ({}). Bring back a backup with `gantry restore`; the damaged file is "
                                      "kept beside it.",
                                      file, what));
}

// Of this thread. Ambient on purpose: whatever a handler calls writes to the same transaction, without being told of it.
thread_local Database::Together* together = nullptr;

Error busy_error() {
    return unavailable("the database is busy: the disk takes very long to write. Try again in a moment.", "database_busy");
}

Error closed_error() { return unavailable("the store is closed: the server is stopping."); }

Status check_application_id(Connection& db, int32_t expected, int version) {
    Statement pragma = db.query("PRAGMA application_id");
    auto row = pragma.step();
    if (!row) return std::move(row).error();
    if (pragma.integer(0) == expected || version == 0) return Ok{};
    return internal_error(fmt::format("{} is no database of gantry's: put back the right file, or bring back a backup with "
                                      "`gantry restore`.",
                                      db.file_name()));
}

}  // namespace

Status check_integrity(Connection& db) {
    {
        Statement check = db.query("PRAGMA quick_check(5)");
        std::string found;
        while (true) {
            auto row = check.step();
            if (!row) return std::move(row).error();
            if (!*row) break;
            found += (found.empty() ? "" : "; ") + check.text(0);
        }
        if (found != "ok") {
            log::error("{}: quick_check: {}", db.file_name(), found);
            return damaged(db.file_name(), "the quick check of its tables failed");
        }
    }
    Statement check = db.query("PRAGMA foreign_key_check");
    auto row = check.step();
    if (!row) return std::move(row).error();
    if (*row) return damaged(db.file_name(), "rows of table " + check.text(0) + " point to rows that are gone");
    return Ok{};
}

Result<std::unique_ptr<Database>> Database::open(const Spec& spec, const DatabaseOptions& options) {
    std::unique_ptr<Database> database(new Database(spec.path, options));
    GANTRY_TRY(database->prepare(spec));
    return database;
}

Status Database::prepare(const Spec& spec) {
    const std::string name = std::filesystem::path(path_).filename().string();
    struct stat info {};
    const bool there = ::stat(path_.c_str(), &info) == 0 && info.st_size > 0;
    const Error vanished = internal_error(
        fmt::format("{} is missing or empty, but the data folder has been in use: gantry does not start afresh over lost "
                    "data. Put the file back, or bring back a backup with `gantry restore`; for a new start use another "
                    "--data-dir.",
                    path_));
    if (!there && spec.must_exist) return vanished;
    GANTRY_TRY(create_private(path_));
    auto first = writer(Synchronous::kFull);
    if (!first) return std::move(first).error();
    Connection& db = **first;
    auto version = stored_version(db);
    if (!version) return std::move(version).error();
    // A file whose tables were only ever in a WAL that got lost looks like this.
    if (*version == 0 && spec.must_exist) return vanished;
    GANTRY_TRY(check_application_id(db, spec.application_id, *version));
    if (spec.check && *version > 0) GANTRY_TRY(check_integrity(db));
    GANTRY_TRY(migrate(db, *spec.migrations));
    if (*version == 0) GANTRY_TRY(db.checkpoint(true));
    // A first read opens the WAL, whatever was done above; from now on both files must stay the ones they are.
    auto again = stored_version(db);
    if (!again) return std::move(again).error();
    database_file_ = file_id(path_);
    wal_file_ = file_id(path_ + "-wal");
    // One reader is there from the start, so that reads (and a backup) go on even where no file can be opened any more.
    auto reader = Reader::borrow(*this);
    if (!reader) return std::move(reader).error();
    return Ok{};
}

Database::~Database() = default;

Database::FileId Database::file_id(const std::string& path) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return {};
    return {static_cast<uint64_t>(info.st_dev), static_cast<uint64_t>(info.st_ino)};
}

// Without this a deleted file would go on taking writes until the process ends, and all of them would be gone.
Status Database::check_still_there() const {
    if (file_id(path_) == database_file_ && file_id(path_ + "-wal") == wal_file_) return Ok{};
    return Error{ErrorCode::kStorageFull,
                 fmt::format("{0} or its -wal file was removed or replaced while gantry runs, so nothing more is written. "
                             "Take a copy with `gantry backup` now, stop gantry, then bring it back with `gantry restore`.",
                             std::filesystem::path(path_).filename().string()),
                 {},
                 "database_removed"};
}

Connection::Options Database::connection_options(Synchronous synchronous) const {
    return {options_.busy_timeout, synchronous, false, options_.vfs};
}

Result<Connection*> Database::writer(Synchronous synchronous) {
    auto& connection = synchronous == Synchronous::kFull ? full_ : normal_;
    if (connection == nullptr) {
        auto opened = Connection::open(path_, connection_options(synchronous));
        if (!opened) return std::move(opened).error();
        connection = std::move(*opened);
    }
    return connection.get();
}

Database::Turn::Turn(Database& owner) : owner_(owner) {
    std::unique_lock lock(owner_.gate_mutex_);
    taken_ = owner_.gate_free_.wait_for(lock, owner_.options_.busy_timeout, [this] { return !owner_.gate_taken_; });
    if (taken_) owner_.gate_taken_ = true;
}

Database::Turn::~Turn() {
    if (!taken_) return;
    {
        std::lock_guard lock(owner_.gate_mutex_);
        owner_.gate_taken_ = false;
    }
    owner_.gate_free_.notify_one();
}

// What a write needs, each time.
Result<Connection*> Database::writer_now(Synchronous synchronous) {
    {
        std::lock_guard lock(readers_mutex_);
        if (closed_) return closed_error();
    }
    GANTRY_TRY(check_still_there());
    if (sync_failed_) GANTRY_TRY(recover_after_failed_sync());
    return writer(synchronous);
}

void Database::tidy_up(Connection& db, bool written) {
    if (written && db.wal_pages() >= options_.checkpoint_pages) {
        // The change itself is safe already, so a checkpoint that fails or finds readers is only tried again later.
        if (auto moved = db.checkpoint(false); !moved) log::warn("a checkpoint failed: {}", moved.error().message);
    }
    if (db.take_sync_failure()) sync_failed_ = true;
}

Status Database::write(Synchronous synchronous, const std::function<Status(Connection&)>& use) {
    if (together != nullptr && &together->owner_ == this) return together->write(use);
    Turn turn(*this);
    if (!turn.taken()) return busy_error();
    const auto connection = writer_now(synchronous);
    if (!connection) return connection.error();
    Connection& db = **connection;
    const Status done = [&]() -> Status {
        Transaction transaction(db);
        GANTRY_TRY(transaction.begin());
        GANTRY_TRY(use(db));
        return transaction.commit();
    }();
    tidy_up(db, done.ok());
    return done;
}

// Members go in the opposite order: what is not committed is rolled back before the next writer's turn.
struct Database::Together::Begun {
    explicit Begun(Database& owner) : turn(owner) {}
    Turn turn;
    Connection* db = nullptr;
    std::optional<Transaction> transaction;
    Status whole = Ok{};   // an error that took all of the transaction with it
};

Database::Together::Together(Database& owner) : owner_(owner) {
    GANTRY_ASSERT(together == nullptr, "a thread holds its writes together once at a time");
    together = this;
}

Database::Together::~Together() { together = nullptr; }

Status Database::Together::begin() {
    auto begun = std::make_unique<Begun>(owner_);
    if (!begun->turn.taken()) return busy_error();
    const auto connection = owner_.writer_now(Synchronous::kFull);
    if (!connection) return connection.error();
    begun->db = *connection;
    begun->transaction.emplace(*begun->db);
    GANTRY_TRY(begun->transaction->begin());
    begun_ = std::move(begun);
    return Ok{};
}

// A call that fails takes back what it did itself, and leaves what others did before it.
Status Database::Together::write(const std::function<Status(Connection&)>& use) {
    if (begun_ == nullptr) GANTRY_TRY(begin());
    GANTRY_TRY(begun_->whole);
    Connection& db = *begun_->db;
    if (auto marked = db.run("SAVEPOINT one_call"); !marked) return std::move(marked).error();
    Status done = use(db);
    if (!db.in_transaction()) {   // a full disk, for one, rolls back all at once
        if (done) done = internal_error("a transaction ended before its time");
        begun_->whole = done;
        return done;
    }
    if (!done) {
        if (auto undone = db.run("ROLLBACK TO one_call"); !undone) begun_->whole = std::move(undone).error();
    }
    if (auto released = db.run("RELEASE one_call"); !released && done) done = std::move(released).error();
    return done;
}

Status Database::Together::commit() {
    const std::unique_ptr<Begun> begun = std::move(begun_);
    if (begun == nullptr) return Ok{};
    const Status done = begun->whole ? begun->transaction->commit() : begun->whole;
    begun->transaction.reset();
    owner_.tidy_up(*begun->db, done.ok());
    return done;
}

Connection* Database::held_together() const {
    const bool own = together != nullptr && &together->owner_ == this && together->begun_ != nullptr;
    return own ? together->begun_->db : nullptr;
}

Status Database::recover_after_failed_sync() {
    auto connection = writer(Synchronous::kFull);
    if (!connection) return std::move(connection).error();
    GANTRY_TRY((*connection)->checkpoint(true));
    (*connection)->take_sync_failure();
    sync_failed_ = false;
    log::info("{}: the disk takes writes again", (*connection)->file_name());
    return Ok{};
}

Result<std::unique_ptr<Connection>> Database::open_reader() {
    GANTRY_TRY(check_still_there());
    Connection::Options options = connection_options(Synchronous::kNormal);
    options.query_only = true;
    return Connection::open(path_, options);
}

Status Database::copy_into(const std::string& path) {
    auto reader = Reader::borrow(*this);
    if (!reader) return std::move(reader).error();
    Connection& db = reader->connection();
    GANTRY_TRY(db.script("PRAGMA query_only = OFF"));
    const auto copied = db.run("VACUUM INTO ?", path);
    GANTRY_TRY(db.script("PRAGMA query_only = ON"));
    if (!copied) return copied.error();
    return Ok{};
}

Result<Database::Reader> Database::Reader::borrow(Database& owner) {
    {
        std::lock_guard lock(owner.readers_mutex_);
        if (owner.closed_) return closed_error();
        ++owner.readers_out_;
        if (!owner.idle_readers_.empty()) {
            Reader reader(owner, std::move(owner.idle_readers_.back()));
            owner.idle_readers_.pop_back();
            return reader;
        }
    }
    auto opened = owner.open_reader();
    if (opened) return Reader(owner, std::move(*opened));
    std::lock_guard lock(owner.readers_mutex_);
    --owner.readers_out_;
    owner.reader_back_.notify_all();
    return std::move(opened).error();
}

Database::Reader::~Reader() {
    if (connection_ == nullptr) return;
    std::lock_guard lock(owner_.readers_mutex_);
    --owner_.readers_out_;
    if (owner_.idle_readers_.size() < kIdleReadersMax && !owner_.closed_) {
        owner_.idle_readers_.push_back(std::move(connection_));
    } else {
        connection_.reset();
    }
    owner_.reader_back_.notify_all();
}

Status Database::close() {
    Turn turn(*this);
    if (!turn.taken()) return unavailable("the database is busy and can't be closed yet: try again.", "database_busy");
    std::unique_lock lock(readers_mutex_);
    if (closed_) return Ok{};
    closed_ = true;   // no new readers; those that are out finish
    reader_back_.wait_for(lock, options_.busy_timeout, [this] { return readers_out_ == 0; });
    idle_readers_.clear();
    lock.unlock();
    normal_.reset();
    Status emptied = Ok{};
    if (auto connection = writer(Synchronous::kFull); connection) emptied = (*connection)->checkpoint(true);
    full_.reset();
    return emptied;
}

}  // namespace gantry::store
