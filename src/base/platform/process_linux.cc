#include "base/platform/process.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string_view>

#include "base/platform/memory.h"

namespace gantry::platform {
namespace {

constexpr int kInheritedHandle = 3;

std::string proc_path(int64_t pid, const char* file) { return "/proc/" + std::to_string(pid) + "/" + file; }

struct ProcStat {
    char state = '?';
    int64_t group = 0;
    int64_t session = 0;
    uint64_t start_ticks = 0;
};

// Field numbers as in proc(5): the name in brackets is the second and may itself hold spaces and brackets.
std::optional<ProcStat> read_stat(int64_t pid) {
    const Result<std::string> text = read_file(proc_path(pid, "stat"), 8192);
    if (!text.ok()) {
        return std::nullopt;
    }
    const size_t name_end = text->rfind(')');
    if (name_end == std::string::npos) {
        return std::nullopt;
    }
    std::vector<std::string_view> fields;
    std::string_view rest = std::string_view(*text).substr(name_end + 1);
    while (!rest.empty()) {
        const size_t start = rest.find_first_not_of(" \n");
        if (start == std::string_view::npos) {
            break;
        }
        const size_t end = std::min(rest.find_first_of(" \n", start), rest.size());
        fields.push_back(rest.substr(start, end - start));
        rest.remove_prefix(end);
    }
    constexpr size_t kFirst = 3;  // fields[0] is the third field
    if (fields.size() <= 22 - kFirst) {
        return std::nullopt;
    }
    const auto number = [&fields](size_t nth) {
        uint64_t value = 0;
        const std::string_view word = fields[nth - kFirst];
        std::from_chars(word.data(), word.data() + word.size(), value);
        return value;
    };
    return ProcStat{fields[0][0], static_cast<int64_t>(number(5)), static_cast<int64_t>(number(6)), number(22)};
}

bool ended(const ProcStat& stat) { return stat.state == 'Z' || stat.state == 'X' || stat.state == 'x'; }

void for_each_process(const std::function<void(int64_t pid)>& visit) {
    DIR* folder = ::opendir("/proc");
    if (folder == nullptr) {
        return;
    }
    while (const dirent* entry = ::readdir(folder)) {
        const std::string_view name(entry->d_name);
        int64_t pid = 0;
        const auto parsed = std::from_chars(name.data(), name.data() + name.size(), pid);
        if (parsed.ec == std::errc() && parsed.ptr == name.data() + name.size()) {
            visit(pid);
        }
    }
    ::closedir(folder);
}

UniqueFd open_pidfd(int64_t pid) { return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(pid), 0))); }

// posix_spawn's two opaque argument objects, freed whatever happens.
class SpawnArguments {
public:
    SpawnArguments() {
        ::posix_spawn_file_actions_init(&actions_);
        ::posix_spawnattr_init(&attributes_);
    }
    ~SpawnArguments() {
        ::posix_spawn_file_actions_destroy(&actions_);
        ::posix_spawnattr_destroy(&attributes_);
    }
    SpawnArguments(const SpawnArguments&) = delete;
    SpawnArguments& operator=(const SpawnArguments&) = delete;

    // 0, or the errno of what failed (only memory can).
    int prepare(int output, const SpawnRequest& request) {
        int failed = ::posix_spawn_file_actions_addopen(&actions_, 0, "/dev/null", O_RDONLY, 0);
        const auto also = [&failed](int result) { failed = failed != 0 ? failed : result; };
        also(::posix_spawn_file_actions_adddup2(&actions_, output, 1));
        also(::posix_spawn_file_actions_adddup2(&actions_, output, 2));
        int first_closed = kInheritedHandle;
        if (request.inherited_handle >= 0) {
            also(::posix_spawn_file_actions_adddup2(&actions_, request.inherited_handle, kInheritedHandle));
            ++first_closed;
        }
        also(::posix_spawn_file_actions_addclosefrom_np(&actions_, first_closed));
        also(::posix_spawn_file_actions_addchdir_np(&actions_, request.working_folder.c_str()));
        sigset_t signals;
        sigfillset(&signals);
        also(::posix_spawnattr_setsigdefault(&attributes_, &signals));
        sigemptyset(&signals);
        also(::posix_spawnattr_setsigmask(&attributes_, &signals));
        also(::posix_spawnattr_setflags(
            &attributes_, static_cast<short>(POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK)));
        return failed;
    }
    const posix_spawn_file_actions_t* actions() const { return &actions_; }
    const posix_spawnattr_t* attributes() const { return &attributes_; }

private:
    posix_spawn_file_actions_t actions_;
    posix_spawnattr_t attributes_;
};

