#include "sources/download.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/platform/files.h"
#include "sources/content_range.h"
#include "sources/front_digest.h"
#include "sources/journal.h"

namespace gantry::sources {
namespace {

using std::chrono::milliseconds;

constexpr size_t kChunksOfRangeMax = 8;              // of one request
constexpr size_t kWriteBytes = 1u << 20;             // at once: libcurl hands on 16 KiB, and each call into the file system costs
constexpr milliseconds kTick{200};
constexpr milliseconds kBackoffMax{30'000};
constexpr unsigned kRetryAfterMax = 120;             // seconds; whoever wants more is waited for by the next try of all

struct MultiFree {
    void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};

bool write_at(int descriptor, uint64_t offset, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t wrote = ::pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) return false;
        offset += static_cast<uint64_t>(wrote);
        bytes.remove_prefix(static_cast<size_t>(wrote));
    }
    return true;
}

struct Span {
    uint64_t begin = 0, end = 0;
};

class FileDownload {
public:
    FileDownload(const Settings& settings, const DownloadTask& task, DownloadState& state)
        : settings_(settings), task_(task), state_(state), key_{task.file.bytes, task.file.digest, task.chunk_bytes}, multi_(curl_multi_init()) {}
    ~FileDownload() { drop_all(); }

    Status run();
    bool resumed() const { return resumed_; }

private:
    struct Range {                    // one request that goes on
        Span span;
        uint64_t at = 0;              // the next byte to be written
        std::string pending{};        // that comes there
        std::string host{};
        bool ranged = true;           // it asked for its span; else for all
        bool near = false;            // of Located::unix_socket
        std::string wrong;            // what its answer does wrong; empty: nothing
        int status = 0;
        unsigned retry_after = 0;
        std::unique_ptr<Transfer> transfer;
    };

    Status open_files();
    void plan();
    Status start_ranges();
    Status start(Span span);
    bool take_head(Range& range, const AnswerHead& head);
    bool take(Range& range, std::string_view bytes);
    bool flush(Range& range);
    void chunk_done(size_t chunk);
    Status collect();
    Status ended(Range& range, CURLcode code);
    Status failed(const Range& range, const Error& why);
    void drop_all();
    void begin_whole();
    Status finish();

