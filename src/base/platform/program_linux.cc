#include "base/platform/program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
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

// Killed, but held by the kernel: waited for at later calls, so that no zombie stays for good and no second one gathers behind it.
struct Stuck {
    std::vector<std::string> argv;
    pid_t pid = 0;
    bool leads_group = false;
    bool waited = false;
};
Guarded<std::vector<Stuck>>& left_behind() {
    static Guarded<std::vector<Stuck>> all;
    return all;
}

bool is_stuck(const std::vector<std::string>& argv) {
    return left_behind().with([&](std::vector<Stuck>& all) {
        std::erase_if(all, [](Stuck& one) {
            one.waited = one.waited || ::waitpid(one.pid, nullptr, WNOHANG) != 0;
            return one.waited && !(one.leads_group && group_lives(one.pid));
        });
        return std::any_of(all.begin(), all.end(), [&](const Stuck& one) { return one.argv == argv; });
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
    const int group = request.own_group ? POSIX_SPAWN_SETPGROUP : 0;
    ::posix_spawnattr_setflags(&attributes, static_cast<short>(group | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK));
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

enum class Wait { kReady, kLate, kCancelled };
Wait wait_for(int handle, const Deadline& deadline, const ProgramCancel* cancel) {
    const int cancelled = cancel != nullptr ? cancel->handle().get() : -1;   // a negative one is passed over
    while (true) {
        std::array<pollfd, 2> waits = {pollfd{handle, POLLIN, 0}, pollfd{cancelled, POLLIN, 0}};
        const int ready = ::poll(waits.data(), waits.size(), milliseconds_left(deadline));
        if (ready < 0 && errno == EINTR) continue;
        if (ready <= 0) return Wait::kLate;
        return waits[0].revents != 0 ? Wait::kReady : Wait::kCancelled;
    }
}

// Until it closes its output, or the limit.
Wait read_output(Child& child, const ProgramRequest& request, ProgramOutput& output) {
    std::array<char, 16 * 1024> buffer{};
    while (true) {
        const Wait waited = wait_for(child.output.get(), request.deadline, request.cancel);
        if (waited != Wait::kReady) return waited;
        const ssize_t got = ::read(child.output.get(), buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return Wait::kReady;
        const size_t room = request.bytes_max - output.text.size();
        output.text.append(buffer.data(), std::min(room, static_cast<size_t>(got)));
        if (static_cast<size_t>(got) > room) {
            output.cut = true;
            return Wait::kReady;
        }
    }
}

}  // namespace

ProgramCancel::ProgramCancel() : handle_(::eventfd(0, EFD_CLOEXEC)) {}
void ProgramCancel::cancel() { ::eventfd_write(handle_.get(), 1); }

Result<ProgramOutput> run_program(const ProgramRequest& request) {
    GANTRY_ASSERT(!request.argv.empty(), "a program has a name");
    if (is_stuck(request.argv)) return unavailable(request.argv[0] + " was killed before, but still waits for its driver", "stuck");
    const Result<std::string> path = find_program(request.argv[0]);
    if (!path) return path.error();
    Result<Child> child = start(request, *path);
    if (!child) return child.error();
    const pid_t all = request.own_group ? -child->pid : child->pid;
    ProgramOutput output;
    Wait waited = read_output(*child, request, output);
    if (waited == Wait::kReady && !output.cut) waited = wait_for(child->ended.get(), request.deadline, request.cancel);
    if (waited != Wait::kReady || output.cut) ::kill(all, SIGKILL);
    int status = 0;
    Stuck stuck{request.argv, child->pid, request.own_group, false};
    stuck.waited = wait_for(child->ended.get(), Deadline::after(kKillPatience), nullptr) == Wait::kReady;
    if (stuck.waited) {
        // What it started must not outlive the question. Until the child is waited for, its group's number is its own.
        ::kill(all, SIGKILL);
        ::waitpid(child->pid, &status, 0);
    }
    // Whatever ends a moment later is found gone at the next call.
    if (!stuck.waited || (request.own_group && group_lives(child->pid))) {
        left_behind().with([&](std::vector<Stuck>& others) { others.push_back(std::move(stuck)); });
    }
    if (waited == Wait::kCancelled) return Error{ErrorCode::kCancelled, request.argv[0] + " was ended", {}, {}};
    if (waited == Wait::kLate) return unavailable(request.argv[0] + " did not answer in time", "timeout");
    if (WIFEXITED(status)) output.status = WEXITSTATUS(status);
    if (WIFSIGNALED(status) && !output.cut) output.signal = WTERMSIG(status);
    return output;
}

}  // namespace gantry::platform