std::vector<char*> pointers(std::vector<std::string>& words) {
    std::vector<char*> out;
    out.reserve(words.size() + 1);
    for (std::string& word : words) {
        out.push_back(word.data());
    }
    out.push_back(nullptr);
    return out;
}

// A handle of 3 or more, so that the child's 0, 1 and 2 can be set without treading on it.
Result<UniqueFd> open_output(const std::string& path) {
    UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (fd.valid() && fd.get() < kInheritedHandle) {
        fd = UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, kInheritedHandle));
        if (!fd.valid() && errno == EINVAL) errno = EMFILE;  // what it says where the limit is below kInheritedHandle
    }
    if (!fd.valid()) {
        return error_from_errno("cannot open the program's log", errno);
    }
    return fd;
}

Error spawn_error(const std::string& program, int error_number) {
    std::string advice;
    if (error_number == EAGAIN) {
        advice = "; this machine or container allows no more processes (ulimit -u, pids.max)";
    } else if (error_number == EMFILE || error_number == ENFILE) {
        advice = "; too many files are open (ulimit -n)";
    } else if (error_number == ENOEXEC) {
        advice = "; it is no program for this machine";
    }
    Error error = error_from_errno("cannot start " + program, error_number);
    error.message += advice;
    return error;
}

}  // namespace

Result<Spawned> spawn(const SpawnRequest& request) {
    GANTRY_ASSERT(!request.argv.empty() && request.argv[0].starts_with('/'), "spawn needs an absolute program path");
    Result<UniqueFd> output = open_output(request.output_file);
    if (!output.ok()) {
        return output.error();
    }
    SpawnArguments arguments;
    if (const int failed = arguments.prepare(output->get(), request); failed != 0) {
        return spawn_error(request.argv[0], failed);
    }
    std::vector<std::string> argv = request.argv;
    std::vector<std::string> env;
    for (const auto& [name, value] : request.env) {
        env.push_back(name + "=" + value);
    }
    pid_t pid = 0;
    const int failed = ::posix_spawn(&pid, argv[0].c_str(), arguments.actions(), arguments.attributes(),
                                     pointers(argv).data(), pointers(env).data());
    if (failed != 0) {
        return spawn_error(request.argv[0], failed);
    }
    // Until it is waited for, the child keeps its pid even when it has ended, so none of what follows can meet another process.
    Spawned spawned;
    spawned.watch = open_pidfd(pid);
    const std::optional<ProcStat> stat = read_stat(pid);
    if (!spawned.watch.valid() || !stat) {
        const int error_number = spawned.watch.valid() ? EMFILE : errno;
        end_child_now(pid);
        return spawn_error(request.argv[0], error_number);
    }
    spawned.id = ProcessId{pid, stat->start_ticks, boot_id()};
    if (request.oom_score_adjust != 0) {
        // Raising it needs no rights; where it fails anyway the engine runs all the same.
        const UniqueFd score(::open(proc_path(pid, "oom_score_adj").c_str(), O_WRONLY | O_CLOEXEC));
        const std::string text = std::to_string(request.oom_score_adjust);
        if (score.valid() && ::write(score.get(), text.data(), text.size()) < 0) {
            errno = 0;
        }
    }
    return spawned;
}