    const Settings& settings_;
    const DownloadTask& task_;
    DownloadState& state_;
    const JournalKey key_;
    platform::UniqueFd file_, journal_;
    std::vector<uint64_t> left_;               // bytes missing of each chunk
    size_t front_chunk_ = 0;                   // all before are there
    std::deque<Span> missing_;                 // that no request fetches now, in order
    std::unique_ptr<CURLM, MultiFree> multi_;
    std::vector<std::unique_ptr<Range>> active_;
    std::unique_ptr<FrontDigest> digest_;
    std::optional<Located> located_;
    bool resumed_ = false;
    bool proven_ = false;                      // that ranges are answered as ranges; until then one request goes first
    bool whole_ = false;                       // they are not: one request for all, without a way to go on with it
    unsigned failures_ = 0;                    // in a row, without a byte between
    SteadyTime hold_until_{};
    int write_error_ = 0;
};

Status FileDownload::open_files() {
    file_.reset(::open(task_.path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    const std::string journal_path = task_.path + ".journal";
    struct stat status {};
    if (!file_.valid() || ::fstat(file_.get(), &status) != 0) return error_from_errno("the file of a download cannot be opened", errno);
    std::vector<bool> there(key_.chunks(), false);
    if (const auto text = platform::read_file(journal_path, 64u << 20); text && static_cast<uint64_t>(status.st_size) == key_.bytes) {
        there = read_journal(*text, key_);
    }
    resumed_ = std::find(there.begin(), there.end(), true) != there.end();
    if (!resumed_) {
        GANTRY_TRY(platform::write_file_atomic(journal_path, journal_head(key_)));
        if (::ftruncate(file_.get(), static_cast<off_t>(key_.bytes)) != 0) return error_from_errno("the file of a download cannot be made", errno);
        // So that the disk is found full now, not near the end. Where the file system can't, it is found then.
        if (::fallocate(file_.get(), 0, 0, static_cast<off_t>(key_.bytes)) != 0 && errno == ENOSPC) {
            ::ftruncate(file_.get(), 0);
            return error_from_errno("there is no room for the download", ENOSPC);
        }
    }
    journal_.reset(::open(journal_path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW));
    if (!journal_.valid()) return error_from_errno("the journal of a download cannot be opened", errno);
    left_.resize(key_.chunks());
    for (size_t i = 0; i < left_.size(); ++i) {
        const uint64_t begin = i * key_.chunk_bytes;
        left_[i] = there[i] ? 0 : std::min(key_.chunk_bytes, key_.bytes - begin);
    }
    return Ok{};
}

void FileDownload::plan() {
    missing_.clear();
    uint64_t done = 0;
    const auto wanted = static_cast<size_t>(std::count_if(left_.begin(), left_.end(), [](uint64_t left) { return left > 0; }));
    const size_t of_range = std::clamp<size_t>(wanted / (2 * std::max(1u, settings_.connections)), 1, kChunksOfRangeMax);
        // some for each connection
    for (size_t i = 0; i < left_.size(); ++i) {
        const uint64_t begin = i * key_.chunk_bytes, end = std::min(begin + key_.chunk_bytes, key_.bytes);
        if (left_[i] == 0) {
            done += end - begin;
        } else if (!missing_.empty() && missing_.back().end == begin && begin - missing_.back().begin < of_range * key_.chunk_bytes) {
            missing_.back().end = end;
        } else {
            missing_.push_back({begin, end});
        }
    }
    state_.bytes_done = done;
    while (front_chunk_ < left_.size() && left_[front_chunk_] == 0) ++front_chunk_;
    digest_->grow(std::min(front_chunk_ * key_.chunk_bytes, key_.bytes));
}

Status FileDownload::run() {
    GANTRY_TRY(open_files());
    digest_ = std::make_unique<FrontDigest>(file_.get(), key_.bytes, key_.digest.kind);
    plan();
    while (!missing_.empty() || !active_.empty()) {
        if (state_.cancelled) return Error{ErrorCode::kCancelled, "the download was cancelled", {}, {}};
        GANTRY_TRY(start_ranges());
        int running = 0;
        curl_multi_perform(multi_.get(), &running);
        GANTRY_TRY(collect());
        if (write_error_ != 0) return error_from_errno("what was downloaded cannot be written", write_error_);
        if (task_.progressed) task_.progressed();
        if (!missing_.empty() || !active_.empty()) curl_multi_poll(multi_.get(), nullptr, 0, static_cast<int>(kTick.count()), nullptr);
    }
    return finish();
}

Status FileDownload::start_ranges() {
    const unsigned most = whole_ || !proven_ ? 1 : std::max(1u, settings_.connections);
    while (!missing_.empty() && active_.size() < most && std::chrono::steady_clock::now() >= hold_until_) {
        if (!located_) {
            auto located = task_.locate();
            if (!located) {
                const ErrorCode code = located.error().code;
                if (code != ErrorCode::kUnavailable && code != ErrorCode::kRateLimited &&
                    code != ErrorCode::kDeadlineExceeded) return located.error();
                GANTRY_TRY(failed(Range{}, located.error()));
                continue;
            }
            located_ = *std::move(located);
        }
        const Span span = missing_.front();
        missing_.pop_front();
        GANTRY_TRY(start(span));
    }
    return Ok{};
}

Status FileDownload::start(Span span) {
    auto range = std::make_unique<Range>();
    range->span = span;
    range->at = span.begin;
    range->host = located_->url.host;
    range->ranged = !whole_;
    range->near = !located_->unix_socket.empty();
    Ask ask;
    ask.url = located_->url;
    ask.unix_socket = located_->unix_socket;
    ask.token = located_->token;
    ask.nearest = located_->nearest;
    if (range->ranged) ask.range = fmt::format("{}-{}", span.begin, span.end - 1);
    if (settings_.bytes_per_second > 0) ask.bytes_per_second = std::max<uint64_t>(1,
        settings_.bytes_per_second / std::max(1u, settings_.connections));
    Range& mine = *range;   // stays where it is until it is removed from active_
    auto transfer = Transfer::make(
        settings_, ask, [this, &mine](const AnswerHead& head) { return take_head(mine, head); },
        [this, &mine](std::string_view bytes) { return take(mine, bytes); });
    if (!transfer) return transfer.error();
    range->transfer = *std::move(transfer);
    curl_multi_add_handle(multi_.get(), range->transfer->handle());
    active_.push_back(std::move(range));
    return Ok{};
}

bool FileDownload::take_head(Range& range, const AnswerHead& head) {
    range.status = head.status;
    range.retry_after = retry_after_seconds(head);
    if (head.status == 206) {
        const auto covers = parse_content_range(head.field("content-range"));
        if (covers && covers->begin == range.span.begin && covers->total == key_.bytes) return proven_ = true;
        range.wrong = covers && covers->total != key_.bytes
                          ? fmt::format("has {} bytes there, not the {} that the hub lists", covers->total, key_.bytes)
                          : "answers with another range than the one asked for";
    } else if (head.status == 200) {
        const std::string& length = head.field("content-length");
        if (!length.empty() && length != std::to_string(key_.bytes)) {
            const std::string& type = head.field("content-type");
            range.wrong = fmt::format("sends {} bytes{}, not the {} that the hub lists", length, type.starts_with("text/html")
                                      ? " of a web page" : "", key_.bytes);
        } else if (range.ranged) {
            range.wrong = "takes no ranges";
        } else {
            return true;
        }
    } else {
        range.wrong = fmt::format("answers {}", head.status);
    }
    return false;
}

bool FileDownload::take(Range& range, std::string_view bytes) {
    if (bytes.size() > range.span.end - range.at - range.pending.size()) {
        range.wrong = "sends more than was asked for";
        return false;
    }
    range.pending += bytes;
    state_.bytes_done += bytes.size();
    failures_ = 0;
    const bool enough = range.pending.size() >= kWriteBytes || range.at + range.pending.size() == range.span.end;
    return !enough || flush(range);
}

bool FileDownload::flush(Range& range) {
    if (!write_at(file_.get(), range.at, range.pending)) {
        write_error_ = errno;
        return false;
    }
    uint64_t left = range.pending.size();
    range.pending.clear();
    while (left > 0) {
        const auto chunk = static_cast<size_t>(range.at / key_.chunk_bytes);
        const uint64_t here = std::min<uint64_t>(left, (chunk + 1) * key_.chunk_bytes - range.at);
        left_[chunk] -= here;
        range.at += here;
        left -= here;
        if (left_[chunk] == 0) chunk_done(chunk);
    }
    return true;
}

void FileDownload::chunk_done(size_t chunk) {
    const std::string line = journal_line(chunk);
    if (::write(journal_.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size())) write_error_ = errno != 0 ? errno : ENOSPC;
    // Onto the disk from now on, so that little is left for the fsync at the end. Where that can't be, all is.
    (void)::sync_file_range(file_.get(), static_cast<off_t>(chunk * key_.chunk_bytes), static_cast<off_t>(key_.chunk_bytes), SYNC_FILE_RANGE_WRITE);
    while (front_chunk_ < left_.size() && left_[front_chunk_] == 0) ++front_chunk_;
    digest_->grow(std::min(front_chunk_ * key_.chunk_bytes, key_.bytes));
}

Status FileDownload::collect() {
    int queued = 0;
    while (const CURLMsg* const message = curl_multi_info_read(multi_.get(), &queued)) {
        if (message->msg != CURLMSG_DONE) continue;
        const CURLcode code = message->data.result;
        CURL* const handle = message->easy_handle;
        const auto found = std::find_if(active_.begin(), active_.end(), [&](const auto& range) { return range->transfer->handle() == handle; });
        GANTRY_ASSERT(found != active_.end(), "libcurl ended a transfer that is none of ours");
        const std::unique_ptr<Range> range = std::move(*found);
        active_.erase(found);
        curl_multi_remove_handle(multi_.get(), handle);
        GANTRY_TRY(ended(*range, code));
    }
    return Ok{};
}

Status FileDownload::ended(Range& range, CURLcode code) {
    if (write_error_ == 0 && !range.pending.empty()) (void)flush(range);   // what came before it broke off
    if (range.at == range.span.end || write_error_ != 0) return Ok{};
    if (range.near) located_.reset();   // whoever had it may be gone: who has it is asked again
    if (range.status == 200 && range.ranged && range.wrong == "takes no ranges") {
        begin_whole();
        return Ok{};
    }
    if (range.ranged) {
        missing_.push_front({range.at, range.span.end});   // from where it broke off
    } else {
        begin_whole();
    }
    if (!range.wrong.empty()) {
        const bool moved = range.status == 401 || range.status == 403 || range.status == 404 || range.status == 410 ||
            (range.status >= 300 && range.status < 400);
        if (moved) located_.reset();   // a signed URL has expired
        return failed(range, unavailable(fmt::format("{} {}", range.host, range.wrong)));
    }
    const Status outcome = range.transfer->outcome(code);
    if (!outcome && outcome.error().code == ErrorCode::kPermissionDenied) return outcome;
    return failed(range, outcome ? unavailable("the connection broke off before the end") : outcome.error());
}

Status FileDownload::failed(const Range& range, const Error& why) {
    if (std::chrono::steady_clock::now() < hold_until_) return Ok{};   // of ranges that fail together one counts
    if (++failures_ > settings_.retries) return why;
    const auto backoff = std::min(settings_.retry_base * (1u << std::min(failures_ - 1, 10u)), kBackoffMax);
    const auto asked = std::chrono::seconds(std::min(range.retry_after, kRetryAfterMax));
    hold_until_ = std::chrono::steady_clock::now() + std::max<milliseconds>(backoff, asked);
    log::info("download: {}; it is tried again", why.message);
    return Ok{};
}

void FileDownload::drop_all() {
    for (const auto& range : active_) curl_multi_remove_handle(multi_.get(), range->transfer->handle());
    active_.clear();
}

// All of it anew, in one request.
void FileDownload::begin_whole() {
    whole_ = true;
    drop_all();
    for (size_t i = 0; i < left_.size(); ++i) left_[i] = std::min(key_.chunk_bytes, key_.bytes - i * key_.chunk_bytes);
    digest_ = std::make_unique<FrontDigest>(file_.get(), key_.bytes, key_.digest.kind);
    front_chunk_ = 0;
    state_.bytes_done = 0;
    missing_ = {{0, key_.bytes}};
}

Status FileDownload::finish() {
    const Result<std::string> hex = digest_->finish();
    if (!hex) return hex.error();
    if (*hex != key_.digest.hex) {
        return Error{ErrorCode::kInvalidArgument,
                     fmt::format("what was downloaded is not what the hub lists: its digest is {}..., not {}...; it was deleted", hex->substr(0, 16),
                                 key_.digest.hex.substr(0, 16)),
                     {}, "digest_mismatch"};
    }
    if (::fsync(file_.get()) != 0) return error_from_errno("what was downloaded cannot be written", errno);
    return Ok{};
}

}  // namespace

Status download(const Settings& settings, const DownloadTask& task, DownloadState& state) {
    // A file whose beginning is of an earlier run may hold what a power cut left: then all of it is fetched once more.
    for (int attempt = 0;; ++attempt) {
        FileDownload one(settings, task, state);
        const Status done = one.run();
        const bool wrong = !done && done.error().reason == "digest_mismatch";
        if (done || wrong) ::unlink((task.path + ".journal").c_str());
        if (wrong) ::unlink(task.path.c_str());
        if (!wrong || !one.resumed() || attempt > 0) return done;
        log::warn("download: what lay there of an earlier run was damaged; it is fetched anew");
    }
}

}  // namespace gantry::sources
