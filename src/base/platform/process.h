#pragma once
// Processes that outlive this one: started in a session of their own, known by more than a number that gets reused, watched
// without being their parent. Threads: any.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/platform/files.h"
#include "base/result.h"

namespace gantry::platform {

// A process, once and for all: a pid that is given again has another start time, or another boot.
struct ProcessId {
    int64_t pid = 0;             // also its group and session, when spawn() made it
    uint64_t start_ticks = 0;    // since boot, in the kernel's clock ticks
    std::string boot_id;

    bool operator==(const ProcessId&) const = default;
};

struct SpawnRequest {
    std::vector<std::string> argv;             // argv[0]: an absolute path
    std::map<std::string, std::string> env;    // all of it: nothing is inherited
    std::string output_file;                   // takes stdout and stderr, appended; mode 0600
    std::string working_folder = "/";
    int inherited_handle = -1;                 // becomes handle 3 of the child; every other one is closed
    int oom_score_adjust = 0;                  // > 0: the kernel ends it before this process when memory runs out
};

struct Spawned {
    ProcessId id;
    UniqueFd watch;   // readable once the process has ended
};
// Starts a child in its own session, with default signals, stdin empty. It goes on when this process dies. What keeps the
// program from being started is the error: kNotFound, kPermissionDenied, kUnavailable (handles, processes, memory).
Result<Spawned> spawn(const SpawnRequest& request);

// A watch on a process that need not be our child. kNotFound: it has ended, or the pid is another's now.
Result<UniqueFd> watch_process(const ProcessId& id);
// What a watch says now: its process has ended.
bool has_ended(int watch_handle);
// The process behind a pid now. kNotFound: none, or one that has ended and was not waited for.
Result<ProcessId> identify(int64_t pid);

struct ProcessExit {
    int status = 0;   // exit status, when signal is 0
    int signal = 0;
    // "exited with status 3", "killed by SIGKILL"
    std::string text() const;
};
// Takes the exit of an ended child; nothing: not ended, or not our child.
std::optional<ProcessExit> reap(int64_t pid);

// True: the pid is still this process's, running or ended and not waited for, so that its group's number can't be another's.
bool holds_pid(const ProcessId& id);
// Kills the group of a child and waits for the child. For a child that can't be watched.
void end_child_now(int64_t pid);

enum class ProcessSignal { kTerminate, kKill };
// To the group that spawn() made for `pid`, also where its leader has ended. kTerminate wakes stopped processes so that they
// can end. False: nobody is left in it.
bool signal_group(int64_t pid, ProcessSignal signal);
// Whether a process of the group has not ended; one that waits for a driver lives on after SIGKILL.
bool group_lives(int64_t group);

// Processes that were started with NAME=value in their environment and have not ended; only those of this user are seen.
std::vector<ProcessId> find_by_environment(const std::string& name, const std::string& value);
// Processes that have the file open now; only those of this user are seen, and this process is left out.
std::vector<ProcessId> find_by_open_file(const std::string& path);
bool is_group_leader(int64_t pid);
// SIGKILL to this very process; nothing when the pid is another's by now.
void kill_process(const ProcessId& id);
// Memory of each group, in the order given; pages that processes of a group share count for each. One pass over all processes.
struct GroupMemory {
    uint64_t resident_bytes = 0;
    uint64_t private_bytes = 0;   // of these, what no file on disk backs: malloc's, and shared memory
    uint64_t peak_bytes = 0;      // the sum of the most that each of its living processes had resident
    std::vector<int64_t> pids{};
};
std::vector<GroupMemory> group_memory(const std::vector<int64_t>& groups);
// "linux"; "x86_64", "aarch64".
std::string system_name();
std::string machine_name();

// Absolute path of a program: itself when it holds a slash, else the first in PATH that may be run. kNotFound.
Result<std::string> find_program(const std::string& name);
std::string own_executable();
std::string boot_id();
// A port of that address of this machine (IPv4) that was free a moment ago. Somebody may take it first: whoever listens must be ready to
// fail. kInvalidArgument: the machine has no such address.
Result<uint16_t> free_port(const std::string& address);
std::string host_name();
// The address (IPv4) by which this machine speaks to another, by default to anyone outside; "": it has no such way, or the name can't be
// resolved. Nothing is sent but what resolving a name takes.
std::string outward_address(const std::string& towards = {});
bool is_loopback(const std::string& address);   // "127.0.0.1", "::1": no other machine comes by it. 0.0.0.0 counts, too
// This process can open nothing more (ulimit -n): what fails now says nothing about others.
bool handles_exhausted();
// So many more can be opened now. To refuse work at once, rather than in the middle of it.
bool handles_available(size_t count);

// From here on this thread computes, and reads and writes files, only when nobody else wants to. As far as the system lets it.
void run_when_idle();

}  // namespace gantry::platform
