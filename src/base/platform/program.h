#pragma once
// Runs a program to its end and takes what it prints. For tools that are asked something; engines are started by process.h.
// Threads: any.

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/platform/files.h"
#include "base/result.h"

namespace gantry::platform {

struct ProgramOutput {
    int status = 0;      // exit status; 0 where a signal ended it
    int signal = 0;
    std::string text;    // stdout, and stderr unless left out; cut at the limit
    bool cut = false;    // it wrote more: it was ended then
};

// Ends programs that another thread waits for, those to come too.
class ProgramCancel {
public:
    ProgramCancel();
    void cancel();
    const UniqueFd& handle() const { return handle_; }

private:
    UniqueFd handle_;   // readable once cancelled
};

struct ProgramRequest {
    std::vector<std::string> argv;   // argv[0] an absolute path, or a name looked up in PATH; no shell, ever
    Deadline deadline;
    size_t bytes_max = 4u << 20;
    bool with_errors = true;         // stderr too
    bool own_group = true;           // false: what kills this process's group ends it, too
    const ProgramCancel* cancel = nullptr;
};

// In a group of its own, with this process's environment but LC_ALL=C, stdin empty. At the deadline it is killed with all that it started. A
// program that not even that ends (it waits for a driver) is left behind, and not started again with the same words while it is there.
// kNotFound: no such program. kUnavailable with the reason "timeout": it did not end in time; "stuck": one before it still does not;
// kCancelled.
Result<ProgramOutput> run_program(const ProgramRequest& request);

}  // namespace gantry::platform
