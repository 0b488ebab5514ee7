#include "cli/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cli/output.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

constexpr std::chrono::milliseconds kFrame{100};
constexpr size_t kBarWidth = 24;

bool can_animate() {
    const char* term = std::getenv("TERM");
    return stderr_is_terminal() && !(term != nullptr && std::strcmp(term, "dumb") == 0);
}

size_t stderr_columns() {
    winsize size{};
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

Progress::Progress(bool enabled, bool plain_lines)
    : animated_(enabled && can_animate()), plain_lines_(enabled && plain_lines && !animated_) {
    if (animated_) {
        thread_ = std::jthread([this](std::stop_token stop) { loop(stop); });
    }
}

Progress::~Progress() {
    if (thread_.joinable()) {
        thread_.request_stop();
        changed_.notify_all();
        thread_.join();
    }
    clear();
}

void Progress::show(const std::string& text, double fraction) {
    std::lock_guard lock(mutex_);
    const bool new_text = text != text_;
    text_ = text;
    fraction_ = fraction;
    visible_ = true;
    if (animated_) {
        draw();
    } else if (plain_lines_ && new_text) {
        note(printable(text));
    }
}

void Progress::clear() {
    std::lock_guard lock(mutex_);
    if (animated_ && visible_) {
        std::fputs("\r\x1b[K", stderr);
        std::fflush(stderr);
    }
    visible_ = false;
}

void Progress::draw() {
    static constexpr const char* kSpinner[] = {"|", "/", "-", "\\"};
    std::string line;
    if (fraction_ < 0) {
        line = fmt::format("{} {}", kSpinner[frame_ % 4], printable(text_));
    } else {
        const auto filled = static_cast<size_t>(std::clamp(fraction_, 0.0, 1.0) * kBarWidth);
        line = fmt::format("[{:<{}}] {:3.0f} % {}", std::string(filled, '#'), kBarWidth, fraction_ * 100, printable(text_));
    }
    line.resize(std::min(line.size(), stderr_columns() - 1));
    std::fputs(("\r" + line + "\x1b[K").c_str(), stderr);
    std::fflush(stderr);
}

void Progress::loop(std::stop_token stop) {
    std::unique_lock lock(mutex_);
    while (!stop.stop_requested()) {
        changed_.wait_for(lock, stop, kFrame, [] { return false; });
        ++frame_;
        if (visible_ && !stop.stop_requested()) {
            draw();
        }
    }
}

}  // namespace gantry::cli