Result<ProcessId> identify(int64_t pid) {
    const std::optional<ProcStat> stat = pid > 0 ? read_stat(pid) : std::nullopt;
    if (!stat || ended(*stat)) {
        return not_found("no process " + std::to_string(pid) + " is running");
    }
    return ProcessId{pid, stat->start_ticks, boot_id()};
}

Result<UniqueFd> watch_process(const ProcessId& id) {
    if (id.pid <= 0) {
        return not_found("no process was recorded");
    }
    UniqueFd watch = open_pidfd(id.pid);
    if (!watch.valid()) {
        return errno == ESRCH || errno == EINVAL ? not_found("process " + std::to_string(id.pid) + " has ended")
                                                 : error_from_errno("cannot watch a process", errno);
    }
    // Identified after the watch was opened: if it is the right process now, the watch is on it.
    const Result<ProcessId> now = identify(id.pid);
    if (!now.ok() || *now != id) {
        return not_found("process " + std::to_string(id.pid) + " has ended");
    }
    return watch;
}

bool has_ended(int watch_handle) {
    pollfd waiting{watch_handle, POLLIN, 0};
    return ::poll(&waiting, 1, 0) == 1 && (waiting.revents & POLLIN) != 0;
}

std::string ProcessExit::text() const {
    if (signal == 0) {
        return "exited with status " + std::to_string(status);
    }
    const char* name = ::sigabbrev_np(signal);
    return name != nullptr ? std::string("killed by SIG") + name : "killed by signal " + std::to_string(signal);
}

std::optional<ProcessExit> reap(int64_t pid) {
    int status = 0;
    pid_t got = 0;
    do {
        got = ::waitpid(static_cast<pid_t>(pid), &status, WNOHANG);
    } while (got < 0 && errno == EINTR);
    if (got != pid) {
        return std::nullopt;
    }
    if (WIFSIGNALED(status)) {
        return ProcessExit{0, WTERMSIG(status)};
    }
    return ProcessExit{WEXITSTATUS(status), 0};
}

bool holds_pid(const ProcessId& id) {
    const std::optional<ProcStat> stat = read_stat(id.pid);
    return stat && stat->start_ticks == id.start_ticks && id.boot_id == boot_id();
}

void end_child_now(int64_t pid) {
    ::kill(static_cast<pid_t>(-pid), SIGKILL);
    ::kill(static_cast<pid_t>(pid), SIGKILL);
    ::waitpid(static_cast<pid_t>(pid), nullptr, 0);
}

bool signal_group(int64_t pid, ProcessSignal signal) {
    GANTRY_ASSERT(pid > 1, "a group of an engine has a number above 1");
    const auto group = static_cast<pid_t>(-pid);
    if (signal == ProcessSignal::kKill) {
        return ::kill(group, SIGKILL) == 0;
    }
    const bool reached = ::kill(group, SIGTERM) == 0;
    ::kill(group, SIGCONT);
    return reached;
}

std::vector<ProcessId> find_by_environment(const std::string& name, const std::string& value) {
    const std::string wanted = name + "=" + value;
    std::vector<ProcessId> found;
    for_each_process([&](int64_t pid) {
        const Result<std::string> text = read_file(proc_path(pid, "environ"), 4u << 20);
        if (!text.ok()) {
            return;
        }
        const std::string padded = std::string(1, '\0') + *text;
        const size_t at = padded.find(std::string(1, '\0') + wanted + std::string(1, '\0'));
        const std::optional<ProcStat> stat = at == std::string::npos ? std::nullopt : read_stat(pid);
        if (stat && !ended(*stat)) {
            found.push_back(ProcessId{pid, stat->start_ticks, boot_id()});
        }
    });
    return found;
}

