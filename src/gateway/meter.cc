#include "gateway/meter.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <vector>

#include "base/log.h"
#include "base/metrics.h"

namespace gantry::gateway {
namespace {

constexpr size_t kReadBytes = 1u << 20;
constexpr size_t kWriteBytes = 16u << 10;
constexpr size_t kLineBytesMax = 64u << 10;   // far over any line of ours

// The number in "usage-<n>.jsonl".
std::optional<uint64_t> number_of(const std::string& name) {
    constexpr std::string_view kBegin = "usage-";
    constexpr std::string_view kEnd = ".jsonl";
    if (name.size() <= kBegin.size() + kEnd.size() || !name.starts_with(kBegin) || !name.ends_with(kEnd)) return std::nullopt;
    uint64_t number = 0;
    const char* first = name.data() + kBegin.size();
    const char* last = name.data() + name.size() - kEnd.size();
    const auto [end, failure] = std::from_chars(first, last, number);
    return failure == std::errc() && end == last ? std::optional(number) : std::nullopt;
}

// Ascending: the oldest first.
std::vector<uint64_t> numbers_in(const std::string& dir) {
    std::vector<uint64_t> numbers;
    std::error_code failure;
    for (std::filesystem::directory_iterator entry(dir, failure), end; !failure && entry != end; entry.increment(failure)) {
        if (const auto number = number_of(entry->path().filename().string())) numbers.push_back(*number);
    }
    std::sort(numbers.begin(), numbers.end());
    return numbers;
}

prometheus::Counter& lost_records() {
    static prometheus::Counter& counter = metrics::counter(
        "gantry_gateway_usage_lost_total", "Usage records dropped because the disk refused them for too long.");
    return counter;
}

struct File {
    int descriptor = -1;
    ~File() {
        if (descriptor >= 0) ::close(descriptor);
    }
};

}  // namespace

Result<std::unique_ptr<Meter>> Meter::open(std::string dir, uint64_t file_bytes, Later later) {
    std::error_code failure;
    std::filesystem::create_directories(dir, failure);
    if (failure) return error_from_errno("the folder of the usage journal cannot be made", failure.value());
    std::unique_ptr<Meter> meter(new Meter(std::move(dir), file_bytes, std::move(later)));
    const std::vector<uint64_t> numbers = numbers_in(meter->dir_);
    // A disk that is full right now is no reason not to serve: the file is opened with the first record then.
    meter->current_ = numbers.empty() ? 1 : numbers.back() + 1;
    return meter;
}

Meter::~Meter() {
    if (!flush()) log::error("{} usage records could not be written and are lost", waiting_.size());
    if (descriptor_ >= 0) ::close(descriptor_);
}

std::string Meter::path_of(uint64_t number) const { return fmt::format("{}/usage-{}.jsonl", dir_, number); }

bool Meter::open_file(uint64_t number) {
    const int opened = ::open(path_of(number).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (opened < 0) return false;
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = opened;
    written_bytes_ = 0;
    current_.store(number, std::memory_order_release);
    return true;
}

bool Meter::write_lines(const std::string& lines) {
    const uint64_t current = current_.load(std::memory_order_relaxed);
    if (descriptor_ < 0 && !open_file(current)) return false;
    if (written_bytes_ >= file_bytes_ && !open_file(current + 1)) return false;
    ssize_t done = -1;
    do {
        done = ::write(descriptor_, lines.data(), lines.size());
    } while (done < 0 && errno == EINTR);
    if (done == static_cast<ssize_t>(lines.size())) {
        written_bytes_ += lines.size();
        return true;
    }
    // Half a line must not stand before the next: cut it off, or leave this file for good.
    const int why = errno;
    if (done > 0 && ::ftruncate(descriptor_, static_cast<off_t>(written_bytes_)) != 0) written_bytes_ = file_bytes_;
    errno = done < 0 ? why : ENOSPC;
    return false;
}

// The oldest that wait, some pages of them; how many.
size_t Meter::gather(std::string& lines) const {
    size_t count = 0;
    lines.clear();
    for (; count < waiting_.size() && (count == 0 || lines.size() + waiting_[count].size() <= kWriteBytes); ++count) lines += waiting_[count];
    return count;
}

bool Meter::flush() {
    put_off_ = false;
    std::string lines;
    while (!waiting_.empty()) {
        const size_t count = gather(lines);
        if (!write_lines(lines)) {
            if (!refused_) {
                log::error("the usage journal cannot be written ({}); records wait in memory",
                           error_from_errno("write", errno).message);
            }
            refused_ = true;
            return false;
        }
        waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(count));
    }
    if (refused_) log::info("the usage journal can be written again");
    refused_ = false;
    return true;
}

bool Meter::rotate() {
    if (put_off_) flush();
    // Nothing opened yet: what earlier runs left is taken whole by the next fold anyway.
    return descriptor_ < 0 || written_bytes_ == 0 || open_file(current_.load(std::memory_order_relaxed) + 1);
}

void Meter::append(const UsageRecord& record) {
    if (waiting_.size() >= kWaitingMax) {
        waiting_.pop_front();
        lost_records().Increment();
    }
    waiting_.push_back(to_journal_line(record));
    if (put_off_) return;
    put_off_ = later_ && later_([this] { flush(); });
    if (!put_off_) flush();
}

Status Meter::fold(const std::function<Status(const std::vector<UsageRecord>&)>& store) {
    for (const uint64_t number : numbers_in(dir_)) {
        GANTRY_TRY(fold_file(number, store));
    }
    return Ok{};
}

Status Meter::fold_file(uint64_t number, const std::function<Status(const std::vector<UsageRecord>&)>& store) {
    // Asked before reading: a file that is complete now is complete after reading, too.
    const bool complete = number < current_.load(std::memory_order_acquire);
    const File file{::open(path_of(number).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)};
    if (file.descriptor < 0) return error_from_errno("the usage journal cannot be read", errno);
    uint64_t& taken = taken_[number];
    std::string buffer;
    std::vector<UsageRecord> batch;
    bool skipping = false;     // inside a line that is too long to be one
    uint64_t offset = taken;   // of the byte behind `buffer`
    for (;;) {
        const size_t before = buffer.size();
        buffer.resize(before + kReadBytes);
        const ssize_t got = ::pread(file.descriptor, buffer.data() + before, kReadBytes, static_cast<off_t>(offset));
        if (got < 0) return error_from_errno("the usage journal cannot be read", errno);
        buffer.resize(before + static_cast<size_t>(got));
        offset += static_cast<uint64_t>(got);
        size_t begin = 0;
        for (size_t end; (end = buffer.find('\n', begin)) != std::string::npos; begin = end + 1) {
            const auto record = skipping ? std::nullopt : from_journal_line(std::string_view(buffer).substr(begin, end - begin));
            skipping = false;
            if (record) {
                batch.push_back(*record);
            } else {
                log::warn("a line of the usage journal usage-{} is damaged and is left out", number);
            }
            if (batch.size() < kBatchRecords) continue;
            GANTRY_TRY(store(batch));
            batch.clear();
            taken = offset - (buffer.size() - end - 1);
        }
        buffer.erase(0, begin);
        if (buffer.size() > kLineBytesMax) {
            skipping = true;
            buffer.clear();
        }
        if (got == 0) break;
    }
    if (!batch.empty()) GANTRY_TRY(store(batch));
    taken = offset - buffer.size();
    if (!complete) return Ok{};
    // What is left without a line feed was torn by a kill, before its answer's last byte went out.
    if (::unlink(path_of(number).c_str()) != 0) return error_from_errno("a taken usage journal cannot be deleted", errno);
    taken_.erase(number);
    return Ok{};
}

}  // namespace gantry::gateway
