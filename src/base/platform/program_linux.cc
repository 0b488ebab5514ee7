#include "base/platform/program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/guarded.h"
#include "base/platform/files.h"
#include "base/platform/process.h"

extern char** environ;

namespace gantry::platform {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kKillPatience{500};

// Killed, but held by the kernel: waited for at a later call, so that no zombie stays for good.
Guarded<std::vector<pid_t>>& left_behind() {
    static Guarded<std::vector<pid_t>> pids;
    return pids;
}

void reap_left_behind() {
    left_behind().with([](std::vector<pid_t>& pids) {
        std::erase_if(pids, [](pid_t pid) { return ::waitpid(pid, nullptr, WNOHANG) != 0; });
    });
}

// poll()'s wait; at least a millisecond while there is time, so that nothing spins.
int milliseconds_left(const Deadline& deadline) {
    if (deadline.never()) return -1;
    const auto left = std::chrono::duration_cast<milliseconds>(deadline.time() - std::chrono::steady_clock::now()).count();
    return static_cast<int>(std::clamp<int64_t>(left + 1, 0, 3'600'000));
}

struct Child {
    pid_t pid = 0;
    UniqueFd ended;    // readable once it has
    UniqueFd output;
};

Result<Child> start(const ProgramRequest& request, const std::string& path) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return error_from_errno("cannot start " + path, errno);
    Child child;
    child.output = UniqueFd(ends[0]);
    const UniqueFd input(ends[1]);
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
    ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions, input.get(), 1);
    if (request.with_errors) {
        ::posix_spawn_file_actions_adddup2(&actions, input.get(), 2);
    } else {
        ::posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    }
    ::posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    sigset_t signals;
    sigfillset(&signals);
    ::posix_spawnattr_setsigdefault(&attributes, &signals);
    sigemptyset(&signals);
    ::posix_spawnattr_setsigmask(&attributes, &signals);
    ::posix_spawnattr_setpgroup(&attributes, 0);
    ::posix_spawnattr_setflags(&attributes,
                               static_cast<short>(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK));
    std::vector<std::string> words = request.argv;
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    std::vector<char*> env;
    for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
        if (std::strncmp(*variable, "LC_ALL=", 7) != 0) env.push_back(*variable);
    }
    std::string language = "LC_ALL=C";
    env.push_back(language.data());
    env.push_back(nullptr);
    const int failed = ::posix_spawn(&child.pid, path.c_str(), &actions, &attributes, argv.data(), env.data());
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
    if (failed != 0) return error_from_errno("cannot start " + path, failed);
    child.ended = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, child.pid, 0)));
    return child;
}

// Until it closes its output, the limit, or the deadline: false only for that.
bool read_output(Child& child, const ProgramRequest& request, ProgramOutput& output) {
    std::array<char, 16 * 1024> buffer{};
    while (true) {
        pollfd wait{child.output.get(), POLLIN, 0};
        const int ready = ::poll(&wait, 1, milliseconds_left(request.deadline));
        if (ready < 0 && errno == EINTR) continue;
        if (ready <= 0) return false;
        const ssize_t got = ::read(child.output.get(), buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return true;
        const size_t room = request.bytes_max - output.text.size();
        output.text.append(buffer.data(), std::min(room, static_cast<size_t>(got)));
        if (static_cast<size_t>(got) > room) {
            output.cut = true;
            return true;
        }
    }
}

bool ends_by(const Child& child, const Deadline& deadline) {
    while (true) {
        pollfd wait{child.ended.get(), POLLIN, 0};
        const int ready = ::poll(&wait, 1, milliseconds_left(deadline));
        if (ready > 0) return true;
        if (ready == 0 || errno != EINTR) return false;
    }
}

}  // namespace

Result<ProgramOutput> run_program(const ProgramRequest& request) {
    GANTRY_ASSERT(!request.argv.empty(), "a program has a name");
    reap_left_behind();
    const Result<std::string> path = find_program(request.argv[0]);
    if (!path) return path.error();
    Result<Child> child = start(request, *path);
    if (!child) return child.error();
    ProgramOutput output;
    const bool in_time = read_output(*child, request, output) && (output.cut || ends_by(*child, request.deadline));
    if (!in_time || output.cut) ::kill(-child->pid, SIGKILL);
    int status = 0;
    if (ends_by(*child, Deadline::after(kKillPatience))) {
        // What it started must not outlive the question. Until the child is waited for, its group's number is its own.
        ::kill(-child->pid, SIGKILL);
        ::waitpid(child->pid, &status, 0);
    } else {
        left_behind().with([&](std::vector<pid_t>& pids) { pids.push_back(child->pid); });
    }
    if (!in_time) return unavailable(request.argv[0] + " did not answer in time", "timeout");
    if (WIFEXITED(status)) output.status = WEXITSTATUS(status);
    if (WIFSIGNALED(status) && !output.cut) output.signal = WTERMSIG(status);
    return output;
}

}  // namespace gantry::platform