std::vector<ProcessId> find_by_open_file(const std::string& path) {
    struct stat wanted {};
    std::vector<ProcessId> found;
    if (::stat(path.c_str(), &wanted) != 0) {
        return found;
    }
    for_each_process([&](int64_t pid) {
        const std::string handles = proc_path(pid, "fd");
        DIR* folder = pid == ::getpid() ? nullptr : ::opendir(handles.c_str());
        if (folder == nullptr) {
            return;
        }
        bool has_it = false;
        while (const dirent* entry = has_it ? nullptr : ::readdir(folder)) {
            struct stat info {};
            has_it = ::fstatat(::dirfd(folder), entry->d_name, &info, 0) == 0 && info.st_dev == wanted.st_dev &&
                     info.st_ino == wanted.st_ino;
        }
        ::closedir(folder);
        const Result<ProcessId> process = has_it ? identify(pid) : Result<ProcessId>(not_found(""));
        if (process.ok()) {
            found.push_back(*process);
        }
    });
    return found;
}

bool is_group_leader(int64_t pid) {
    const std::optional<ProcStat> stat = read_stat(pid);
    return stat && stat->group == pid;
}

bool group_lives(int64_t group) {
    if (::kill(static_cast<pid_t>(-group), 0) != 0) {
        return false;
    }
    bool lives = false;   // or all that is left are dead ones that nobody waits for
    for_each_process([&](int64_t pid) {
        const std::optional<ProcStat> stat = lives ? std::nullopt : read_stat(pid);
        lives = lives || (stat && stat->group == group && !ended(*stat));
    });
    return lives;
}

void kill_process(const ProcessId& id) {
    // Through the watch, so that the signal can't meet a process that took the pid over in between.
    const Result<UniqueFd> watch = watch_process(id);
    if (watch.ok()) {
        ::syscall(SYS_pidfd_send_signal, watch->get(), SIGKILL, nullptr, 0);
    }
}

namespace {

// A line "VmHWM:     1234 kB" of /proc/PID/status; 0 where there is none.
uint64_t status_bytes(std::string_view status, std::string_view key) {
    size_t at = status.find(key);
    if (at == std::string_view::npos) {
        return 0;
    }
    at = status.find_first_of("0123456789", at + key.size());
    uint64_t kilobytes = 0;
    if (at != std::string_view::npos) {
        std::from_chars(status.data() + at, status.data() + status.size(), kilobytes);
    }
    return kilobytes * 1024;
}

}  // namespace

std::vector<GroupMemory> group_memory(const std::vector<int64_t>& wanted) {
    std::vector<GroupMemory> out(wanted.size());
    if (wanted.empty()) {
        return out;
    }
    for_each_process([&](int64_t pid) {
        const pid_t group = ::getpgid(static_cast<pid_t>(pid));
        const auto at = std::find(wanted.begin(), wanted.end(), group);
        if (at == wanted.end()) {
            return;
        }
        GroupMemory& memory = out[static_cast<size_t>(at - wanted.begin())];
        memory.pids.push_back(pid);
        const Result<std::string> status = read_file(proc_path(pid, "status"), 64 * 1024);
        if (!status.ok()) {
            return;   // ended meanwhile
        }
        memory.resident_bytes += status_bytes(*status, "VmRSS:");
        memory.private_bytes += status_bytes(*status, "RssAnon:") + status_bytes(*status, "RssShmem:");
        memory.peak_bytes += status_bytes(*status, "VmHWM:");
    });
    return out;
}

std::string system_name() { return "linux"; }

std::string machine_name() {
    utsname name{};
    return ::uname(&name) == 0 ? name.machine : "";
}

