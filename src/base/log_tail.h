#pragma once
// The end of an instance's log, and what is appended to it after that. Blocks on the disk; one thread at a time.

#include <sys/types.h>

#include <string>
#include <vector>

namespace gantry {

class LogTail {
public:
    static constexpr size_t kBytesMax = 4u << 20;   // of what was there already
    static constexpr size_t kPieceMax = 256 * 1024;

    // `files`: a function's result, oldest first; asked again when the newest was rotated.
    explicit LogTail(std::vector<std::string> files) : files_(std::move(files)) {}
    ~LogTail();
    LogTail(const LogTail&) = delete;
    LogTail& operator=(const LogTail&) = delete;

    std::string last_lines(size_t lines);   // once, first; the position is behind them
    std::string more();                     // what came since; empty: nothing yet
    void set_files(std::vector<std::string> files) { files_ = std::move(files); }

private:
    void open_newest();
    bool rotated() const;

    std::vector<std::string> files_;
    int fd_ = -1;                           // the newest file as it was when opened; rotation renames it, the rest stays readable
    off_t offset_ = 0;
};

}  // namespace gantry
