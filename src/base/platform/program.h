#pragma once
// Runs a program to its end and takes what it prints. For tools that are asked something; engines are started by process.h.
// Threads: any.

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace gantry::platform {

struct ProgramOutput {
    int status = 0;      // exit status; 0 where a signal ended it
    int signal = 0;
    std::string text;    // stdout, and stderr unless left out; cut at the limit
    bool cut = false;    // it wrote more: it was ended then
};

struct ProgramRequest {
    std::vector<std::string> argv;   // argv[0] an absolute path, or a name looked up in PATH; no shell, ever
    Deadline deadline;
    size_t bytes_max = 4u << 20;
    bool with_errors = true;         // stderr too
};

// In a group of its own, with this process's environment but LC_ALL=C, stdin empty. At the deadline the group is killed; a program that
// not even that ends at once (it waits for a driver) is left behind and waited for later. kNotFound: no such program. kUnavailable with
// the reason "timeout": it did not end in time.
Result<ProgramOutput> run_program(const ProgramRequest& request);

}  // namespace gantry::platform