Result<std::string> find_program(const std::string& name) {
    const auto runnable = [](const std::string& path) {
        struct stat info {};
        return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && ::access(path.c_str(), X_OK) == 0;
    };
    if (name.find('/') != std::string::npos) {
        if (name.starts_with('/') && runnable(name)) {
            return name;
        }
        return not_found(name + " is not a program that can be run here; give an absolute path");
    }
    const char* variable = std::getenv("PATH");
    std::string_view rest = variable != nullptr ? variable : "/usr/local/bin:/usr/bin:/bin";
    while (!name.empty() && !rest.empty()) {
        const size_t end = std::min(rest.find(':'), rest.size());
        const std::string path = std::string(rest.substr(0, end)) + "/" + name;
        if (path.starts_with('/') && runnable(path)) {
            return path;
        }
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return not_found("no program " + name + " in PATH");
}

std::string own_executable() {
    char path[4096];
    const ssize_t length = ::readlink("/proc/self/exe", path, sizeof path);
    if (length <= 0) {
        return "/proc/self/exe";
    }
    std::string text(path, static_cast<size_t>(length));
    // A binary replaced by an upgrade while it runs: its name, which is the new one, is what is meant.
    constexpr std::string_view kDeleted = " (deleted)";
    if (text.ends_with(kDeleted)) {
        text.resize(text.size() - kDeleted.size());
    }
    return text;
}

std::string boot_id() {
    static const std::string id = [] {
        const Result<std::string> text = read_file("/proc/sys/kernel/random/boot_id", 64);
        return text.ok() ? text->substr(0, text->find('\n')) : std::string("unknown");
    }();
    return id;
}

Result<uint16_t> free_port(const std::string& on) {
    const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    socklen_t size = sizeof address;
    if (::inet_pton(AF_INET, on.c_str(), &address.sin_addr) != 1) {
        return invalid_argument(on + " is no IPv4 address");
    }
    const bool bound = fd.valid() && ::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) == 0;
    if (!bound && errno == EADDRNOTAVAIL) {
        return invalid_argument(on + " is no address of this machine");
    }
    if (!bound || ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
        return error_from_errno("cannot find a free port", errno);
    }
    return ntohs(address.sin_port);
}

namespace {

// IPv4; false: there is none of that name.
bool resolve(const std::string& host, in_addr& out) {
    addrinfo hints{}, *found = nullptr;
    hints.ai_family = AF_INET;
    hints.ai_socktype = SOCK_DGRAM;
    if (::getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) {
        return false;
    }
    out = reinterpret_cast<const sockaddr_in*>(found->ai_addr)->sin_addr;
    ::freeaddrinfo(found);
    return true;
}

}  // namespace

std::string outward_address(const std::string& towards) {
    constexpr char kNobody[] = "192.0.2.1";   // RFC 5737
    const UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(9);
    socklen_t size = sizeof address;
    char text[INET_ADDRSTRLEN] = {};
    if (!fd.valid() || !resolve(towards.empty() ? kNobody : towards, address.sin_addr) ||
        ::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0 ||
        ::inet_ntop(AF_INET, &address.sin_addr, text, sizeof text) == nullptr) {
        return {};
    }
    return text;
}

bool is_loopback(const std::string& address) {
    in_addr four{};
    if (::inet_pton(AF_INET, address.c_str(), &four) == 1) {
        const uint32_t number = ntohl(four.s_addr);
        return number >> 24 == 127 || number == INADDR_ANY;
    }
    in6_addr six{};
    if (::inet_pton(AF_INET6, address.c_str(), &six) != 1) {
        return false;
    }
    const bool mapped = IN6_IS_ADDR_V4MAPPED(&six) && six.s6_addr[12] == 127;
    return IN6_IS_ADDR_LOOPBACK(&six) || IN6_IS_ADDR_UNSPECIFIED(&six) || mapped;
}

bool handles_exhausted() {
    const UniqueFd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    return !fd.valid() && (errno == EMFILE || errno == ENFILE);
}

bool handles_available(size_t count) {
    std::vector<UniqueFd> opened;
    while (opened.size() < count) {
        opened.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        if (!opened.back().valid()) {
            return false;
        }
    }
    return true;
}

std::string host_name() {
    char name[256] = {};
    return ::gethostname(name, sizeof name - 1) == 0 && name[0] != '\0' ? name : "localhost";
}

void run_when_idle() {
    constexpr int kThisThread = 1, kIdle = 3 << 13;   // IOPRIO_WHO_PROCESS, IOPRIO_CLASS_IDLE: glibc has no names for them
    const sched_param none{};
    static_cast<void>(::sched_setscheduler(0, SCHED_IDLE, &none));
    static_cast<void>(::syscall(SYS_ioprio_set, kThisThread, 0, kIdle));
}

}  // namespace gantry::platform
