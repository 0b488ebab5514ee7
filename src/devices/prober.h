#pragma once
// One prober a vendor: asks the vendor's tool, gives devices. Pure but for what it asks through Tools, so that the recorded output of
// real tools tests it. A prober never throws, never crashes on nonsense, and says in `note` why it found nothing.

#include <chrono>
#include <string>
#include <vector>

#include "base/result.h"
#include "domain/device.h"

namespace gantry::devices {

// The machine as a prober sees it: programs, files, folders. Real (tools.h) or recorded (recorded_case_for_test.h).
class Tools {
public:
    virtual ~Tools() = default;
    struct Output {
        int status = 0;          // exit status
        std::string text;        // stdout and stderr, at most 4 MiB
    };
    // kNotFound: the program is not installed. kUnavailable: it did not end in time, or a signal ended it; the text says which.
    virtual Result<Output> run(const std::vector<std::string>& argv) = 0;
    virtual Result<std::string> read(const std::string& path) = 0;          // a file of at most 16 MiB
    virtual std::vector<std::string> list(const std::string& folder) = 0;   // names in it, sorted; none where it is absent
    virtual bool has_program(const std::string& name) = 0;                  // it is in PATH, or where its vendor installs it
};

struct Finding {
    std::vector<Device> devices;
    std::string note;            // for a person; empty: all is said by the devices
};

struct Prober {
    const char* vendor;
    // Cheap, in the worker's own process: is there a sign of such a device (a device file, a program)? Where there is none the
    // prober is not started, and `absent` says what was looked for.
    bool (*present)(Tools& tools);
    const char* absent;          // "no /dev/davinci0, and npu-smi is not installed"
    Finding (*probe)(Tools& tools);
};

// Each is defined in the file of its vendor's name.
extern const Prober kNvidia, kAmd, kApple, kAscend, kHygon, kMthreads, kIluvatar, kCambricon, kMetax;

}  // namespace gantry::devices
