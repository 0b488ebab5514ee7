#pragma once
// One SQLite file: its writer connections behind one gate, its readers, and what keeps it whole.
//
// Writers take the gate, then BEGIN IMMEDIATE. Two writer connections on one file differ only in when they fsync: kFull at
// each commit, kNormal at checkpoints. In WAL mode that is safe: a later kFull commit syncs the whole WAL, earlier kNormal
// commits included, and a checkpoint syncs the WAL before it copies.
//
// Checkpoints are ours, not SQLite's automatic ones, because those swallow their errors: after an fsync that failed, the
// kernel drops the pages and reports the next fsync as fine. So after any failed fsync nothing more is acknowledged until all
// of the WAL has been moved into the database file, fsynced, and the WAL emptied.

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <type_traits>
#include <vector>

#include "base/result.h"
#include "store/migrations.h"
#include "store/statement.h"

namespace gantry::store {

struct DatabaseOptions {
    std::chrono::milliseconds busy_timeout{5000};   // for another program's lock, and for our own gate
    std::string vfs{};                                // SQLite's file layer; tests put a failing one in
    int checkpoint_pages = 1000;
};

class Database {
public:
    using Synchronous = Connection::Synchronous;
    struct Spec {
        std::string path;
        const std::vector<Migration>* migrations;
        int32_t application_id;          // of a file of ours
        bool must_exist = false;         // the data folder has been used: an empty or missing file is refused
        bool check = false;              // after an unclean stop
    };
    static Result<std::unique_ptr<Database>> open(const Spec& spec, const DatabaseOptions& options);
    ~Database();

    // Runs `use` in one transaction; rolls back where it fails. Any thread; one at a time.
    Status write(Synchronous synchronous, const std::function<Status(Connection&)>& use);

    // What a thread writes from here on is one transaction, durable when commit() says so; see Store::together().
    class Together {
    public:
        explicit Together(Database& owner);   // REQUIRES: the thread has none
        ~Together();                          // without a commit(): as if nothing had been written
        Together(const Together&) = delete;
        Together& operator=(const Together&) = delete;
        Status commit();                      // no write: ok

    private:
        friend class Database;
        struct Begun;
        Status write(const std::function<Status(Connection&)>& use);
        Status begin();
        Database& owner_;
        std::unique_ptr<Begun> begun_;        // from the first write on
    };

    // Runs `use` on a connection that can't write, in one read transaction: all its queries see the same state. A thread that
    // holds writes together reads among them, once there are any.
    template <class Use>
    auto read(Use&& use) -> std::invoke_result_t<Use, Connection&> {
        if (Connection* const own = held_together()) return std::forward<Use>(use)(*own);
        auto reader = Reader::borrow(*this);
        if (!reader) return std::move(reader).error();
        Transaction transaction(reader->connection());
        GANTRY_TRY(transaction.begin_read());
        return std::forward<Use>(use)(reader->connection());
    }

    // VACUUM INTO an empty or new file: a consistent copy while in use, even of a file that was removed meanwhile.
    Status copy_into(const std::string& path);

    // Waits for running calls, empties the WAL into the file, closes. Later calls: kUnavailable.
    Status close();

    const std::string& path() const { return path_; }

private:
    friend class Reader;
    // A read connection, back in the pool on destruction.
    class Reader {
    public:
        static Result<Reader> borrow(Database& owner);
        Reader(Reader&&) = default;
        Reader& operator=(Reader&&) = delete;
        ~Reader();
        Connection& connection() { return *connection_; }

    private:
        Reader(Database& owner, std::unique_ptr<Connection> connection)
            : owner_(owner), connection_(std::move(connection)) {}
        Database& owner_;
        std::unique_ptr<Connection> connection_;   // null: moved from
    };
    // Holds the gate.
    class Turn {
    public:
        explicit Turn(Database& owner);
        ~Turn();
        bool taken() const { return taken_; }

    private:
        Database& owner_;
        bool taken_;
    };

    Database(std::string path, DatabaseOptions options) : path_(std::move(path)), options_(std::move(options)) {}
    Result<std::unique_ptr<Connection>> open_reader();
    Result<Connection*> writer(Synchronous synchronous);
    Connection::Options connection_options(Synchronous synchronous) const;
    Status prepare(const Spec& spec);
    Status check_still_there() const;
    Status recover_after_failed_sync();
    Result<Connection*> writer_now(Synchronous synchronous);   // REQUIRES: the gate
    void tidy_up(Connection& db, bool written);
    Connection* held_together() const;   // by this thread; null: nothing yet

    // Constant after open().
    const std::string path_;
    const DatabaseOptions options_;
    struct FileId {
        uint64_t device = 0;
        uint64_t inode = 0;
        bool operator==(const FileId&) const = default;
    };
    static FileId file_id(const std::string& path);
    FileId database_file_, wal_file_;

    // The gate of the writers: a mutex that can be waited for with a limit.
    std::mutex gate_mutex_;
    std::condition_variable gate_free_;
    bool gate_taken_ = false;
    // Behind the gate.
    std::unique_ptr<Connection> full_, normal_;
    bool sync_failed_ = false;

    // Protected by readers_mutex_.
    std::mutex readers_mutex_;
    std::condition_variable reader_back_;
    std::vector<std::unique_ptr<Connection>> idle_readers_;
    size_t readers_out_ = 0;
    bool closed_ = false;
};

// kInternal where PRAGMA quick_check or foreign_key_check finds damage.
Status check_integrity(Connection& db);

}  // namespace gantry::store
