#include "base/platform/cpu_pressure.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <sstream>

namespace gantry::platform {

std::string thread_name() {
    std::array<char, 16> name{};
    ::pthread_getname_np(::pthread_self(), name.data(), name.size());
    return name.data();
}

void set_thread_name(const std::string& name) { ::pthread_setname_np(::pthread_self(), name.substr(0, 15).c_str()); }

int64_t thread_id() { return ::syscall(SYS_gettid); }

std::vector<int64_t> threads_named(const std::string& name) {
    std::vector<int64_t> found;
    const std::unique_ptr<DIR, int (*)(DIR*)> tasks(::opendir("/proc/self/task"), ::closedir);
    while (tasks) {
        const dirent* const entry = ::readdir(tasks.get());
        if (!entry) {
            break;
        }
        const std::string id = entry->d_name;
        const Result<std::string> comm = read_file("/proc/self/task/" + id + "/comm", 64);
        if (comm.ok() && *comm == name + "\n") {
            found.push_back(std::atoll(id.c_str()));
        }
    }
    return found;
}

ThreadWaits::ThreadWaits(const std::vector<int64_t>& thread_ids) {
    for (const int64_t id : thread_ids) {
        UniqueFd file(::open(("/proc/self/task/" + std::to_string(id) + "/schedstat").c_str(), O_RDONLY | O_CLOEXEC));
        if (!file.valid()) {
            files_.clear();   // half of the truth would look like less pressure
            return;
        }
        files_.push_back(std::move(file));
    }
}

// A line of three numbers: nanoseconds on a core, nanoseconds ready without one, times it got one.
std::optional<double> ThreadWaits::total_ms() const {
    if (files_.empty()) {
        return std::nullopt;
    }
    uint64_t sum = 0;
    for (const UniqueFd& file : files_) {
        std::array<char, 96> text{};
        const ssize_t length = ::pread(file.get(), text.data(), text.size(), 0);
        const char* const end = text.data() + std::max<ssize_t>(length, 0);
        const char* const gap = std::find(static_cast<const char*>(text.data()), end, ' ');
        uint64_t waited = 0;
        if (gap == end || std::from_chars(gap + 1, end, waited).ec != std::errc()) {
            return std::nullopt;
        }
        sum += waited;
    }
    return static_cast<double>(sum) / 1e6;
}

// Lines "cpu3 user nice system idle iowait ..." in ticks since boot, one a core.
std::optional<double> IdleCores::since_last_look(std::chrono::steady_clock::time_point now) {
    const Result<std::string> text = read_file(root_ + "/proc/stat");
    cpu_set_t usable;
    CPU_ZERO(&usable);
    if (!text.ok() || ::sched_getaffinity(0, sizeof usable, &usable) != 0) {
        return std::nullopt;
    }
    std::istringstream lines(*text);
    double ticks = 0;
    bool found = false;
    for (std::string line; std::getline(lines, line) && line.starts_with("cpu");) {
        std::istringstream fields(line.substr(3));
        size_t core = 0;
        double user = 0, nice = 0, system = 0, idle = 0, waiting = 0;
        if (line[3] != ' ' && fields >> core >> user >> nice >> system >> idle >> waiting && core < CPU_SETSIZE &&
            CPU_ISSET(core, &usable)) {
            ticks += idle + waiting;
            found = true;
        }
    }
    if (!found) {
        return std::nullopt;
    }
    const double seconds = ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
    const double passed = std::chrono::duration<double>(now - std::exchange(looked_at_, now)).count();
    const std::optional<double> before = std::exchange(idle_seconds_, seconds);
    return before && passed > 0 ? std::optional(std::max(0.0, seconds - *before) / passed) : std::nullopt;
}

}  // namespace gantry::platform
