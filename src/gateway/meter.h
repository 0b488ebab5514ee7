#pragma once
// Usage records on their way to the database: a journal of JSON lines in files usage-<n>.jsonl. Records are written before their answers
// leave, those of a turn of the loop by one write(2), so that they survive the process; they don't survive a power cut. A disk that refuses
// never fails a request: the records wait in memory, up to a limit, and are written when it takes them again. Every start begins a new
// file, so that a line torn by a kill is only ever the last of its file.
//
// Threads: append(), flush() and rotate() on the io thread; fold() on any other, one at a time.

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "domain/usage.h"

namespace gantry::gateway {

class Meter {
public:
    static constexpr size_t kWaitingMax = 10'000;   // records in memory while the disk refuses, about 4 MB
    // A transaction of the store. Ids are random, so that each record lands on a page of its own of the index over them: the more of
    // them come together, the fewer pages are written twice.
    static constexpr size_t kBatchRecords = 4'000;

    // `later`: runs what it is given before any answer leaves, and returns true; or false, and the record is written at once.
    using Later = std::function<bool(std::function<void()>)>;
    static Result<std::unique_ptr<Meter>> open(std::string dir, uint64_t file_bytes, Later later = nullptr);
    ~Meter();
    Meter(const Meter&) = delete;
    Meter& operator=(const Meter&) = delete;

    void append(const UsageRecord& record);
    // Tries to write what waits. True: nothing waits any more.
    bool flush();
    size_t waiting() const { return refused_ ? waiting_.size() : 0; }   // for the disk
    // Begins a new file, so that the next fold() takes all that was appended so far and deletes it here. False: the disk refuses.
    bool rotate();

    Status fold(const std::function<Status(const std::vector<UsageRecord>&)>& store);

private:
    Meter(std::string dir, uint64_t file_bytes, Later later) : dir_(std::move(dir)), file_bytes_(file_bytes), later_(std::move(later)) {}
    std::string path_of(uint64_t number) const;
    bool write_lines(const std::string& lines);
    size_t gather(std::string& lines) const;
    bool open_file(uint64_t number);
    Status fold_file(uint64_t number, const std::function<Status(const std::vector<UsageRecord>&)>& store);

    const std::string dir_;
    const uint64_t file_bytes_;
    const Later later_;
    std::atomic<uint64_t> current_{0};      // written by the io thread: files before it never grow again
    // The io thread's.
    int descriptor_ = -1;
    uint64_t written_bytes_ = 0;            // of the current file
    std::deque<std::string> waiting_;
    bool refused_ = false;                  // said once in the log
    bool put_off_ = false;                  // flush() will be called before this turn's answers leave
    // The folding thread's: how much of each file was taken.
    std::map<uint64_t, uint64_t> taken_;
};

// A line of the journal, with its line feed, and back; nullopt: no line of ours.
std::string to_journal_line(const UsageRecord& record);
std::optional<UsageRecord> from_journal_line(std::string_view line);

}  // namespace gantry::gateway
