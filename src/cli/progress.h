#pragma once
// A line on stderr that says what is going on, with a spinner or a bar; on a terminal only. Elsewhere each new text is a line
// of its own when `plain_lines` says so, else nothing. Threads: any.

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace gantry::cli {

class Progress {
public:
    // `enabled` false (--quiet, --json): shows nothing at all.
    explicit Progress(bool enabled, bool plain_lines = false);
    ~Progress();  // takes the line away
    // `fraction` < 0: a spinner, else a bar.
    void show(const std::string& text, double fraction = -1);
    // Takes the line away until the next show(), so that something else can be printed.
    void clear();

private:
    void draw();  // REQUIRES: mutex_ held
    void loop(std::stop_token stop);

    const bool animated_;
    const bool plain_lines_;
    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::string text_;       // guarded by mutex_, as the rest
    double fraction_ = -1;
    unsigned frame_ = 0;
    bool visible_ = false;
    std::jthread thread_;    // last: it uses all of the above
};

}  // namespace gantry::cli
